"""The packages that yield pairs: the application each documents, and the license of its documentation.

Licenses are those the help pages declare themselves (`legal.xml`, `<license>`), else those of the package's
copyright file. Left out on purpose, though they have
lists: LilyPond (its steps are code), BibleTime and Xiphos (Bible texts), and the KDE handbooks, which hold almost none.
"""

from dataclasses import dataclass

_CC3 = "CC-BY-SA-3.0"
_CC4 = "CC-BY-SA-4.0"
_GFDL = "GFDL-1.1-or-later"
_GFDL12 = "GFDL-1.2-or-later"
_GFDL13 = "GFDL-1.3"
_GPL2 = "GPL-2.0-or-later"
_GPL3 = "GPL-3.0-or-later"


@dataclass(frozen=True)
class Package:
    """A documentation package of Debian."""

    name: str
    app: str
    license: str


_ROWS: list[tuple[str, str, str]] = [
    ("libreoffice-help-en-us", "LibreOffice", "MPL-2.0"),
    ("gnome-user-docs", "GNOME desktop", _CC3),
    ("evolution-common", "Evolution", _CC3),
    ("mate-user-guide", "MATE desktop", _GFDL),
    ("anjuta-common", "Anjuta", _GPL2),
    ("seahorse", "Seahorse", _CC3),
    ("gnome-terminal-data", "GNOME Terminal", "CC-BY-SA-3.0 or GPL-3.0"),
    ("gimp-help-en", "GIMP", _GFDL12),
    ("gnucash-docs", "GnuCash", _GFDL),
    ("keepassxc", "KeePassXC", "GPL-2.0 or GPL-3.0"),
    ("atril-common", "Atril", _CC3),
    ("gparted-common", "GParted", _GFDL12),
    ("orca", "Orca", _CC3),
    ("gedit-common", "gedit", "GPL-2.0"),
    ("mate-applets-common", "MATE desktop", _GFDL),
    ("gnome-boxes", "GNOME Boxes", _CC3),
    ("evince-common", "Evince", _CC3),
    ("bijiben", "GNOME Notes", _CC3),
    ("epiphany-browser-data", "GNOME Web", _CC3),
    ("engrampa-common", "Engrampa", _GFDL),
    ("gnome-dictionary", "GNOME Dictionary", _CC3),
    ("mate-system-monitor-common", "MATE System Monitor", _GFDL),
    ("pitivi", "Pitivi", _CC3),
    ("simple-scan", "Document Scanner", _CC3),
    ("stardict-common", "StarDict", _GFDL12),
    ("synaptic", "Synaptic", _GPL2),
    ("eog", "Eye of GNOME", _CC3),
    ("gnome-system-monitor", "GNOME System Monitor", _CC3),
    ("wireshark-doc", "Wireshark", _GPL2),
    ("gnumeric-doc", "Gnumeric", _GFDL),
    ("brasero-common", "Brasero", _CC3),
    ("pluma-common", "Pluma", _GFDL),
    ("gnome-clocks", "GNOME Clocks", _CC3),
    ("gnome-music", "GNOME Music", _CC3),
    ("gnome-taquin", "GNOME Taquin", _CC4),
    ("mate-terminal-common", "MATE Terminal", _GFDL),
    ("mate-utils-common", "MATE utilities", _GFDL),
    ("cheese-common", "Cheese", _CC3),
    ("easytag", "EasyTAG", _CC3),
    ("gnome-chess", "GNOME Chess", _CC3),
    ("gnome-nibbles", "GNOME Nibbles", _CC3),
    ("gnome-photos", "GNOME Photos", _CC3),
    ("polari", "Polari", _CC4),
    ("swell-foop", "Swell Foop", _CC4),
    ("vinagre", "Vinagre", _CC3),
    ("dia-common", "Dia", _GFDL),
    ("eom-common", "Eye of MATE", _GFDL),
    ("gbrainy", "gbrainy", _CC3),
    ("gnome-panel-data", "GNOME Panel", _GFDL),
    ("viking", "Viking", _GFDL),
    ("five-or-more", "Five or More", _CC3),
    ("four-in-a-row", "Four-in-a-row", _CC3),
    ("gnome-robots", "GNOME Robots", _CC3),
    ("gnome-sudoku", "GNOME Sudoku", _CC3),
    ("gnote", "Gnote", _GFDL),
    ("gucharmap", "Character Map", _GFDL),
    ("hugin-data", "Hugin", _GPL2),
    ("rhythmbox-data", "Rhythmbox", _GFDL),
    ("shotwell-common", "Shotwell", "LGPL-2.1"),
    ("baobab", "Disk Usage Analyzer", _CC3),
    ("file-roller", "Archive Manager", _CC3),
    ("gnome-mahjongg", "GNOME Mahjongg", _CC3),
    ("gnome-system-log", "GNOME System Log", _CC3),
    ("iagno", "Iagno", _CC3),
    ("mate-control-center-common", "MATE desktop", _GFDL),
    ("totem-common", "Videos (Totem)", _CC3),
    ("deja-dup", "Déjà Dup", _CC4),
    ("glom-doc", "Glom", _GFDL),
    ("gmpc-data", "GNOME Music Player Client", _CC3),
    ("gnome-calculator", "GNOME Calculator", _CC3),
    ("gnome-connections", "GNOME Connections", _CC3),
    ("gnome-mines", "GNOME Mines", _CC3),
    ("kicad-doc-en", "KiCad", "GPL-3.0-or-later or CC-BY-3.0"),
    ("mate-panel-common", "MATE desktop", _GFDL),
    ("ocrfeeder", "OCRFeeder", _CC3),
    ("accerciser", "Accerciser", _CC3),
    ("gchempaint", "GChemPaint", _GFDL13),
    ("ghex", "GHex", _GFDL),
    ("glabels-data", "gLabels", _CC3),
    ("glade", "Glade", _GFDL),
    ("gnome-commander-data", "GNOME Commander", _GFDL),
    ("gthumb-data", "gThumb", _CC3),
    ("gtkam", "gtkam", _GPL2),
    ("gtranslator", "Gtranslator", _CC3),
    ("hitori", "Hitori", _CC3),
    ("homebank-data", "HomeBank", _GPL2),
    ("kmymoney-common", "KMyMoney", _GFDL12),
    ("skrooge-common", "Skrooge", _GFDL12),
    ("sound-juicer", "Sound Juicer", _GPL2),
    ("sylpheed-doc", "Sylpheed", "GFDL-1.1"),
    ("claws-mail-doc", "Claws Mail", _GPL3),
    ("doublecmd-help-en", "Double Commander", _GPL2),
    ("geany-common", "Geany", _GPL2),
    ("metadata-cleaner", "Metadata Cleaner", _CC4),
    ("meld", "Meld", _CC3),
    ("qalculate-gtk", "Qalculate!", _GPL2),
    ("quadrapassel", "Quadrapassel", _CC3),
    ("texmaker-data", "Texmaker", _GPL2),
    ("texstudio-doc", "TeXstudio", _GPL2),
    ("gnome-klotski", "GNOME Klotski", _GFDL),
    ("gnome-tetravex", "GNOME Tetravex", _CC3),
    ("lightsoff", "Lights Off", _CC3),
    ("hamster-time-tracker", "Hamster", _CC3),
    ("drawing", "Drawing", _CC3),
    ("aisleriot", "AisleRiot", "GFDL-1.3-or-later"),
    ("gscan2pdf", "gscan2pdf", "GPL-3.0"),
]

PACKAGES: dict[str, Package] = {name: Package(name, app, license) for name, app, license in _ROWS}
