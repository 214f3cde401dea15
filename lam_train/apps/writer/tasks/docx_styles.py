"""Styles and lists of a .docx: what a paragraph and its characters look like once every level is resolved."""

from dataclasses import dataclass, replace
from functools import cached_property

from docx.oxml.ns import qn
from lxml import etree

from lam_train.apps.writer.tasks.document_model import Format

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFF = {"0", "false", "off", "none"}
EFFECTS = ("outline", "shadow", "emboss", "imprint", "vanish")
# Word's sixteen highlights as the colors that they show
HIGHLIGHTS = {
    "black": "000000", "blue": "0000FF", "cyan": "00FFFF", "green": "00FF00", "magenta": "FF00FF", "red": "FF0000",
    "yellow": "FFFF00", "white": "FFFFFF", "darkBlue": "000080", "darkCyan": "008080", "darkGreen": "008000",
    "darkMagenta": "800080", "darkRed": "800000", "darkYellow": "808000", "darkGray": "808080", "lightGray": "C0C0C0",
}  # fmt: skip


def get(element, name: str, default: str | None = None) -> str | None:
    """An attribute of the main namespace."""
    return default if element is None else element.get(qn(f"w:{name}"), default)


def child(element, path: str):
    """The first element at a path such as "pPr/numPr", or None."""
    return None if element is None else element.find("/".join(qn(f"w:{part}") for part in path.split("/")))


def is_on(element) -> bool:
    """Whether an on/off property such as <w:b/> is on."""
    return element is not None and get(element, "val", "true") not in OFF


def number(value: str | None, default: int = 0) -> int:
    try:
        return round(float(value)) if value is not None else default
    except ValueError:
        return default


def border_lines(element) -> tuple:
    """The lines of a border group that show: (side, kind, size, color) each."""
    if element is None:
        return ()
    lines = (
        (etree.QName(side).localname, get(side, "val"), get(side, "sz", "0"), get(side, "color", "auto"))
        for side in element
    )
    return tuple(sorted(line for line in lines if line[1] not in ("nil", "none", None)))


def shading(element) -> str:
    """The fill of a <w:shd>, or ""."""
    fill = get(element, "fill", "auto").upper() if element is not None else "AUTO"
    return "" if fill == "AUTO" else fill


@dataclass(frozen=True)
class ListLevel:
    kind: str  # "bullet", "number", "" without a label
    label: str
    indents: object  # the level's <w:ind>


class Styles:
    """The styles, defaults and lists of one document."""

    def __init__(self, styles, numbering) -> None:
        self.by_id = {get(style, "styleId"): style for style in styles.iter(qn("w:style"))}
        self.defaults = child(styles, "docDefaults")
        self.default_paragraph = next(
            (get(s, "styleId") for s in self.by_id.values() if get(s, "type") == "paragraph" and get(s, "default")), ""
        )
        self.numbering = numbering

    def name(self, style_id: str | None) -> str:
        """The style's name, as Writer shows it (Word writes "heading 1")."""
        name = get(child(self.by_id.get(style_id), "name"), "val", style_id or "")
        return name[:1].upper() + name[1:]

    def chain(self, style_id: str | None) -> list:
        """The style and those it is based on, the most general first."""
        chain, seen = [], set()
        while style_id in self.by_id and style_id not in seen:
            seen.add(style_id)
            chain.append(self.by_id[style_id])
            style_id = get(child(self.by_id[style_id], "basedOn"), "val")
        return chain[::-1]

    @cached_property
    def levels(self) -> dict[tuple[str, int], ListLevel]:
        """(numId, level) -> what its label is."""
        if self.numbering is None:
            return {}
        abstract = {get(a, "abstractNumId"): a for a in self.numbering.iter(qn("w:abstractNum"))}
        levels = {}
        for num in self.numbering.iter(qn("w:num")):
            definition = abstract.get(get(child(num, "abstractNumId"), "val"))
            for level in () if definition is None else definition.iter(qn("w:lvl")):
                form, text = get(child(level, "numFmt"), "val", "decimal"), get(child(level, "lvlText"), "val", "")
                kind = "bullet" if form == "bullet" else "" if form == "none" else "number"
                label = text if kind == "bullet" else f"{form} {text}"
                key = (get(num, "numId"), number(get(level, "ilvl")))
                levels[key] = ListLevel(kind, label if kind else "", child(level, "pPr/ind"))
        return levels

    def character_format(self, paragraph_style: str | None, direct) -> Format:
        """The effective format of a run with the properties `direct` (<w:rPr> or None)."""
        result = Format()
        sources = [child(self.defaults, "rPrDefault/rPr")]
        sources += [child(style, "rPr") for style in self.chain(paragraph_style)]
        sources += [child(style, "rPr") for style in self.chain(get(child(direct, "rStyle"), "val"))]
        for properties in [*sources, direct]:
            if properties is not None:
                result = apply_run_properties(result, properties)
        return result


def apply_run_properties(base: Format, properties) -> Format:
    """`base` with what a <w:rPr> sets."""
    changed: dict = {}
    effects = set(base.effects)
    for item in properties:
        name = etree.QName(item).localname
        value = get(item, "val")
        if name in ("b", "i"):
            changed["bold" if name == "b" else "italic"] = is_on(item)
        elif name == "u":
            changed["underline"] = "" if value in (None, "none") else value
        elif name in ("strike", "dstrike"):
            kind = "single" if name == "strike" else "double"
            if is_on(item):
                changed["strike"] = kind
            elif changed.get("strike", base.strike) == kind:
                changed["strike"] = ""
        elif name == "rFonts":
            changed["font"] = get(item, "ascii", base.font)
        elif name == "sz":
            changed["size"] = number(value) / 2
        elif name == "color":
            changed["color"] = (value or "auto").upper().replace("AUTO", "auto")
        elif name == "highlight":
            changed["background"] = HIGHLIGHTS.get(value, "")
        elif name == "shd":
            changed["background"] = shading(item)
        elif name == "vertAlign":
            changed["position"] = "" if value == "baseline" else value
        elif name == "position":
            changed["position"] = "" if number(value) == 0 else value
        elif name in ("caps", "smallCaps"):
            if is_on(item):
                changed["case"] = name
            elif changed.get("case", base.case) == name:
                changed["case"] = ""
        elif name == "spacing":
            changed["spacing"] = number(value)
        elif name == "w":
            changed["scale"] = number(value, 100)
        elif name == "em":
            effects = {effect for effect in effects if not effect.startswith("em ")}
            effects |= set() if value in (None, "none") else {f"em {value}"}
        elif name in EFFECTS:
            (effects.add if is_on(item) else effects.discard)(name)
    return replace(base, effects=tuple(sorted(effects)), **changed)
