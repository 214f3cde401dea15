"""A documentation package, whatever its markup: LibreOffice Help, Mallard, DocBook or HTML.

HTML is read only where a package has nothing better: it is then mostly the DocBook, rendered.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lam_train.collect.catalog import PACKAGES
from lam_train.collect.packages import declared_license
from lam_train.collect.raw import RawPair
from lam_train.collect.sources import docbook_manuals, gnome_docs, html_manuals, libreoffice_help

_WHOLE_MANUALS = frozenset({"keepassxc", "geany-common", "kicad-doc-en", "texmaker-data", "texstudio-doc", "gscan2pdf"})


def read(package: str, folder: Path) -> Iterator[RawPair]:
    """All pairs of an unpacked package. One that the catalog lacks is named after itself."""
    known = PACKAGES.get(package)
    app = known.app if known else package
    license = known.license if known else declared_license(folder, package)
    if (folder / libreoffice_help.ROOT).is_dir():
        yield from libreoffice_help.read(package, folder, license)
        return
    found = False
    for raw in chain(
        gnome_docs.read(package, folder, app, license), docbook_manuals.read(package, folder, app, license)
    ):
        found = True
        yield raw
    if not found:
        yield from html_manuals.read(package, folder, app, license, whole_manual=package in _WHOLE_MANUALS)
