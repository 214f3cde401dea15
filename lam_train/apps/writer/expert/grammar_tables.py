"""What a request asks of tables: new ones, rows and columns, cells, order."""

from lam_train.apps.writer.expert.grammar_pattern import Pattern, pattern
from lam_train.apps.writer.expert.grammar_text import QUOTE
from lam_train.apps.writer.expert.grammar_words import ANY_MORE, DELETE, GONE, INSERT, MUST, THE, A, maybe

SIZES = (
    r"(?:<rows>[ -]?(?:x|by|×)[ -]?<columns> table|table (?:of|with|that has|having) <rows> rows? "
    r"(?:and|by|x|,) ?<columns> columns?)",
    r"(?:table (?:of|with|that has|having) <columns> columns? (?:and|by|x|,) ?<rows> rows?|"
    r"<columns>[ -]columns?,? (?:and |by )?<rows>[ -]rows? table)",
    r"<rows>[ -]rows?,? (?:and |by )?<columns>[ -]columns? table",
    r"table(?:,|:)? (?:of )?<rows> rows?,?(?: and| by)? <columns> columns?",
)
TABLE = r"(?:<table>|(?:the )?table with (?:the (?:column|header|heading|text|word) )?<text>)"
IN_TABLE = maybe("(?:of|in|from|to) <table>")
BEFORE = r"(?:before|above|(?:to the )?left of|on top of)"
AFTER = r"(?:after|below|under|underneath|(?:to the )?right of)"
WITH = (
    r"(?:(?:with(?: the header)?|containing|that (?:contains|says|has)|(?:that )?(?:begins|starts|beginning|starting) "
    r"with|of|for|named|headed|titled|called) )?"
)
AT_END = r"(?:to|at|in|on) (?:the )?(?:very )?(?:end|bottom|foot|right)(?: side)? of"
AT_START = r"(?:to|at|in|on) (?:the )?(?:very )?(?:start|beginning|top|left)(?: side)? of"
INSTEAD = rf"(?: (?:instead of|in place of) (?:what is there|{QUOTE}))?"
WRITE = r"(?:write|type|put|enter|insert|fill in|add)"
CHANGE = r"(?:fill|set|change|update|edit|replace|correct)"
SORT = r"(?:sort|order|arrange|put|reorder|alphabeti[sz]e)"
BY = r"(?:by|on|using|according to)"
ORDERS = {
    "descending": r"(?:(?:in )?(?:descending|reverse(?: alphabetical)?) order|descending(?:ly)?|from z to a|z to a|z-a|"
    r"in reverse)",
    "ascending": r"(?:(?:in )?(?:ascending|alphabetical) order|ascending(?:ly)?|alphabetically|from a to z|a to z|a-z)",
}


def _lines(what: str) -> list[Pattern]:
    """New and deleted rows or columns."""
    found = [
        pattern(f"insert_{what}", rf"{INSERT} {A}{what} {AT_END} <table>", side="after", at="end"),
        pattern(f"insert_{what}", rf"(?:append|add) {A}{what} to <table>", side="after", at="end"),
        pattern(f"insert_{what}", rf"{INSERT} {A}{what} {AT_START} <table>", side="before", at="start"),
    ]
    for side, where in (("before", BEFORE), ("after", AFTER)):
        found += [
            pattern(f"insert_{what}", rf"{INSERT} {A}{what} {where} {which}{IN_TABLE}", side=side, at="")
            for which in (
                rf"{THE}<ordinal> {what}",
                rf"{THE}{what} (?:number )?<number>",
                rf"{THE}{what} {WITH}<text>",
                rf"{THE}<text>(?: {what})?",
            )
        ]
    found += [
        pattern(f"delete_{what}", words)
        for which in (
            rf"{THE}<ordinal> {what}",
            rf"{THE}{what} (?:number )?<number>",
            rf"{THE}(?:(?:whole|table) )?{what} {WITH}<text>",
            rf"{THE}<text> {what}",
        )
        for words in (
            rf"{DELETE} {which}{IN_TABLE}{ANY_MORE}",
            rf"{which}{IN_TABLE} {GONE}",
        )
    ]
    return found


def _orders(order: str, word: str) -> list[Pattern]:
    return [
        pattern("sort", words, order=order)
        for words in (
            rf"{SORT} <table>{maybe(word)},? {BY} (?:(?:the|its) )?<ordinal> column(?:,? {word})?",
            rf"{SORT} <table>,? {BY} (?:the )?column <number>,? {word}",
            rf"{SORT} <table>{maybe('(?:by|on) (?:the )?(?:column )?<text>(?: column)?')},? {word}",
        )
    ]


PATTERNS: tuple[Pattern, ...] = (
    *(
        pattern("insert_table", words)
        for size in SIZES
        for words in (
            rf"{INSERT} {A}{size}(?:,? <place>)?",
            rf"<place>,? {INSERT} {A}{size}",
        )
    ),
    pattern("delete_table", rf"{DELETE} (?:the )?(?:(?:whole|entire|complete) )?{TABLE}{ANY_MORE}"),
    pattern("delete_table", rf"{TABLE} {GONE}"),
    *_lines("row"),
    *_lines("column"),
    pattern(
        "set_cell",
        rf"(?:{WRITE}|{INSERT}) <text> (?:in|into|to) (?:the )?(?:empty )?cell <cell>{IN_TABLE}{INSTEAD}",
    ),
    pattern("set_cell", rf"(?:the )?(?:table )?cell <text>{IN_TABLE} {MUST} (?:read|say|contain|be|show|become) <new>"),
    pattern(
        "set_cell",
        rf"{CHANGE} (?:the )?(?:text |contents? |value )?(?:of |in )?(?:the )?cell <cell>{IN_TABLE} "
        r"(?:with|to|to read|to say) <text>",
    ),
    pattern("set_cell", rf"(?:in|into) (?:the )?cell <cell>{IN_TABLE},? {WRITE} <text>"),
    pattern("set_cell", rf"(?:the )?cell <cell>{IN_TABLE} {MUST} (?:read|say|contain|be|show) <text>"),
    pattern(
        "set_cell",
        rf"{CHANGE} (?:the )?(?:table )?cell (?:(?:with|that says|containing|reading) )?<text>{IN_TABLE} "
        r"(?:to|with|by|so that it reads) <new>",
    ),
    pattern(
        "set_cell",
        rf"{CHANGE} <text> (?:in|of) <table> (?:to|with|by|so that it reads) <new>",
    ),
    *(found for order, word in ORDERS.items() for found in _orders(order, word)),
)
