"""Debian packages with documentation: downloaded without root, unpacked without being installed.

`apt-get download` puts a .deb into a cache; of its files only the documentation is unpacked. Both are
written beside their place and renamed, so an interrupted run leaves nothing half done behind.
"""

import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lam_train.errors import Fault, UserError

FIXTURE_HINT = "without them, data/plans_sample has 200 pairs to try things with"
_BATCH = 8
_WANTED = re.compile(
    r"^\./usr/share/(?:help/C/|gnome/help/[^/]+/C/|doc/[^/]*/copyright$|doc/HTML/en/|doc/.*\.(?:html?|docbook)$"
    r"|libreoffice/help/en-US/text/|gimp/[^/]+/help/en/|(?!help/|doc/|gnome/help/|gtk-doc/|locale/)[^/]+/.*\.html?$)"
)
_DOCUMENT = re.compile(r"(?:\.(?:html?|xhtml|page|xml|docbook|ent|dtd)|/copyright)$")


def default_cache() -> Path:
    """Where downloaded packages are kept between runs."""
    return Path.home() / ".cache" / "lam_train" / "documentation"


def fetch(packages: Iterable[str], cache: Path, progress: Callable[[int], None] = lambda done: None) -> dict[str, str]:
    """Downloads what the cache lacks; `progress` is told how many packages were dealt with.

    Returns the packages that could not be had, each with the reason. Raises UserError when the tools are missing.
    """
    packages = list(packages)
    missing = [package for package in packages if cached_deb(package, cache) is None]
    progress(len(packages) - len(missing))
    if not missing:
        return {}
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UserError(
                f"collect.packages needs {tool}, which is not on this machine (it comes with Debian and Ubuntu); "
                f"run the recipe there, or leave collect.packages=[] and give your own files; {FIXTURE_HINT}"
            )
    debs = cache / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        if _download(batch, debs) is not None:  # one unknown name fails them all: find which
            for package in batch:
                reason = _download([package], debs)
                if reason is not None:
                    failed[package] = reason
        progress(len(batch))
    return failed


def cached_deb(package: str, cache: Path) -> Path | None:
    """The newest cached .deb of a package, or None."""
    found = sorted((cache / "debs").glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _download(packages: list[str], debs: Path) -> str | None:
    """None when all came, else why not."""
    with tempfile.TemporaryDirectory(dir=debs, prefix=".partial-") as folder:
        command = ["apt-get", "download", "-qq", *packages]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800)
        except subprocess.TimeoutExpired:
            return "the download took longer than 30 minutes"
        if done.returncode != 0:
            return _reason(done.stderr)
        for deb in Path(folder).glob("*.deb"):
            deb.replace(debs / deb.name)
    return None


def _reason(stderr: str) -> str:
    errors = [line[3:].strip() for line in stderr.splitlines() if line.startswith("E: ")] or [stderr.strip()[-200:]]
    if "Unable to locate package" in errors[0] or "No candidate" in stderr or "Can't find a source" in stderr:
        return f"{errors[0]}: is the name right, and are the package lists there? (apt-get update fetches them)"
    return f"{errors[0]}: is the package mirror reachable?"


def unpack(package: str, cache: Path) -> Path:
    """The folder with the package's English documentation, unpacked once. Raises Fault on a damaged .deb."""
    deb = cached_deb(package, cache)
    if deb is None:
        raise Fault(f"{package} is not in {cache}/debs; download it first")
    folder = cache / "unpacked" / deb.stem
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        _extract(deb, partial)
        partial.replace(folder)
    except (tarfile.TarError, OSError, subprocess.SubprocessError) as error:
        raise Fault(f"{deb}: cannot be unpacked ({error}); remove the file and run again") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _extract(deb: Path, folder: Path) -> None:
    """The documentation files of a .deb, streamed: nothing else touches the disk."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as dpkg:
        assert dpkg.stdout is not None
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile() and _WANTED.match(member.name) and _DOCUMENT.search(member.name):
                    _copy(archive, member, folder)
        dpkg.stdout.read()
    if dpkg.returncode != 0:
        raise subprocess.CalledProcessError(dpkg.returncode, "dpkg-deb")


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file, never to a place outside `folder`. (`extract` has a filter for that, but not in Debian 12's Python.)"""
    target = (folder / member.name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"{member.name} leads out of the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.extractfile(member) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def declared_license(folder: Path, package: str) -> str:
    """The license that the package's copyright file declares for all its files ("unknown" when it declares none)."""
    path = folder / "usr/share/doc" / package / "copyright"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    match = re.search(r"^Files:\s*\*\s*$.*?^License:\s*(\S[^\n]*)", text, re.MULTILINE | re.DOTALL)
    return match.group(1).strip() if match else "unknown (see the package's copyright file)"
