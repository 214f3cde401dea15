"""Tasks for Writer: generation, wordings, splits. No Writer is needed."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter

import docx
import pytest

from lam_train.apps.writer.tasks import wordings
from lam_train.apps.writer.tasks.card import write_tasks
from lam_train.apps.writer.tasks.check import expected_documents
from lam_train.apps.writer.tasks.families import FAMILIES
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks, load_sources
from lam_train.apps.writer.tasks.splits import SPLITS, TEMPLATES, assert_disjoint, pairs_of
from lam_train.apps.writer.templates import FOLDER, descriptions, material, template_path
from lam_train.errors import UserError
from lam_train.recipe import compose_recipe
from lam_train.records import Operation, Task, read_jsonl

FEW = TaskSettings(
    singles=SplitCounts(train=3, explore=2, validation=1, test=2),
    compositions=SplitCounts(train=20, explore=10, validation=5, test=8),
)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return generate_tasks(TaskSettings())


@pytest.fixture(scope="module")
def sources():
    return load_sources()


def digest(tasks: list[Task]) -> str:
    return hashlib.sha256("\n".join(task.model_dump_json() for task in tasks).encode()).hexdigest()


def test_size(tasks):
    assert len({(task.template, task.request) for task in tasks}) == len(tasks) >= 4_000
    assert len({task.task_id for task in tasks}) == len(tasks)
    assert len(FAMILIES) >= 30
    singles = Counter((task.split, task.family) for task in tasks if len(task.operations) == 1)
    assert all(singles["train", name] == 45 and singles["test", name] >= 4 for name in FAMILIES), singles
    assert {len(task.operations) for task in tasks} == {1, 2, 3}
    assert all(sum(len(t.operations) == 3 and t.split == split for t in tasks) >= 10 for split in SPLITS)


def test_generation_is_deterministic_across_processes():
    program = (
        "import hashlib, sys\n"
        "from lam_train.apps.writer.tasks.generate import TaskSettings, generate_tasks\n"
        "tasks = generate_tasks(TaskSettings.model_validate_json(sys.argv[1]))\n"
        "print(hashlib.sha256('\\n'.join(task.model_dump_json() for task in tasks).encode()).hexdigest())"
    )
    command = [sys.executable, "-c", program, FEW.model_dump_json()]
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    other = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert other.stdout.strip() == digest(generate_tasks(FEW))


def test_another_seed_gives_other_tasks():
    settings = FEW.model_copy(update={"families": ["bold", "insert_table", "alignment"]})
    assert digest(generate_tasks(settings)) != digest(generate_tasks(settings.model_copy(update={"seed": 1})))


def test_splits_are_disjoint(tasks):
    assert_disjoint(tasks)
    by_split = {split: [task for task in tasks if task.split == split] for split in SPLITS}
    known = [*by_split["train"], *by_split["explore"]]
    for held_out in ("validation", "test"):
        other = by_split["test" if held_out == "validation" else "validation"]
        for task in by_split[held_out]:
            assert task.template in TEMPLATES[held_out]
            assert task.template not in TEMPLATES["train"]
        for what in (lambda t: t.template, lambda t: t.wording, lambda t: t.request):
            assert not {what(t) for t in by_split[held_out]} & {what(t) for t in [*known, *other]}
        pairs = set().union(*map(pairs_of, by_split[held_out]))
        assert pairs and not pairs & set().union(*map(pairs_of, [*known, *other]))
    asked = [
        {(t.template, json.dumps([o.model_dump() for o in t.operations])) for t in by_split[s]} for s in SPLITS[:2]
    ]
    assert not asked[0] & asked[1]


def test_the_words_of_wordings_are_disjoint():
    """Not only their names: no clause, sentence or frame has the same text as another split's."""
    groups = [*(kinds[kind] for kinds in wordings.wordings().values() for kind in kinds), *wordings.frames().values()]
    for group in groups:
        texts = [text for split, listed in group.items() for text in listed]
        assert len(set(texts)) == len(texts), group


@pytest.mark.parametrize("leak", ["template", "wording", "request", "pair of families", "operation"])
def test_a_leak_is_refused(tasks, leak):
    train = next(t for t in tasks if t.split == "train" and len(t.operations) == 2)
    test = next(t for t in tasks if t.split == "test" and len(t.operations) == 2)
    changes = {
        "template": (test, {"template": train.template}),
        "wording": (test, {"wording": train.wording}),
        "request": (test, {"request": train.request}),
        "pair of families": (test, {"operations": train.operations}),
        "operation": (train, {"split": "explore", "request": "The same in other words.", "task_id": "leaked"}),
    }
    task, change = changes[leak]
    with pytest.raises(UserError, match=leak):
        assert_disjoint([*tasks, task.model_copy(update=change)])


def test_every_family_has_wordings():
    known = wordings.wordings()
    assert set(known) == set(FAMILIES)
    for name, texts in known.items():
        assert sum(len(listed) for kind in texts.values() for listed in kind.values()) >= 8, name
        for kind in ("clauses", "sentences"):
            assert set(texts[kind]) == set(SPLITS), name
            assert all(texts[kind][split] for split in SPLITS), name


def test_requests_are_whole(tasks, sources):
    for task in tasks:
        assert not re.search(r"[{}]", task.request), task.request
        assert task.request.count('"') % 2 == 0 or re.search(r'\d"', task.request), task.request  # 0.5" are inches
        assert task.request[0].isupper() or not task.request[0].isalpha(), task.request


def test_phrases_are_in_the_document_once(tasks, sources):
    for task in tasks:
        for operation in task.operations:
            phrase = operation.parameters.get("phrase")
            if phrase:
                assert sources[task.template].all_text.count(phrase.lower()) == 1, task
                assert phrase in task.request, task


def test_every_task_changes_its_document(tasks, sources):
    for task in tasks[::7]:
        before = sources[task.template].document
        assert all(expected != before for expected in expected_documents(task.operations, before)), task


def test_templates():
    listed = descriptions()
    assert len(listed) >= 14
    used = [name for names in TEMPLATES.values() for name in names]
    assert sorted(used) == sorted(listed) and len(set(used)) == len(used)
    assert [len(TEMPLATES[split]) for split in ("train", "validation", "test")] >= [8, 2, 4]
    assert set(json.loads((FOLDER / "description.json").read_text())) == {f"{name}.docx" for name in listed}
    for name in listed:
        document = docx.Document(str(template_path(name)))
        cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
        texts = [*(paragraph.text for paragraph in document.paragraphs), *cells]
        assert 12 <= len(document.paragraphs) <= 30, name
        assert 100 <= sum(len(text.split()) for text in texts) <= 350, name
        assert (FOLDER / "source" / f"{name}.md").is_file()
    with pytest.raises(UserError, match="did you mean letter"):
        template_path("lettre")


def test_material_fits_the_templates(sources):
    for name, source in sources.items():
        own = material(name)
        assert all(source.occurs_once(old) for old in own["phrases"]), name
        assert any(FAMILIES["find_replace"].suits(source, word) for word in own["words"]), name


def test_unknown_family_and_recipe(tmp_path):
    with pytest.raises(UserError, match="did you mean bold"):
        generate_tasks(TaskSettings(families=["bolt"]))
    recipe = compose_recipe(["+recipe=make_tasks", f"tasks.output={tmp_path}", "tasks.singles.train=1"])
    settings = recipe.tasks.model_copy(update={"singles": FEW.singles, "compositions": FEW.compositions})
    counts = write_tasks(settings)
    for split, count in counts.items():
        read = list(read_jsonl(tmp_path / f"{split}.jsonl", Task))
        assert len(read) == count > 0
        assert all(task.split == split and task.source == "generated" for task in read)
    card = (tmp_path / "README.md").read_text()
    assert "| tasks |" in card and all(f"| {name} |" in card for name in FAMILIES)


def test_a_task_on_another_document_is_said_so(sources):
    operation = Operation(name="bold", parameters={"phrase": "no such words anywhere"})
    with pytest.raises(UserError, match="no such words anywhere"):
        expected_documents([operation], sources["letter"].document)
    with pytest.raises(UserError, match="no such family"):
        expected_documents([Operation(name="dance")], sources["letter"].document)
