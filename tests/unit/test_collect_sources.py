"""Each source on a small page in its own format, with the traps that the real ones have."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lam_train.collect.filters import Limits, reason_to_drop
from lam_train.collect.pairing import Page
from lam_train.collect.raw import RawPair
from lam_train.collect.sources import (
    docbook_manuals,
    gnome_docs,
    html_manuals,
    hub,
    libreoffice_help,
    own_files,
    query_log,
    wikihow,
)
from lam_train.collect.unify import unify
from lam_train.errors import UserError
from lam_train.records import TaskPlan

FIXTURES = Path(__file__).parents[1] / "fixtures" / "collect"


def kept(raws) -> list[TaskPlan]:
    """The pairs that pass the filters, as records."""
    return [unify(raw) for raw in raws if reason_to_drop(raw, Limits()) is None]


def of_kind(records: list[TaskPlan], kind: str) -> list[tuple[str, list[str]]]:
    return [(record.task, record.plan) for record in records if record.kind == kind]


@pytest.fixture
def libreoffice() -> list[RawPair]:
    page = Page("libreoffice-help-en-us", "swriter/guide/borders", "LibreOffice Writer", "MPL-2.0")
    return list(libreoffice_help.read_page((FIXTURES / "libreoffice_page.html").read_bytes(), page))


def test_libreoffice_steps_join_cut_lists_drop_mac_and_keep_choices(libreoffice):
    steps = of_kind(kept(libreoffice), "steps")
    assert steps == [
        (
            "Set a Predefined Border Style",
            [
                "Choose Format > Page Style.",
                "Press Ctrl+A, then click the Borders tab.",
                "Do one of the following: (a) Select a default border style. (b) Select a line width.",
                "Click OK.",
            ],
        ),
        ("Change the distance of the border", ["Open the page style.", "Enter a value in the Padding box."]),
    ]


def test_libreoffice_prose_and_menu_paths_are_marked(libreoffice):
    records = kept(libreoffice)
    assert of_kind(records, "prose") == [("Remove a border", ["Choose Format > Page Style.", "Click the Borders tab."])]
    paths = [record for record in records if record.kind == "menu_path"]
    assert [record.plan for record in paths] == [
        ["Choose Tools > Options > LibreOffice Writer.", "Click the Borders tab."],
        ["On the Drawing bar, click Borders."],
        ["Choose Shape > Borders."],
    ]
    assert [record.app for record in paths] == ["LibreOffice Writer", "LibreOffice Writer", "LibreOffice Draw"]


def test_ids_and_pages_depend_on_the_page_alone(libreoffice):
    ids = [raw.task_id for raw in libreoffice]
    assert len(set(ids)) == len(ids)
    assert ids[0] == "libreoffice-help-en-us/swriter/guide/borders/prose-1"
    assert "libreoffice-help-en-us/swriter/guide/borders/1" in ids
    assert {raw.page for raw in libreoffice} == {"libreoffice-help-en-us/swriter/guide/borders"}


def test_what_is_dropped_says_why(libreoffice):
    reasons = {raw.steps[0]: reason_to_drop(raw, Limits()) for raw in libreoffice}
    assert reasons["Three hyphens yield a single line."] == "not_instructions"


def test_mallard_menus_keys_code_and_notes():
    page = Page("evince-common", "evince/bookmarks", "Evince", "CC-BY-SA-3.0")
    raws = list(gnome_docs.read_page((FIXTURES / "mallard.page").read_bytes(), page))
    records = kept(raws)
    assert of_kind(records, "steps") == [
        (
            "Add a bookmark",
            [
                "Click Bookmarks > Add Bookmark...",
                "Type a name, for example chapter-2.",
                "Choose a place: (a) Select a folder. (b) Click New Folder.",
            ],
        )
    ]
    assert of_kind(records, "prose") == [("See all bookmarks", ["Press Ctrl+B."])]


def test_docbook_entities_menus_substeps_and_sections_as_pages():
    page = Page("gnome-terminal-data", "gnome-terminal/index", "GNOME Terminal", "GFDL", whole_manual=True)
    records = kept(docbook_manuals.read_page((FIXTURES / "manual.docbook").read_bytes(), page))
    assert of_kind(records, "steps") == [
        (
            "Add a profile",
            [
                "Choose Edit > Profiles in GNOME Terminal — not in the shell.",
                "Press Ctrl+N.",
                "In the dialog: Enter a name.",
                "Click Create.",
            ],
        )
    ]
    assert of_kind(records, "prose") == [
        ("Close a tab", ["Click its cross.", "Confirm."]),
        ("Move a tab", ["Drag it."]),
    ]
    pages = {record.page for record in records}
    assert pages == {
        "gnome-terminal-data/gnome-terminal/index/profiles",
        "gnome-terminal-data/gnome-terminal/index/tabs",
    }


def test_html_manual_skips_contents_and_picture_announcements():
    page = Page("keepassxc", "keepassxc/guide", "KeePassXC", "GPL-3.0", whole_manual=True)
    records = kept(html_manuals.read_page((FIXTURES / "manual.html").read_bytes(), page))
    assert of_kind(records, "steps") == [
        ("Create a database", ["Click Database > New Database.", "Enter a name and press Alt+N.", "Click Done."])
    ]
    assert records[0].task_id == "keepassxc/keepassxc/guide/db/1"


def test_wikihow_json_gives_a_pair_for_each_method_about_an_application():
    records = kept(wikihow.read(FIXTURES / "wikihow.json"))
    assert [(record.task, record.app) for record in records] == [
        ("Add a Border in Microsoft Word", "Microsoft Word"),
        ("Add a Border in Microsoft Word", "Microsoft Word"),
    ]
    assert records[0].plan == ["Click the Design tab.", "Click Page Borders."]
    assert records[0].license == "CC-BY-NC-SA-3.0"
    assert {record.page for record in records} == {"wikihow/10001"}


def test_wikihow_csv():
    (record,) = kept(wikihow.read(FIXTURES / "wikihow.csv"))
    assert record.task == "Merge Cells in Excel"
    assert record.plan == ["Open your spreadsheet.", "Select the cells to merge.", "Click Merge & Center."]


def test_wikihow_that_is_something_else(tmp_path):
    path = tmp_path / "articles.json"
    path.write_text('{"goal": "How to Print in Excel", "methods": [{"steps": [{"text": "Click."}]}]}\n')
    with pytest.raises(UserError, match=r"articles\.json, line 1: not a WikiHow article: KeyError 'headline'"):
        list(wikihow.read(path))
    (tmp_path / "a.csv").write_text("question,answer\nx,y\n")
    with pytest.raises(UserError, match="headline,title,text"):
        list(wikihow.read(tmp_path / "a.csv"))


def test_query_log_tsv_counts_clicks_once_and_keeps_no_users():
    tasks, counts = query_log.read(FIXTURES / "queries.tsv")
    assert [(task.query, task.app, task.count) for task in tasks] == [
        ("how to add a border in microsoft word", "Microsoft Word", 2),
        ("sort a column in excel", "Microsoft Excel", 1),
    ]
    assert counts == {"read": 5, "needs_a_plan": 2, "repeated": 1, "not_a_task": 1, "no_app": 1}
    assert "142" not in "".join(task.model_dump_json() for task in tasks)


def test_query_log_jsonl():
    tasks, counts = query_log.read(FIXTURES / "queries.jsonl")
    assert [(task.task_id, task.count) for task in tasks] == [("query/freeze-the-top-row-in-excel", 15)]
    assert counts["read"] == sum(counts[key] for key in ("no_app", "not_a_task", "repeated", "needs_a_plan"))


def test_query_log_without_its_column(tmp_path):
    (tmp_path / "log.tsv").write_text("user\ttext\n1\thello\n")
    with pytest.raises(UserError, match="no column named Query"):
        query_log.read(tmp_path / "log.tsv")
    (tmp_path / "log.jsonl").write_text('{"query": "print in excel", "count": "many"}\n')
    with pytest.raises(UserError, match=r"log\.jsonl, line 1: `count`"):
        query_log.read(tmp_path / "log.jsonl")


RECORD = {"task_id": "a/1", "task": "Make this bold", "plan": ["Press Ctrl+B."]}


def test_own_files_jsonl_json_and_parquet_in_a_folder(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(RECORD) + "\n\n")
    (tmp_path / "b.json").write_text(json.dumps([RECORD | {"task_id": "b/1"}]))
    table = pyarrow.Table.from_pylist([RECORD | {"task_id": "c/1", "app": "LibreOffice Writer"}])
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet")
    (tmp_path / "notes.txt").write_text("not read")
    rows = list(own_files.read_rows(tmp_path))
    assert [row["task_id"] for _, row in rows] == ["a/1", "b/1", "c/1"]
    assert rows[0][0].endswith("a.jsonl, line 1") and rows[2][0].endswith("c.parquet, row 1")
    records = kept(own_files.read(tmp_path))
    assert [record.task for record in records] == ["Make this bold"] * 3, "a task somebody wrote is kept as it is"
    assert [record.page for record in records] == ["a/1", "b/1", "c/1"], "without a page, a record is its own"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"task_id": "1"}\nnot json\n', r"x\.jsonl, line 1: task: field required; plan: field required"),
        ("x.jsonl", f"{json.dumps(RECORD)}\n[1]\n", r"x\.jsonl, line 2: a row must be an object, not list"),
        ("x.jsonl", f"{json.dumps(RECORD)}\n{{\n", r"x\.jsonl, line 2: not JSON"),
        ("x.json", '[\n{"a": 1},\n]', r"x\.json, line 3: not JSON.*named \.jsonl"),
        ("x.parquet", "no parquet", r"x\.parquet: not a Parquet file"),
        ("x.csv", "a,b", r"x\.csv: cannot read \.csv; give one of"),
    ],
)
def test_bad_own_files_name_file_line_and_reason(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(own_files.read(tmp_path / name))


def test_missing_own_files(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        list(own_files.read_rows(tmp_path / "nothing.jsonl"))
    with pytest.raises(UserError, match=r"no \.jsonl, \.json, \.parquet file in this folder"):
        list(own_files.read_rows(tmp_path))


def test_the_hub_offline_is_said_plainly(monkeypatch, tmp_path):
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"someone/plans: HF_HUB_OFFLINE is set.*save the rows as JSONL or Parquet"):
        next(hub.load_hub_rows("someone/plans"))


def test_the_hub_out_of_reach_is_said_plainly(monkeypatch):
    import datasets
    import huggingface_hub.constants

    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(
        UserError, match=r"someone/plans: the Hugging Face hub cannot be reached.*Couldn't reach the Hub"
    ):
        next(hub.load_hub_rows("someone/plans"))


def test_a_dataset_in_a_folder_reads_as_from_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text(json.dumps(RECORD) + "\n")
    assert list(hub.load_hub_rows(str(tmp_path / "set"))) == [RECORD]
    with pytest.raises(UserError, match="split 'nosuch'"):
        list(hub.load_hub_rows(str(tmp_path / "set"), split="nosuch"))
