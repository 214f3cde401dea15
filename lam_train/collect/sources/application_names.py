"""Which application a title or a search query names (used by the WikiHow and query-log sources)."""

import re

_APPS: dict[str, str] = {
    r"(?:microsoft |ms )?word(?: 20\d\d| 365)": "Microsoft Word",
    r"(?:microsoft|ms|office) word": "Microsoft Word",
    r"(?:in|on|with|for|using|to) word": "Microsoft Word",
    r"(?:microsoft |ms )?excel": "Microsoft Excel",
    r"(?:microsoft |ms )?power ?point": "Microsoft PowerPoint",
    r"(?:microsoft |ms )?outlook": "Microsoft Outlook",
    r"(?:microsoft |ms )?onenote": "Microsoft OneNote",
    r"(?:microsoft|ms) (?:office|access|publisher|teams|paint|edge)": "Microsoft Office",
    r"libre ?office writer": "LibreOffice Writer",
    r"libre ?office calc": "LibreOffice Calc",
    r"libre ?office impress": "LibreOffice Impress",
    r"libre ?office|open ?office(?:\.org)?": "LibreOffice",
    r"google (?:docs|sheets|slides|drive)": "Google Docs",
    r"(?:mozilla )?firefox": "Firefox",
    r"(?:google )?chrome": "Chrome",
    r"thunderbird": "Thunderbird",
    r"gimp": "GIMP",
    r"(?:adobe )?photoshop": "Photoshop",
    r"inkscape": "Inkscape",
    r"blender": "Blender",
    r"vlc": "VLC",
    r"notepad(?:\+\+)?": "Notepad",
    r"file explorer|windows explorer": "File Explorer",
    r"windows (?:7|8|10|11|xp|vista)": "Windows",
    r"ubuntu|gnome": "GNOME desktop",
}
_PATTERNS = [(re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE), app) for pattern, app in _APPS.items()]


def app_named_in(text: str) -> str:
    """The first application of the list above that the text names, or ""."""
    return next((app for pattern, app in _PATTERNS if pattern.search(text)), "")
