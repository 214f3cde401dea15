"""What becomes of a walk's results: pairs, splits, counts, and what is evolved from them; no Writer is needed."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.walk import evolve
from lam_train.apps.writer.walk.card import shape
from lam_train.apps.writer.walk.collection import collect_application_plans, reviewed, unique_pairs, write_dataset
from lam_train.apps.writer.walk.driver import digest_of
from lam_train.apps.writer.walk.evolution import Walk, evolve_application_plans, reworded
from lam_train.apps.writer.walk.pairs import choose, open_tab, press_button
from lam_train.apps.writer.walk.plans import Act, Draft, Move, Result, Wish
from lam_train.apps.writer.walk.settings import EvolveWalkSettings, WalkSettings
from lam_train.apps.writer.walk.wording import task_of
from lam_train.collect.trajectories.store import ShardStore
from lam_train.errors import UserError
from lam_train.records import TaskPlan, read_jsonl

CLICK = Move(text="Click in the paragraph.", acts=[Act(function="click_input", types=["Document"])])


def setting(control: str, value: str, tab: str = "Indents", dialog: str = "Paragraph", kind: str = "number") -> Draft:
    look = [CLICK, choose(("Format", dialog)), open_tab(tab)]
    act = Act(function="set_edit_text", name=control, types=["Edit"], args={"text": value})
    return Draft(
        id=f"{dialog}/{tab}/{control}/{value}".lower().replace(" ", "-"),
        page=f"tab {tab}",
        context="paragraph",
        kind=kind,
        moves=[*look, Move(text=f"In the “{control}” box, enter {value}.", acts=[act]), press_button("OK")],
        setting=len(look),
        look=look,
        wish=Wish(name=control, types=["Edit"], value=value),
        dialog=dialog,
        tab=tab,
        control=control,
        value=value,
    )


def command(name: str) -> Draft:
    moves = [CLICK, choose(("Format", "Text", name))]
    path = ["Format", "Text", name]
    return Draft(
        id=name, page=name, context="paragraph", kind="command", moves=moves, path=path, command=f".uno:{name}"
    )


def worked(draft: Draft, seen: str = "kept") -> Result:
    return Result(draft=draft, entry="Format > Paragraph", seen=seen)


def docx(path: Path, body: str, **others: str) -> Path:
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("word/document.xml", f"<w:document>{body}</w:document>")
        for name, text in others.items():
            parts.writestr(name, text)
    return path


def test_documents_are_compared_by_content_alone(tmp_path):
    one = docx(tmp_path / "1.docx", '<w:p w:rsidR="001" w:date="2024">a</w:p>', **{"docProps/core.xml": "then"})
    two = docx(tmp_path / "2.docx", '<w:p w:rsidR="002" w:date="2025">a</w:p>', **{"docProps/core.xml": "now"})
    assert digest_of(one) == digest_of(two)
    assert digest_of(docx(tmp_path / "3.docx", "<w:p>b</w:p>")) != digest_of(docx(tmp_path / "4.docx", "<w:p>a</w:p>"))
    assert digest_of(docx(tmp_path / "5.docx", "<w:p>a</w:p>")) != digest_of(
        docx(tmp_path / "6.docx", "<w:p>a</w:p>", **{"word/comments.xml": "<c/>"})
    )


def test_a_moved_cursor_proves_nothing_of_a_command_that_is_not_there_to_move_it():
    bold = Result(draft=command("Bold"), entry="e", seen="selection")
    assert reviewed(bold).failed == "no effect" and not reviewed(bold).seen
    everything = Result(draft=command("SelectAll"), entry="e", seen="selection")
    assert reviewed(everything) == everything
    assert reviewed(worked(command("Bold"), "document")).seen == "document"


def test_equal_plans_count_once_and_equal_tasks_are_told_apart():
    one = setting("Left", "1 cm")
    same_plan = one.model_copy(update={"id": "another"})
    same_task = setting("Left", "1 cm", dialog="Frame").model_copy(update={"dialog": "Paragraph", "id": one.id + "x"})
    twin = next(
        same_task.model_copy(update={"id": f"twin-{number}"})
        for number in range(50)
        if task_of(same_task.model_copy(update={"id": f"twin-{number}"})) == task_of(one)
    )
    pairs, equal = unique_pairs([worked(one), worked(same_plan), worked(twin)])
    assert equal == 1 and len(pairs) == 2 and pairs[0].task != pairs[1].task
    assert pairs[1].task.startswith(pairs[0].task) and "Left" in pairs[1].task


def test_plans_that_differ_in_a_value_only_have_one_shape():
    assert shape(setting("Left", "1 cm")) == shape(setting("Left", "2 cm")) != shape(setting("Right", "1 cm"))
    assert shape(command("Bold")) != shape(command("Italic"))


@pytest.fixture
def folder(tmp_path) -> Path:
    store = ShardStore(tmp_path / "walk", "results", Result, 5)
    for tab in ("Indents", "Borders", "Area", "Tabs", "Flow", "Drop Caps"):
        for control in ("Left", "Right"):
            for value in ("1 cm", "2 cm"):
                store.append(worked(setting(control, value, tab)))
        for dialog in ("Frame", "Image"):
            store.append(worked(setting("Left", "1 cm", tab, dialog)))
    store.append(worked(command("Bold"), "document"))
    store.append(worked(command("Italic"), "selection"))
    store.append(Result(draft=setting("Top", "9 cm"), entry="e", failed="not kept"))
    store.close()
    write_dataset(WalkSettings(output=str(tmp_path), test=0.3, validation=0.2, seed=3), tmp_path)
    return tmp_path


def read(folder: Path) -> dict[str, list[TaskPlan]]:
    return {s: list(read_jsonl(folder / f"{s}.jsonl", TaskPlan)) for s in ("train", "validation", "test")}


def test_the_dataset_holds_what_worked_and_its_counts_add_up(folder):
    splits = read(folder)
    pairs = [pair for group in splits.values() for pair in group]
    counts = json.loads((folder / "counts.json").read_text())
    assert counts["plans tried"] == 39 and counts["worked"] == 37 == counts["pairs"] == len(pairs)
    assert counts["failed"] == {"no effect": 1, "not kept": 1}
    assert counts["distinct plans, values aside"] == 6 * 4 + 1
    assert counts["splits"] == {split: len(group) for split, group in splits.items()}
    assert sum(counts["seen"].values()) == sum(counts["kinds"].values()) == len(pairs)
    assert len({pair.task.casefold() for pair in pairs}) == len({tuple(pair.plan) for pair in pairs}) == len(pairs)


def test_a_tab_is_in_one_split_whatever_dialog_it_stands_in(folder):
    pages = {split: {pair.page for pair in group} for split, group in read(folder).items()}
    assert all(pages.values())
    assert sum(map(len, pages.values())) == len(set.union(*pages.values()))
    assert sum("Borders" in page for group in pages.values() for page in group) == 1


def test_compositions_stay_within_a_split_and_set_two_things(folder):
    walk = Walk(folder)
    drafts = [result.draft for result in walk.results]
    made = evolve.compositions(drafts, walk.split_of, 60, seed=0)
    assert len(made) > 20 and len({both.id for both in made}) == len(made)
    assert made == evolve.compositions(drafts, walk.split_of, 60, seed=0)
    for both in made:
        assert walk.split_of(both.first) == walk.split_of(both.second)
        assert (both.first.dialog, both.first.tab, both.first.control) != (
            both.second.dialog,
            both.second.tab,
            both.second.control,
        )


def test_two_settings_of_a_dialog_are_one_visit_and_a_command_comes_after():
    left, border, bold = setting("Left", "1 cm"), setting("Width", "2 pt", tab="Borders"), command("Bold")
    assert [move.text for move in evolve.composed(left, border).moves] == [
        "Click in the paragraph.",
        "Choose Format > Paragraph.",
        "Click the Indents tab.",
        "In the “Left” box, enter 1 cm.",
        "Click the Borders tab.",
        "In the “Width” box, enter 2 pt.",
        "Click OK.",
    ]
    texts = [move.text for move in evolve.composed(left, bold).moves]
    assert texts[-2:] == ["Click OK.", "Choose Format > Text > Bold."] and texts.count("Click in the paragraph.") == 1
    task = evolve.composed_task(evolve.composed(left, bold))
    assert "1 cm" in task and "bold" in task.lower()


def test_what_was_set_is_not_set_again_and_what_was_undone_is_left_out():
    box = Move(text="Select the “Fill” check box.", acts=[Act(function="click_input", name="Fill", types=["Button"])])
    left, right = (setting(control, "1 cm", tab="Area") for control in ("Left", "Right"))
    opened = [
        draft.model_copy(update={"moves": [*draft.look, box, *draft.moves[draft.setting :]], "setting": 4})
        for draft in (left.model_copy(update={"setting": 3}), right.model_copy(update={"setting": 3}))
    ]
    texts = [move.text for move in evolve.composed(*opened).moves]
    assert texts.count("Select the “Fill” check box.") == 1 and texts[-2].startswith("In the “Right” box")
    on, off = (setting("Fill", value, kind="check") for value in ("on", "off"))
    assert evolve.on_fresh_documents([on, off, left]) == [on, left]


def test_other_values_are_new_and_in_the_fields_unit():
    tried = [setting("Left", "1 cm"), setting("Left", "2 cm"), setting("Style", "Single", kind="choice")]
    more = list(evolve.other_values(tried, {draft.id for draft in tried}, each=3))
    assert len(more) == 3 and not {draft.value for draft in more} & {"1 cm", "2 cm"}
    assert all(draft.value.endswith("cm") and draft.wish.value == draft.value for draft in more)
    assert all(draft.moves[draft.setting].acts[0].args == {"text": draft.value} for draft in more)
    assert all(draft.value in draft.moves[draft.setting].text for draft in more)


def test_other_wordings_keep_the_plan_and_the_split(folder):
    walk = Walk(folder)
    plans = {result.draft.id: [move.text for move in result.draft.moves] for result in walk.results}
    again = list(reworded(walk, 1))
    assert len(again) > len(plans) // 2
    for evolved in again:
        id = evolved.id.rpartition("/")[0]
        assert evolved.plan == plans[id]
        assert evolved.task.casefold() != walk.tasks[f"libreoffice-writer-walk/{id}"].casefold()
        assert evolved.split == walk.splits[evolved.page]


def test_a_tilde_is_the_home_folder(folder, monkeypatch):
    """Both recipes, with nothing left to do in a Writer."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    monkeypatch.setattr("lam_train.apps.writer.walk.collection.walk", lambda *_: None)
    (folder / "again").mkdir()
    shutil.copytree(folder / "walk", folder / "again" / "walk")
    assert collect_application_plans(WalkSettings(output="~/again"), WriterSettings()) == folder / "again"
    evolved = EvolveWalkSettings(data="~/", output="~/evolved", values=0, compositions=0)
    assert evolve_application_plans(evolved, WriterSettings()) == folder / "evolved"
    assert (folder / "evolved" / "train.jsonl").exists() and not (folder / "~").exists()


def test_a_folder_without_a_walk_is_named(tmp_path):
    with pytest.raises(UserError, match="no walk there"):
        Walk(tmp_path)
    ShardStore(tmp_path / "walk", "results", Result, 5).append(
        Result(draft=command("Bold"), entry="e", failed="no effect")
    )
    with pytest.raises(UserError, match="no plan of the walk worked"):
        write_dataset(WalkSettings(output=str(tmp_path)), tmp_path)
