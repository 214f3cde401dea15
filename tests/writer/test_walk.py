"""The walk through a real Writer: what works is kept with proof, what does not is dropped with its reason."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.walk import evolve, pairs
from lam_train.apps.writer.walk.collection import collect_application_plans
from lam_train.apps.writer.walk.commands import Registry
from lam_train.apps.writer.walk.contexts import CONTEXTS
from lam_train.apps.writer.walk.dialogs import DialogDefinitions
from lam_train.apps.writer.walk.driver import Driver, StepFailed
from lam_train.apps.writer.walk.execute import Execution
from lam_train.apps.writer.walk.menus import menu_entries, open_entries
from lam_train.apps.writer.walk.plans import Act, Draft, Move, Result, Wish
from lam_train.apps.writer.walk.settings import WalkSettings
from lam_train.apps.writer.walk.walker import Sources, Walker
from lam_train.errors import UserError
from lam_train.records import TaskPlan, read_jsonl

pytestmark = pytest.mark.writer
INSTALLATION = Path("/usr/lib/libreoffice")
REGISTRY = Registry(INSTALLATION / "share/registry")
PATHS = {entry.command: entry.path for entry in reversed(menu_entries(INSTALLATION, REGISTRY))}
SOURCES = Sources(REGISTRY, DialogDefinitions(INSTALLATION), PATHS)


@pytest.fixture(scope="module")
def writer() -> Iterator[WriterEnvironment]:
    environment = WriterEnvironment(WriterSettings(max_steps=10**6))
    yield environment
    environment.close()


def walked(writer: WriterEnvironment, name: str) -> dict[str, Result]:
    """The results of one entry, by id."""
    entry = next(entry for entry in open_entries(INSTALLATION, REGISTRY) if str(entry) == name)
    results: list[Result] = []
    Walker(writer, SOURCES, results.append, set(), most=1).walk(entry)
    return {result.draft.id: result for result in results}


def execution(writer: WriterEnvironment, context: str) -> Execution:
    made = Execution(Driver(writer), CONTEXTS[context], "test", lambda result: None)
    made.fresh()
    return made


def spacing(value: str, tab: str = "Indents & Spacing", control: str = "Below paragraph") -> Draft:
    """A plan that sets a number on a tab of the paragraph dialog."""
    look = [*CONTEXTS["paragraph"].moves, pairs.choose(("Format", "Paragraph")), pairs.open_tab(tab)]
    act = Act(function="set_edit_text", name=control, types=["Edit"], args={"text": value})
    move = Move(text=f"In the “{control}” box, enter {value}.", acts=[act])
    return Draft(
        id=f"paragraph/{control}/{value}",
        page=f"tab {tab}",
        context="paragraph",
        kind="number",
        moves=[*look, move, pairs.press_button("OK")],
        setting=len(look),
        look=look,
        wish=Wish(name=control, types=["Edit"], value=value),
        dialog="Paragraph",
        tab=tab,
        control=control,
        value=value,
    )


def test_a_command_is_kept_because_the_saved_document_changed(writer):
    (result,) = walked(writer, "Format > Align Text > Centered").values()
    assert result.seen == "document"
    assert [move.text for move in result.draft.moves] == [
        "Click in the paragraph.",
        "Choose Format > Align Text > Centered.",
    ]


def test_a_button_and_keys_do_the_same_as_the_menu(writer):
    assert walked(writer, "toolbar: Bold")["toolbar/bold"].seen == "document"
    (by_keys,) = walked(writer, "keys: Ctrl+B").values()
    assert by_keys.seen == "document" and by_keys.draft.moves[-1].text == "Press Ctrl+B."
    assert by_keys.draft.page == "command .uno:Bold"  # one page, so one split


def test_a_command_that_changes_nothing_is_dropped(writer):
    (result,) = walked(writer, "Edit > Copy").values()
    assert result.failed == "no effect" and not result.seen


def test_a_dialog_that_inserts_is_judged_by_what_it_inserts(writer):
    (result,) = (result for result in walked(writer, "Insert > Bookmark").values() if result.draft.kind == "text")
    assert result.seen == "differs"
    run = execution(writer, result.draft.context)
    run.reach(result.draft.moves)
    given = run.driver.digest()
    with pytest.raises(StepFailed, match="as if nothing had been set"):  # were that what it gives with nothing set
        run.differs(result.draft, given)


def test_a_setting_is_kept_because_the_dialog_shows_it_again(writer):
    run = execution(writer, "paragraph")
    assert run.kept(spacing('0.3"')) == "kept"
    assert run.kept(spacing('0.5"')) == "kept"  # goes on from the dialog that stands open
    run.fresh()
    before = run.driver.digest()
    run.fresh()
    assert run.driver.digest() == before  # nothing is left of it


@pytest.mark.parametrize(
    ("draft", "kind"),
    [
        (spacing("40 m"), "not taken"),
        (spacing("2", control="No such box"), "no control"),
        (spacing("3", tab="Drop Caps", control="Lines"), "disabled"),  # needs its check box set first
        (spacing("2", tab="No such tab"), "no control"),
    ],
)
def test_a_plan_whose_steps_do_not_work_is_dropped_with_its_reason(writer, draft, kind):
    run = execution(writer, "paragraph")
    with pytest.raises(StepFailed) as failure:
        run.kept(draft)
    assert failure.value.kind in (kind, "refused" if kind == "disabled" else kind)
    assert run.left()  # and Writer is ready for the next


def test_what_does_not_stay_is_not_kept(writer):
    """A wish that the dialog shows at once, and not when it is opened again."""
    fleeting = spacing('0.4"')
    cancelled = fleeting.model_copy(update={"moves": [*fleeting.moves[:-1], pairs.press_button("Cancel")]})
    with pytest.raises(StepFailed, match="does not show") as failure:
        execution(writer, "paragraph").kept(cancelled)
    assert failure.value.kind == "not kept"


def test_a_writer_that_dies_costs_one_plan(writer):
    run = execution(writer, "paragraph")
    results = []
    run.report = results.append

    def dies(draft: Draft) -> str:
        below = psutil.Process(writer.office.bridge.pid).children(recursive=True)
        next(process for process in below if process.name() == "soffice.bin").kill()
        return run.kept(draft)

    run.attempt(spacing('0.3"'), dies)
    run.attempt(spacing('0.3"'), run.kept)
    assert [(result.failed, result.seen) for result in results] == [("application error", ""), ("", "kept")]


def test_two_plans_in_one_are_seen_to_do_both(writer):
    below, above = spacing('0.3"'), spacing('0.2"', control="Above paragraph")
    both = evolve.composed(below, above)
    assert [move.text for move in both.moves].count("Click OK.") == 1  # one visit of the dialog
    assert evolve.works(execution(writer, "paragraph"), both) == "kept"
    undone = evolve.composed(below, above).model_copy(update={"moves": below.moves})  # does the first alone
    with pytest.raises(StepFailed, match="Above paragraph"):
        evolve.works(execution(writer, "paragraph"), undone)


COMMAND = [
    *(sys.executable, "-m", "lam_train", "+recipe=collect_application_plans", "app.instances=1"),
    'walk.entries=["Format > Spacing > L","Format > Spacing > I"]',
]


def test_a_killed_walk_goes_on_and_its_dataset_adds_up(tmp_path):
    command = [*COMMAND, f"walk.output={tmp_path}/plans", f"run_dir={tmp_path}/run"]
    running = subprocess.Popen(command, start_new_session=True)
    entries = tmp_path / "plans/walk/entries-00000.jsonl"
    while running.poll() is None and not (entries.exists() and entries.read_text().count("\n") >= 2):
        pass
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = (tmp_path / "plans/walk/results-00000.jsonl").read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    subprocess.run(command, check=True)
    after = (tmp_path / "plans/walk/results-00000.jsonl").read_bytes()
    assert after.startswith(before) and len(after) > len(before)  # nothing was done again
    ids = [result.draft.id for result in read_jsonl(tmp_path / "plans/walk/results-00000.jsonl", Result)]
    assert len(set(ids)) == len(ids) == 6
    splits = {split: list(read_jsonl(tmp_path / f"plans/{split}.jsonl", TaskPlan)) for split in ("train", "test")}
    splits["validation"] = list(read_jsonl(tmp_path / "plans/validation.jsonl", TaskPlan))
    records = [pair for pairs_of in splits.values() for pair in pairs_of]
    pages = [{pair.page for pair in pairs_of} for pairs_of in splits.values()]
    assert len({page for group in pages for page in group}) == sum(map(len, pages))  # a page is in one split
    assert len(records) == len({pair.task for pair in records}) == len({tuple(pair.plan) for pair in records})
    assert all(pair.license == "MPL-2.0" and pair.app == "LibreOffice Writer" for pair in records)
    assert f"| pairs | {len(records)} |" in (tmp_path / "plans/card.md").read_text(encoding="utf-8")
    again = collect_application_plans(
        WalkSettings(output=str(tmp_path / "plans"), entries=["Format > Spacing > L"]), WriterSettings(instances=1)
    )
    assert (again / "walk/results-00000.jsonl").read_bytes() == after  # all was walked: no Writer starts


def test_an_entry_that_is_nowhere_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no entry begins so"):
        collect_application_plans(WalkSettings(output=str(tmp_path), entries=["Nowhere"]), WriterSettings())


def test_the_menu_bars_definition_is_what_writer_shows(writer):
    """Every entry of the Table menu that the definition has stands in Writer's own menu."""
    driver = Driver(writer)
    driver.begin("report.docx")
    driver.act(Act(function="click_input", name="Table", types=["MenuItem"]))
    shown = {control.control_text.rstrip(".…") for control in driver.observation.controls}
    defined = {entry.path[1] for entry in menu_entries(INSTALLATION, REGISTRY) if entry.path[0] == "Table"}
    assert defined - shown <= {"Edit Formula"}  # which Writer renames where there is none to edit
