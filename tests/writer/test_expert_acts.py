"""The embedded expert in a real Writer: what it understands it does, and the executable check says so."""

import docx
import pytest

from lam_train.agent.episode import EpisodeSettings, run_episode
from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.expert import ManualExpert
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.check import check_document
from lam_train.records import Operation, Task

pytestmark = pytest.mark.writer
EXPERT = ManualExpert()
SETTINGS = EpisodeSettings(max_steps=20)

# Request about the template "report", the operation that it means, and how many steps it takes.
REPORT = {
    'Make "digital loans" bold.': ("bold", {"phrase": "digital loans"}, 2),
    'Set the font size of "digital loans" to 16 pt.': ("font_size", {"phrase": "digital loans", "size": "16"}, 2),
    'Change the color of "digital loans" to red.': ("font_color", {"phrase": "digital loans", "color": "red"}, 7),
    'Highlight "digital loans" in yellow.': ("highlight", {"phrase": "digital loans", "color": "yellow"}, 7),
    'Center the heading "Visitors".': ("alignment", {"paragraph": "Visitors", "alignment": "center"}, 2),
    'Set the space above the heading "Visitors" to 18 pt.': (
        "space_above", {"paragraph": "Visitors", "points": 18}, 6,
    ),
    'Start the heading "Building" on a new page.': ("page_break", {"paragraph": "Building"}, 3),
    'Delete the column "Loans".': ("delete_column", {"column": "Loans"}, 4),
    "Switch the page to landscape.": ("orientation", {"landscape": True}, 5),
    'Put "Draft" in the header.': ("header", {"text": "Draft"}, 5),
    'Add a footnote to "digital loans" saying "See below."': (
        "footnote", {"phrase": "digital loans", "text": "See below."}, 3,
    ),
}  # fmt: skip


def writer(**settings) -> WriterEnvironment:
    return WriterEnvironment(WriterSettings(instances=1, **settings), check=check_document)


@pytest.fixture(scope="module")
def environment():
    made = writer()
    yield made
    made.close()


def act(environment, request, *operations):
    task = Task(task_id="test", request=request, template="report", operations=list(operations))
    return run_episode(task, environment, lambda state: EXPERT.decide([state])[0], SETTINGS, policy=EXPERT.name)


@pytest.mark.parametrize("request_text", REPORT)
def test_what_it_understands_it_does(environment, request_text):
    name, parameters, steps = REPORT[request_text]
    trajectory = act(environment, request_text, Operation(name=name, parameters=parameters))
    assert trajectory.outcome == "success", (trajectory.reason, trajectory.verdicts, trajectory.steps[-1].problem)
    assert len(trajectory.steps) == steps
    assert not any(step.error for step in trajectory.steps)
    assert trajectory.steps[-1].action.status == "FINISH"


def test_two_things_at_once_and_each_state_decided_afresh(environment):
    trajectory = act(
        environment,
        'Comment on "digital loans": "Really?", then make it italic.',
        Operation(name="comment", parameters={"phrase": "digital loans", "text": "Really?"}),
        Operation(name="italic", parameters={"phrase": "digital loans"}),
    )
    assert trajectory.outcome == "success", (trajectory.reason, trajectory.verdicts)
    alone = [ManualExpert().decide([state])[0].action for state in reversed(trajectory.states())]
    assert alone[::-1] == [step.action for step in trajectory.steps]


def test_a_selection_left_behind_is_not_what_the_next_thing_is_done_to(environment):
    """Writer would put the selected text in columns, and a table in place of it."""
    bold = Operation(name="bold", parameters={"phrase": "digital loans"})
    anywhere = {"rows": 2, "columns": 3, "place": "anywhere"}
    for request, operation in (
        ("format the document in two columns", Operation(name="columns", parameters={"columns": 2})),
        (
            "add a 2 by 3 table",
            Operation(name="insert_table", parameters=anywhere),
        ),
    ):
        trajectory = act(environment, f'Make "digital loans" bold, then {request}.', bold, operation)
        assert trajectory.outcome == "success", (trajectory.reason, trajectory.verdicts)


def test_a_table_is_sorted(environment):
    act(environment, "Sort the table by the second column in descending order.")
    table = docx.Document(environment.save()).tables[0]
    assert [row.cells[0].text for row in table.rows][-1] == "Millbrook"


def test_what_it_does_not_understand_it_does_not_do(environment):
    trajectory = act(environment, "I want the report to look nicer.")
    assert (trajectory.outcome, trajectory.reason, len(trajectory.steps)) == ("fail", "no plan", 1)


def test_where_the_toolbar_hides_a_button_the_menu_is_taken():
    environment = writer(width=640)
    try:
        trajectory = act(
            environment,
            'Justify the paragraph that mentions "digital loans".',
            Operation(
                name="alignment",
                parameters={
                    "paragraph": "The library welcomed 84,310 visitors in 2024, six percent more than the year before. "
                    "Loans of printed books were stable, while digital loans grew quickly.",
                    "alignment": "justify",
                },
            ),
        )
    finally:
        environment.close()
    assert trajectory.outcome == "success", (trajectory.reason, trajectory.verdicts)
    assert [step.action.control_name for step in trajectory.steps] == ["", "Format", "Align Text", "Justified"]
