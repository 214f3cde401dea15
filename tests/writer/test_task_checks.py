"""Every family's check against documents that a real Writer stored: right ones, untouched ones, wrong ones."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from lam_train.apps.writer.make_templates import make
from lam_train.apps.writer.tasks.check import judge
from lam_train.apps.writer.tasks.comparison import compare
from lam_train.apps.writer.tasks.docx_reader import read_document
from lam_train.apps.writer.tasks.families import FAMILIES
from lam_train.apps.writer.tasks.family import Drawn
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks, load_sources
from lam_train.apps.writer.templates import FOLDER, template_path
from lam_train.records import Operation

pytestmark = pytest.mark.writer

ORACLE = Path(__file__).parent / "oracle.py"
# Another operation in place of the one asked for, where the family has no other parameters to get wrong.
INSTEAD = {"delete_table": "delete_row", "track_changes": "document_title", "orientation": "paper_size",
           "sort_list": "remove_list", "page_number": "footer"}  # fmt: skip


@dataclass(frozen=True)
class Case:
    template: str
    asked: list[Operation]
    done: list[tuple[str, dict]]  # what the oracle does
    right: bool
    what: str


@pytest.fixture(scope="module")
def sources():
    return load_sources()


@pytest.fixture(scope="module")
def cases(sources) -> list[Case]:
    """For every family, on one template: the right document, the untouched one, three wrong ones; compositions too."""
    made = []
    for name, family in FAMILIES.items():
        rng = Random(f"check {name}")
        for template in rng.sample(sorted(sources), len(sources)):
            listed = family_cases(name, family, sources[template], rng)
            if listed:
                made += listed
                break
        else:
            raise AssertionError(f"no template gives {name} its cases")
    none = SplitCounts()
    settings = TaskSettings(seed=7, singles=none, compositions=SplitCounts(train=8, validation=4, test=6), triples=0.5)
    for task in generate_tasks(settings):
        done = [(operation.name, operation.parameters) for operation in task.operations]
        made.append(Case(task.template, task.operations, in_order(done), True, "composition"))
        made.append(Case(task.template, task.operations, in_order(done[1:]), False, "composition with a part missing"))
    return [*made, *variants(sources)]


def family_cases(name: str, family, source, rng: Random) -> list[Case]:
    drawn = family.draw(source, rng)
    if drawn is None:
        return []
    asked = [Operation(name=name, parameters=drawn.parameters)]
    right = (name, drawn.parameters)
    wrong = wrong_operation(name, family, source, drawn, rng)
    also = rng.choice(["bold", "space_below"])
    extras = [unrelated(source, drawn, kind, rng) for kind in (also, "italic")]
    if wrong is None or None in extras:
        return []
    other, italic = extras
    typed = ("type", {"before": italic[1]["phrase"], "text": "Really "})
    return [
        Case(source.template, asked, [right], True, "right"),
        Case(source.template, asked, [], False, "untouched"),
        Case(source.template, asked, [wrong], False, f"wrong: {wrong}"),
        Case(source.template, asked, in_order([right, other]), False, f"also {other}"),
        Case(source.template, asked, in_order([right, typed]), False, f"also {typed}"),
    ]


def wrong_operation(name: str, family, source, drawn: Drawn, rng: Random) -> tuple[str, dict] | None:
    """The family with other parameters, or another family where it has none."""
    if name in INSTEAD:
        other = FAMILIES[INSTEAD[name]].draw(source, rng)
        return (INSTEAD[name], other.parameters) if other else None
    for _ in range(50):
        other = family.draw(source, rng)
        if other is not None and other.parameters != drawn.parameters and other.parameters.get("place") != "anywhere":
            return name, other.parameters
    return None


def unrelated(source, drawn: Drawn, name: str, rng: Random) -> tuple[str, dict] | None:
    for _ in range(50):
        other = FAMILIES[name].draw(source, rng)
        if other is not None and not other.touches & drawn.touches:
            return name, other.parameters
    return None


def in_order(operations: list[tuple[str, dict]]) -> list[tuple[str, dict]]:
    """What moves or rewrites paragraphs comes last, so that the others find theirs by their texts."""
    late = ("type", "change_case", "find_replace", "replace_phrase")
    return sorted(operations, key=lambda o: (o[0] in late) + 2 * (o[0] in FAMILIES and FAMILIES[o[0]].structural))


def variants(sources) -> list[Case]:
    """Other ways to do the same, and every template loaded and stored with nothing done."""
    made = []
    for name, way in (("page_break", "page_break_by_dialog"), ("delete_paragraph", "empty_paragraph")):
        drawn = FAMILIES[name].draw(sources["minutes"], Random(way))
        asked = [Operation(name=name, parameters=drawn.parameters)]
        made.append(Case("minutes", asked, [(way, drawn.parameters)], True, way))
    return made + [Case(template, [], [], True, "resaved") for template in sources]


@pytest.fixture(scope="module")
def stored(cases, tmp_path_factory) -> list[Path]:
    """The documents of all cases, made by one Writer; what is done alike is done once."""
    folder = tmp_path_factory.mktemp("oracle")
    wanted = [json.dumps({"template": str(template_path(case.template)), "operations": case.done}) for case in cases]
    files = {job: folder / f"{index}.docx" for index, job in enumerate(dict.fromkeys(wanted))}
    listed = [json.loads(job) | {"out": str(file)} for job, file in files.items()]
    (folder / "cases.json").write_text(json.dumps(listed))
    command = ["/usr/bin/python3", str(ORACLE), str(folder / "cases.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-2000:]
    failed = json.loads(done.stdout)
    assert not failed, {str(listed[int(index)]): error for index, error in failed.items()}
    return [files[job] for job in wanted]


def test_checks_accept_what_is_right_and_reject_what_is_not(cases, stored, sources):
    misjudged = []
    for case, file in zip(cases, stored, strict=True):
        if case.asked:
            verdict = judge(case.asked, sources[case.template].document, read_document(file))
            if (verdict.complete == "yes") != case.right:
                misjudged.append(f"{case.template}: asked {case.asked}, {case.what}: {verdict}")
    assert not misjudged, "\n".join(misjudged)


def test_every_family_has_right_and_wrong_documents(cases):
    for name in FAMILIES:
        own = [case for case in cases if [operation.name for operation in case.asked] == [name]]
        assert sum(case.right for case in own) >= 1, name
        assert sum(not case.right and case.what != "untouched" for case in own) >= 3, name


def test_templates_come_back_from_writer_as_they_were(cases, stored, sources):
    for case, file in zip(cases, stored, strict=True):
        if not case.asked:
            document = read_document(file)
            assert compare(sources[case.template].document, document) == [], case.template
            assert compare(document, sources[case.template].document) == [], case.template


def test_the_script_makes_the_shipped_templates(tmp_path, sources):
    make([FOLDER / "source" / "letter.md", FOLDER / "source" / "recipe.md"], tmp_path)
    for name in ("letter", "recipe"):
        assert read_document(tmp_path / f"{name}.docx") == sources[name].document
