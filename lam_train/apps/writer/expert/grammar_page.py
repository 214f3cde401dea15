"""What a request asks of the page and of the whole document: layout, header and footer, page numbers, tracking."""

from lam_train.apps.writer.expert.grammar_pattern import Pattern, pattern
from lam_train.apps.writer.expert.grammar_words import INSERT, MUST, PAGE, SAYING, SET, A, maybe

ORIENTATIONS = {"Landscape": r"(?:landscape|horizontal|sideways)", "Portrait": r"(?:portrait|vertical|upright)"}
SIDES = {
    "left": "left",
    "right": "right",
    "top": "(?:top|upper)",
    "bottom": "(?:bottom|lower)",
    "all": r"(?:all(?: of)?(?: the)?(?: four)?|every|the|both|page)",
}
USE = r"(?:use|apply|have|set|choose|give me)"
ON_PAGE = maybe(rf"(?:for|on|in|to|of) {PAGE}")
FORM = maybe("(?:orientation|mode|format|layout|pages?)")


def _orientation(word: str) -> tuple[str, ...]:
    return (
        rf"{SET} {PAGE}(?: orientation)? (?:(?:in|to|into|be|as|from \w+ to) )?{word}{FORM}",
        rf"{SET} (?:the )?(?:page |paper |document )?(?:orientation|layout){ON_PAGE} "
        rf"(?:in|to|into|be|from \w+ to) {word}{FORM}",
        rf"(?:use|choose|apply|set|go to|switch to|change to) (?:an? )?{word}(?: page)?{FORM}{ON_PAGE}",
        rf"{PAGE} {MUST} be (?:in |printed in |set in )?{word}{FORM}",
        rf"(?:lay out|print|format) {PAGE} (?:in|to be) {word}{FORM}",
    )


def _margin(word: str) -> tuple[str, ...]:
    return (
        rf"{SET} (?:the )?{word} (?:page )?margins?{ON_PAGE} (?:(?:to|at|be|as) )?<length>(?: wide)?",
        rf"{SET} (?:the )?(?:page )?margins? (?:on|at|of) (?:the )?{word}(?: sides?| edges?)? (?:(?:to|be) )?<length>",
        rf"{SET} (?:the )?(?:page )?margins? to <length> (?:on|at) (?:the )?{word}(?: sides?| edges?)?",
        rf"(?:give|provide) {PAGE} (?:with )?(?:an? )?{word} margins? of <length>",
        rf"{USE} (?:an? )?{word} margins? of <length>{ON_PAGE}",
        rf"{USE} (?:an? )?<length> {word} margins?{ON_PAGE}",
        rf"(?:for {PAGE},? )?(?:the )?{word} (?:page )?margins?{ON_PAGE} {MUST} be <length>(?: wide)?",
    )


MARGINS_ALL_ROUND = (
    rf"{USE} <length> (?:page )?margins?(?: (?:on|at) (?:all|every)(?: four)? sides?| all around)?",
    rf"{USE} (?:an? )?(?:page )?margins? of <length>(?: (?:on|at) (?:all|every)(?: four)? sides?| all around)?",
    rf"(?:give|provide) {PAGE} (?:with )?(?:an? )?margins? of <length>(?: (?:on|at) (?:all|every)(?: four)? sides?)?",
    rf"(?:give|provide) {PAGE} (?:with )?<length> margins?(?: (?:on|at) (?:all|every)(?: four)? sides?)?",
)
COLUMNS = (
    rf"(?:{SET}|format|lay out|arrange|split|divide|flow|typeset|break) {PAGE}(?: out)? (?:in|into|to|with|as|have) "
    r"<number>(?: text| newspaper| equal)? ?columns?",
    rf"{SET} (?:the )?(?:page )?(?:number of )?columns?{ON_PAGE} to <number>(?: columns?)?",
    rf"{USE} (?:an? )?<number>[ -](?:text |newspaper )?columns?(?: layout| page| text)?{ON_PAGE}",
    rf"{PAGE} {MUST} (?:have|be (?:in|set in|laid out in|split into)|use) <number> columns?",
    rf"(?:make|turn|set) {PAGE} (?:(?:to|into) )?(?:a )?<number>[ -]columns?(?: layout)?",
)


def _area(where: str) -> tuple[str, ...]:
    """Header or footer."""
    return (
        rf"{INSERT} {A}(?:page )?{where}{SAYING} ?<text>{ON_PAGE}",
        rf"{INSERT} <text> at the (?:top|bottom|foot|head) of (?:every|each|the) page in (?:the|a) {where}",
        rf"{INSERT} {A}(?:page )?{where}{ON_PAGE}{SAYING} ?<text>",
        rf"{INSERT} (?:the )?(?:(?:text|words?|phrase|line) )?<text> (?:in|into|to|as|on|inside|at) "
        rf"(?:(?:the|an?) )?(?:page )?{where}{ON_PAGE}",
        rf"(?:set|change|fill) (?:the )?(?:page )?{where}(?: text)? (?:to(?: (?:be|read|say))?|with) "
        r"(?:the (?:text|words?) )?<text>",
        rf"(?:give|provide|equip) {PAGE} (?:with )?{A}{where}{SAYING} ?<text>",
        rf"{PAGE} {MUST} have {A}{where}{SAYING} ?<text>",
        rf"(?:the )?(?:page )?{where}{ON_PAGE} {MUST} (?:say|read|be|show|contain) <text>",
        rf"(?:in|to|into) (?:the )?(?:page )?{where},? {INSERT} <text>",
    )


IN_FOOTER = maybe(rf"(?:in|to|at|on|into) (?:the|a) (?:page )?(?:footer|bottom){ON_PAGE}")
NUMBERS = r"(?:page numbers?|numbers? of (?:each|every|the) page)"
PAGE_NUMBERS = (
    rf"{INSERT} (?:the |a |automatic )?{NUMBERS}{ON_PAGE}{IN_FOOTER}",
    rf"(?:the )?footer{ON_PAGE} {MUST} (?:show|have|contain) (?:the |a )?{NUMBERS}",
    rf"number (?:the|all|all the|every) pages?{IN_FOOTER}",
    rf"(?:in|to|at) the (?:footer|bottom){ON_PAGE},? (?:insert|add|put|show) (?:the |a )?page numbers?",
    rf"(?:show|display|print) (?:the )?page numbers?{IN_FOOTER}",
    rf"{PAGE} {MUST} (?:have|show) page numbers?{IN_FOOTER}",
)
TRACKING = r"(?:(?:track|tracking|recording)(?: of)?(?: the)?(?: my| all)? changes|change[ -]tracking)"
TRACKING_ON = (
    rf"(?:turn on|switch on|enable|activate|start|begin) (?:the )?{TRACKING}(?: feature| mode)?",
    rf"(?:turn|switch) {TRACKING} on",
    rf"{TRACKING} should be on",
    r"(?:track|record) (?:(?:all|any|my|the|every) )*(?:changes?|edits?)(?: from (?:now|here) on)?",
)
TRACKING_OFF = (
    rf"(?:turn off|switch off|disable|deactivate|stop) (?:the )?{TRACKING}(?: feature| mode)?",
    rf"(?:turn|switch) {TRACKING} off",
)

PAPER = r"(?:the )?(?:page|paper)(?: size| format)?"
PAPER_SIZES = (
    rf"{SET} {PAPER}{ON_PAGE} to <paper>",
    r"(?:use|choose|take) <paper>(?:[ -]sized?)? (?:paper|pages?)",
    rf"{PAPER} {MUST} be <paper>",
    rf"(?:print|put|make|format) {PAGE} (?:(?:on|in|for) )?<paper>(?: paper| format| size)?",
)

PATTERNS: tuple[Pattern, ...] = (
    *(
        pattern("orientation", words, orientation=name)
        for name, word in ORIENTATIONS.items()
        for words in _orientation(word)
    ),
    *(pattern("margin", words, side=side) for side, word in SIDES.items() for words in _margin(word)),
    *(pattern("margin", words, side="all") for words in MARGINS_ALL_ROUND),
    *(pattern("columns", words) for words in COLUMNS),
    *(pattern(where, words) for where in ("header", "footer") for words in _area(where)),
    *(pattern("paper_size", words) for words in PAPER_SIZES),
    *(pattern("page_number", words) for words in PAGE_NUMBERS),
    *(pattern("track_changes", words, on="yes") for words in TRACKING_ON),
    *(pattern("track_changes", words, on="no") for words in TRACKING_OFF),
)
