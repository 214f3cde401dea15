"""Collection from packages (faked in a cache, one really built, one really downloaded) to files."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from lam_train.collect import packages
from lam_train.collect.counts import STAGES
from lam_train.collect.filters import REASONS
from lam_train.collect.pipeline import CollectSettings, collect_plans
from lam_train.errors import Fault, UserError
from lam_train.records import TaskPlan, read_jsonl

FIXTURES = Path(__file__).parents[1] / "fixtures" / "collect"
PAGES = {
    "libreoffice-help-en-us": ("libreoffice_page.html", "libreoffice/help/en-US/text/swriter/guide/borders.html"),
    "evince-common": ("mallard.page", "help/C/evince/bookmarks.page"),
    "atril-common": ("mallard.page", "help/C/atril/bookmarks.page"),
    "mate-terminal-common": ("manual.docbook", "help/C/mate-terminal/index.docbook"),
    "keepassxc": ("manual.html", "keepassxc/docs/KeePassXC_UserGuide.html"),
}


@pytest.fixture
def cache(tmp_path) -> Path:
    """A cache in which each package is already downloaded and unpacked."""
    cache = tmp_path / "cache"
    for package, (fixture, place) in PAGES.items():
        (cache / "debs").mkdir(parents=True, exist_ok=True)
        (cache / "debs" / f"{package}_1.0_all.deb").touch()
        target = cache / "unpacked" / f"{package}_1.0_all" / "usr/share" / place
        target.parent.mkdir(parents=True)
        shutil.copy(FIXTURES / fixture, target)
    return cache


def settings(cache: Path, **changes) -> CollectSettings:
    return CollectSettings(**({"packages": list(PAGES), "cache": str(cache), "progress": "never"} | changes))


def test_counts_add_up_at_every_stage(cache, tmp_path):
    report = collect_plans(settings(cache), tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "counts.json").read_text())["pairs"]
    assert set(rows) == {*PAGES, "all"} and list(rows["all"]) == list(STAGES)
    for row in rows.values():
        assert row["parsed"] == row["unified"] + row["kind_not_wanted"] + sum(row[reason] for reason in REASONS)
        assert row["unified"] == row["kept"] + row["duplicate_exact"] + row["duplicate_near"] + row["not_sampled"]
        assert row["kept"] == row["train"] + row["validation"] + row["test"]
    for stage in STAGES:
        assert rows["all"][stage] == sum(row[stage] for name, row in rows.items() if name != "all")
    assert rows["all"]["kept"] == sum(len(records) for records in report.splits.values()) > 8
    assert rows["atril-common"]["duplicate_exact"] == 2, "the same page in two packages is kept once"


def test_files_are_written_and_no_page_is_in_two_splits(cache, tmp_path):
    report = collect_plans(settings(cache, validation=0.3, test=0.3, seed=3), tmp_path / "out")
    pages = {}
    for split, records in report.splits.items():
        assert list(read_jsonl(tmp_path / "out" / f"{split}.jsonl", TaskPlan)) == records
        for record in records:
            assert pages.setdefault(record.page, split) == split
            assert record.license and record.app and record.source in PAGES
    card = (tmp_path / "out" / "card.md").read_text()
    for text in ("| MPL-2.0 |", "| Evince |", "duplicate exact", "| keepassxc |", '"seed": 3'):
        assert text in card
    examples = (tmp_path / "out" / "examples.md").read_text()
    assert examples.count("\n## ") == min(20, report.counts.of("kept"))


def test_a_second_run_gives_the_same_bytes(cache, tmp_path):
    for folder in ("one", "two"):
        collect_plans(settings(cache), tmp_path / folder)
    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "examples.md", "counts.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_ids_tasks_and_splits_do_not_depend_on_the_other_packages(cache, tmp_path):
    every = collect_plans(settings(cache), tmp_path / "all")
    one = collect_plans(settings(cache, packages=["libreoffice-help-en-us"]), tmp_path / "one")
    for split, records in one.splits.items():
        ids = {record.task_id for record in every.splits[split]}
        assert {record.task_id for record in records} <= ids


def test_kinds_and_most_pairs(cache, tmp_path):
    report = collect_plans(settings(cache, kinds=["steps"], most_pairs=3), tmp_path / "out")
    records = [record for split in report.splits.values() for record in split]
    assert 0 < len(records) <= 3 and {record.kind for record in records} == {"steps"}
    assert report.counts.of("not_sampled") > 0 and report.counts.of("kind_not_wanted") > 0


def test_all_sources_at_once(cache, tmp_path):
    own = tmp_path / "own.jsonl"
    own.write_text('{"task_id": "mine/1", "task": "Make this bold", "plan": ["Press Ctrl+B."], "license": "CC0-1.0"}\n')
    report = collect_plans(
        settings(
            cache,
            own=str(own),
            wikihow=str(FIXTURES / "wikihow.json"),
            query_log=str(FIXTURES / "queries.tsv"),
        ),
        tmp_path / "out",
    )
    kept = {record.task_id: record for split in report.splits.values() for record in split}
    assert kept["mine/1"].task == "Make this bold" and "wikihow/10001/adding-a-page-border" in kept
    assert report.queries["needs_a_plan"] == 2
    assert len((tmp_path / "out" / "queries.jsonl").read_text().splitlines()) == 2
    assert "| needs_a_plan | 2 |" in (tmp_path / "out" / "card.md").read_text()


def test_without_any_source(tmp_path):
    with pytest.raises(UserError, match="collect has no source"):
        collect_plans(CollectSettings(packages=[], progress="never"), tmp_path)


def test_a_query_log_alone_gives_its_tasks_and_leaves_pairs_alone(cache, tmp_path):
    collect_plans(settings(cache), tmp_path / "out")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    report = collect_plans(settings(cache, packages=[], query_log=str(FIXTURES / "queries.tsv")), tmp_path / "out")
    assert report.queries["needs_a_plan"] == 2
    after = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert len(after.pop("queries.jsonl").splitlines()) == 2 and after == before


def test_a_wrong_path_of_a_query_log_is_said_before_anything_is_written(cache, tmp_path):
    with pytest.raises(UserError, match=r"collect\.query_log: /nowhere\.tsv: no such file"):
        collect_plans(settings(cache, query_log="/nowhere.tsv"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIXTURES / "wikihow.json", tmp_path)
    shutil.copy(FIXTURES / "queries.tsv", tmp_path)
    (tmp_path / "own.jsonl").write_text('{"task_id": "mine/1", "task": "Make it bold", "plan": ["Press Ctrl+B."]}\n')
    paths = {"own": "~/own.jsonl", "wikihow": "~/wikihow.json", "query_log": "~/queries.tsv", "output": "~/plans"}
    collect_plans(CollectSettings(packages=[], progress="never", **paths))
    assert (tmp_path / "plans" / "queries.jsonl").exists() and not (tmp_path / "~").exists()


def test_an_id_that_comes_twice_is_refused(cache, tmp_path):
    own = tmp_path / "own.jsonl"
    own.write_text('{"task_id": "mine/1", "task": "Make it bold", "plan": ["Press Ctrl+B."]}\n' * 2)
    with pytest.raises(UserError, match="task_id mine/1 comes twice"):
        collect_plans(settings(cache, packages=[], own=str(own)), tmp_path / "out")


def test_one_package_that_cannot_be_had_is_reported_not_fatal(cache, tmp_path, monkeypatch):
    def download(names, debs):
        return "E: Unable to locate package no-such" if "no-such" in names else None

    monkeypatch.setattr(packages, "_download", download)
    monkeypatch.setattr(packages.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    report = collect_plans(settings(cache, packages=["evince-common", "no-such"]), tmp_path / "out")
    assert list(report.unavailable) == ["no-such"]
    assert "Unable to locate package" in (tmp_path / "out" / "card.md").read_text()
    with pytest.raises(UserError, match=r"none of the 1 packages could be had; no-such.*data/plans_sample"):
        collect_plans(settings(cache, packages=["no-such"]), tmp_path / "out")


def test_missing_tools_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda tool: None)
    with pytest.raises(UserError, match=r"needs apt-get.*data/plans_sample"):
        packages.fetch(["gedit-common"], tmp_path)


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("E: Unable to locate package x", "apt-get update"),
        ("E: Can't select candidate version from package x as it has no candidate", "mirror"),
        ("E: Failed to fetch http://… Temporary failure resolving", "mirror"),
    ],
)
def test_reasons_name_the_remedy(stderr, hint):
    assert hint in packages._reason(f"W: something\n{stderr}\n")


def test_an_interrupted_download_leaves_the_cache_clean(tmp_path, monkeypatch):
    def killed(command, cwd, **kwargs):
        (Path(cwd) / "gedit-common_1_all.deb").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(packages.subprocess, "run", killed)
    (tmp_path / "debs").mkdir()
    with pytest.raises(KeyboardInterrupt):
        packages._download(["gedit-common"], tmp_path / "debs")
    assert packages.cached_deb("gedit-common", tmp_path) is None


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb builds the package")
def test_a_real_package_is_unpacked_without_what_is_not_documentation(tmp_path):
    root = tmp_path / "tree"
    for place in ("help/C/evince/bookmarks.page", "help/de/evince/bookmarks.page", "evince/evince.png"):
        (root / "usr/share" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FIXTURES / "mallard.page", root / "usr/share" / place)
    copyright = root / "usr/share/doc/evince-common/copyright"
    copyright.parent.mkdir(parents=True)
    copyright.write_text("Files: *\nCopyright: 2020 Someone\nLicense: GPL-2+\n")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: evince-common\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: test\n"
    )
    cache = tmp_path / "cache"
    (cache / "debs").mkdir(parents=True)
    deb = cache / "debs" / "evince-common_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, deb], check=True, capture_output=True)
    assert packages.fetch(["evince-common"], cache) == {}, "what is cached is not downloaded again"
    folder = packages.unpack("evince-common", cache)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["usr/share/doc/evince-common/copyright", "usr/share/help/C/evince/bookmarks.page"]
    assert packages.declared_license(folder, "evince-common") == "GPL-2+"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb reads the package")
def test_a_damaged_package_is_left_out_and_named(cache, tmp_path):
    (cache / "debs" / "broken_1_all.deb").write_bytes(b"not a package")
    report = collect_plans(settings(cache, packages=["broken", "evince-common"]), tmp_path / "out")
    assert "remove the file and run again" in report.unavailable["broken"]
    assert not list((cache / "unpacked").glob(".partial-*"))


def test_a_package_never_writes_outside_its_folder(tmp_path):
    cache, out = tmp_path / "cache", "./usr/share/help/C/" + "../" * 6 + "outside.page"
    (cache / "debs").mkdir(parents=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tree:
        tree.addfile(tarfile.TarInfo(out), io.BytesIO())
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    members = [("debian-binary", b"2.0\n"), ("control.tar", empty.getvalue()), ("data.tar", packed.getvalue())]
    with (cache / "debs" / "sly_1_all.deb").open("wb") as deb:  # an archive of ar's, as no tool for packages makes it
        deb.write(b"!<arch>\n")
        for name, content in members:
            deb.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content)
    with pytest.raises(Fault, match="leads out of the folder"):
        packages.unpack("sly", cache)
    assert not list(tmp_path.rglob("outside.page")) and not list((cache / "unpacked").iterdir())


@pytest.mark.network
def test_a_small_package_from_debian(tmp_path):
    report = collect_plans(
        CollectSettings(packages=["gedit-common"], cache=str(tmp_path / "cache"), progress="never"), tmp_path / "out"
    )
    assert report.counts.of("kept") > 10
    assert {record.app for records in report.splits.values() for record in records} == {"gedit"}
