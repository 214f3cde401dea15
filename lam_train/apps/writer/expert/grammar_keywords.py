"""The words without which a clause is not about an operation: a quick look before its patterns are tried."""

import re

from lam_train.apps.writer.expert.grammar_values import COLOUR, LENGTH, PAPER, STYLE
from lam_train.apps.writer.expert.grammar_words import DELETE, GONE

WORDS = {
    "bold": "bold",
    "italic": "itali|slanted",
    "underline": "underlin|underscore|line",
    "strikethrough": "strike|struck|cross|line through",
    "superscript": "superscript",
    "subscript": "subscript",
    "small_capitals": "small[ -]cap",
    "font_size": r"\d",
    "font_color": COLOUR,
    "highlight": "highlight|mark|background",
    "change_case": "case|capital|caps|small letters",
    "clear_formatting": "formatting|plain",
    "style": rf"style|heading|{STYLE}",
    "align": "align|cent|justif|left|right",
    "line_spacing": "spac",
    "space_before": LENGTH,
    "space_after": LENGTH,
    "first_line_indent": "first[ -]line",
    "indent_left": "indent|from the",
    "indent_right": "indent|from the",
    "bullets": "bullet|list|number|unordered",
    "numbering": "number|ordered",
    "no_list": "bullet|number|list",
    "orientation": "landscape|portrait|horizontal|vertical|sideways|upright",
    "margin": "margin",
    "columns": "column",
    "header": "header",
    "footer": "footer",
    "paper_size": PAPER,
    "page_number": "number",
    "track_changes": "chang|edit",
    "insert_table": "table",
    "delete_table": "table",
    "insert_row": "row",
    "delete_row": "row",
    "insert_column": "column",
    "delete_column": "column",
    "set_cell": "cell|table",
    "sort": "table",
    "page_break": "page",
    "footnote": "foot ?note",
    "endnote": "end ?note",
    "comment": "comment|annotate",
    "hyperlink": "link|point",
    "bookmark": "bookmark",
    "date": "date",
    "horizontal_line": "horizontal",
    "replace_all": "⟦.*⟦",
    "replace_phrase": "⟦.*⟦",
    "insert_paragraph": "⟦",
    "insert_text": "⟦",
    "delete_text": rf"\b(?:{DELETE}|{GONE})\b",
}
KEYWORDS = {operation: re.compile(words, re.IGNORECASE) for operation, words in WORDS.items()}


def may_be(operation: str, clause: str) -> bool:
    """Whether a clause may be about an operation: it has one of its words, or the operation has none."""
    words = KEYWORDS.get(operation) or KEYWORDS.get(operation.removeprefix("no_"))
    return words is None or words.search(clause) is not None
