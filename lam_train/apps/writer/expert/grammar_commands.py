"""What a request asks to be written, replaced, deleted or inserted in the running text."""

from lam_train.apps.writer.expert.grammar_pattern import Pattern, pattern
from lam_train.apps.writer.expert.grammar_words import (
    ANY_MORE,
    ATTACH,
    DELETE,
    EVERY,
    EVERYWHERE,
    GONE,
    INSERT,
    MUST,
    REPLACE,
    SAYING,
    WORD,
    A,
    maybe,
)

WITH = r"(?:with|by|to|for|into)"
NEW_PAGE = r"(?:on|onto|to) (?:an?|the|its) (?:new|fresh|next|separate|own) page"
LINK = r"(?:clickable )?(?:hyper|web ?)?link"
ADDRESS = r"(?:the )?(?:(?:address|url|website|site|web page|web address|page) )?<address>"
NAMED = r"(?:,? (?:named|called|with the name|and (?:name|call) it))?"
DATE = r"(?:(?:the|an?) )?(?:current |today's |actual |today’s )?date(?: of today)?(?: field)?"
SOME_TEXT = rf"{A}(?:words?|phrase|text|sentence|paragraph|line)?{SAYING}? ?<text>"

REPLACE_ALL = (
    rf"{REPLACE} {EVERY} ?(?:(?:word|phrase|text|term) )?<text> {WITH} {WORD}<new>{maybe(EVERYWHERE)}",
    rf"{REPLACE} {WORD}<text> {WITH} {WORD}<new>,? {EVERYWHERE}",
    rf"{REPLACE} {WORD}<text> {EVERYWHERE} {WITH} {WORD}<new>",
    rf"(?:find|search for|look for) (?:{EVERY} )?{WORD}<text> and (?:replace|change|swap|substitute) "
    rf"(?:it|them|all of them|each(?: one)?|every one)(?: all)? {WITH} <new>{maybe(EVERYWHERE)}",
    rf"{EVERYWHERE},? {REPLACE} {WORD}<text> {WITH} <new>",
    rf"(?:use|write|put) <new> (?:instead of|in place of) (?:{EVERY} )?<text>,? {EVERYWHERE}",
    rf"{EVERY} ?<text> {MUST} (?:be|become|read|be (?:replaced (?:by|with)|changed (?:to|into))) <new>",
)
REPLACE_PHRASE = (
    rf"{REPLACE} (?:the )?(?:(?:words?|phrase|text|term|sentence|name|title|heading|first occurrence of) )?<text> "
    rf"(?:{WITH}|so that it reads|to read) {WORD}<new>",
    rf"<text> {MUST} (?:read|say|be|become|be (?:replaced (?:by|with)|changed (?:to|into))) <new>",
    r"(?:use|write|put) <new> (?:instead of|in place of) <text>",
    r"overwrite <text> with <new>",
)


def _note(noun: str) -> tuple[str, ...]:
    """A footnote, an endnote or a comment at a phrase."""
    at = r"(?:to|on|at|for|after|behind|about|next to)"
    return (
        rf"{ATTACH} {A}{noun} {at} <target>{SAYING} ?<text>",
        rf"{ATTACH} {A}{noun}{SAYING} ?<text>,? {at} <target>",
        rf"{ATTACH} <text> as {A}{noun} (?:{at}|of) <target>",
        rf"(?:give|provide) <target> (?:with )?{A}{noun}{SAYING} ?<text>",
        rf"{ATTACH} {A}<text> {noun} {at} <target>",
        rf"{at} <target>,? {ATTACH} {A}{noun}{SAYING} ?<text>",
        rf"<target> (?:needs|should have|should get|must have|gets) {A}{noun}{SAYING}? ?<text>",
        rf"{ATTACH} {A}{noun} <text> {at} <target>",
        rf"{ATTACH} {A}{noun} {at} <target>: ?<text>",
    )


HYPERLINKS = (
    rf"(?:link|hyperlink|point) <target> to {ADDRESS}",
    rf"(?:make|turn|convert|change) <target> (?:(?:into|to|be) )*(?:an? )?{LINK} "
    rf"(?:to|pointing to|leading to|that (?:points|goes|leads) to|for) {ADDRESS}",
    rf"{ATTACH} {A}{LINK} (?:to|pointing to|for) {ADDRESS} (?:to|on|for|from|behind|at|over) <target>",
    rf"{ATTACH} {A}{LINK} (?:to|on|for|from|behind) <target>,? "
    rf"(?:(?:pointing|leading|going|that (?:points|goes|leads)) )?to {ADDRESS}",
    rf"<target> {MUST} (?:link|point|be (?:a )?(?:hyper)?link(?:ed)?) to {ADDRESS}",
)
BOOKMARKS = (
    rf"{ATTACH} {A}bookmark{NAMED} <name>,? (?:at|on|to|for|in|around|over) <target>",
    rf"{ATTACH} {A}bookmark (?:at|on|to|for|in) <target>{NAMED} <name>",
    r"bookmark <target> (?:as|with the name|under the name|and (?:name|call) it|named|called|using the name) <name>",
    r"(?:mark|set) <target> (?:with|as) (?:an? )?bookmark (?:(?:named|called) )?<name>",
    rf"<target> {MUST} (?:have|get) {A}bookmark{NAMED} <name>",
)
PAGE_BREAKS = (
    rf"{INSERT} {A}(?:manual |hard )?page[ -]?break,? <place>",
    rf"<place>,? {INSERT} {A}(?:manual |hard )?page[ -]?break",
    r"(?:start|begin) (?:a |the )?new page (?:<place>|with <target>)",
    rf"(?:start|begin|put|place|move|push|have|let|make) <target> (?:(?:start|begin|go) )?{NEW_PAGE}",
    rf"<target> {MUST} (?:start|begin|go|be|move|come) {NEW_PAGE}",
    r"break the page <place>",
)
DATES = (
    rf"{INSERT} {DATE},? <place>",
    rf"<place>,? {INSERT} {DATE}",
    rf"{DATE} {MUST} (?:follow|come after) <target>",
)
LINES = (rf"{INSERT} {A}horizontal (?:line|rule),? <place>",)
TEXTS = (
    rf"{INSERT} {SOME_TEXT}(?: as (?:an? )?(?:new )?(?:paragraph|line))? <place>",
    rf"<place>,? {INSERT} {SOME_TEXT}",
)
LINE = r"(?:paragraph|line(?: of text)?)"
PARAGRAPHS = (
    rf"{INSERT} {A}(?:(?:last|final|closing) )?{LINE}{SAYING}? ?<text>(?:(?: added)?,? <place>)?",
    rf"{INSERT} {A}{LINE} <place>{SAYING}? ?<text>",
    rf"<place>,? {INSERT} {A}(?:(?:first|opening) )?{LINE}{SAYING}? ?<text>",
    rf"{INSERT} <text>,? (?:as|in) {A}{LINE},? <place>",
    rf"(?:the )?(?:document|text) {MUST} end with {A}{LINE}{SAYING}? ?<text>",
)

# The first pattern that fits is taken: what says more stands before what says less.
PATTERNS: tuple[Pattern, ...] = (
    *(pattern("page_break", words) for words in PAGE_BREAKS),
    *(pattern("footnote", words) for words in (*_note(r"foot ?note"), r"foot ?note <target> with <text>")),
    *(pattern("endnote", words) for words in _note(r"end ?note")),
    *(
        pattern("comment", words)
        for words in (
            *_note(r"(?:(?:review|margin) )?comment"),
            r"(?:comment on|annotate) <target>(?: with|,? saying|:) ?<text>",
        )
    ),
    *(pattern("hyperlink", words) for words in HYPERLINKS),
    *(pattern("bookmark", words) for words in BOOKMARKS),
    *(pattern("date", words) for words in DATES),
    *(pattern("horizontal_line", words) for words in LINES),
    *(pattern("replace_all", words) for words in REPLACE_ALL),
    *(pattern("replace_phrase", words) for words in REPLACE_PHRASE),
    *(pattern("insert_paragraph", words) for words in PARAGRAPHS),
    *(pattern("insert_text", words) for words in TEXTS),
    pattern("delete_text", rf"{DELETE} <target>{ANY_MORE}"),
    pattern("delete_text", rf"<target> {GONE}"),
    pattern("select", r"(?:select|find|locate|go to|pick|mark|choose|look (?:for|at)|take) <target>"),
)
