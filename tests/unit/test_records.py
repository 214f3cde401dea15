"""Records go to JSONL and come back; a bad line is named by file, line and reason; files appear whole or not at all."""

import json

import pytest

from lam_train.errors import UserError
from lam_train.records import BadRecords, TaskPlan, json_lines, parse_record, read_jsonl, write_jsonl

RECORDS = [
    TaskPlan(task_id="plain", task="Insert a table", plan=["Click Insert.", "Click Table."]),
    TaskPlan(
        task_id="every field", task="x", plan=["y"], source="s", app="Writer", license="MPL-2.0", page="p", kind="prose"
    ),
    TaskPlan(task_id="ünï 🙂", task='quotes " and \\ and \t', plan=["line\nbreak\r\n", "\u2028\u2029\x85\x1c", "\x00"]),
]
GOOD = {"task_id": "t", "task": "x", "plan": ["y"]}


def test_records_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "folder" / "plans.jsonl"
    assert write_jsonl(path, RECORDS) == len(RECORDS)
    assert list(read_jsonl(path, TaskPlan)) == RECORDS
    assert path.read_bytes().count(b"\n") == len(RECORDS)  # one line a record, whatever its text holds
    assert "ünï 🙂" in path.read_text(encoding="utf-8")


def test_writing_stopped_half_way_leaves_the_old_file_and_no_new_one(tmp_path):
    def half():
        yield RECORDS[0]
        raise RuntimeError("stopped")

    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    write_jsonl(old, RECORDS)
    for path in (old, new):
        with pytest.raises(RuntimeError, match="stopped"):
            write_jsonl(path, half())
    assert list(read_jsonl(old, TaskPlan)) == RECORDS
    assert not new.exists()
    assert [file.name for file in tmp_path.glob("*.jsonl")] == ["old.jsonl"]  # what is half written is no .jsonl


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"task_id": "t", "task"', "not JSON: Expecting ':' delimiter at column 24 "),
        (b"\xff\xfe", "not JSON: .*utf-8"),
        (b"[" * 100_000, "not JSON: "),
        (b"1" * 5000, "not JSON: .*5000 digits"),
        (b"[1, 2]", "valid dictionary"),
        (json.dumps(GOOD | {"tsk": 1}).encode(), "tsk: extra inputs are not permitted"),
        (json.dumps(GOOD | {"plan": []}).encode(), "plan: list should have at least 1 item"),
        (json.dumps(GOOD | {"plan": ["  "]}).encode(), "plan.0: string should have at least 1 character"),
        (json.dumps(GOOD | {"plan": "Click."}).encode(), "plan: input should be a valid list"),
        (json.dumps(GOOD | {"task": 7}).encode(), "task: input should be a valid string"),
        (json.dumps(GOOD | {"task": "\ud800"}).encode(), "task: "),
        (json.dumps(GOOD | {"kind": "poem"}).encode(), "kind: input should be 'steps', 'prose' or 'menu_path'"),
        (b'{"task_id": "t", "plan": ["y"]}', "task: field required"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_reason_or_counted(tmp_path, line, reason):
    path = tmp_path / "plans.jsonl"
    good = json.dumps(GOOD).encode()
    path.write_bytes(good + b"\n\n" + line + b"\n" + good + b"\n")
    with pytest.raises(UserError, match=f"^{path}, line 3: .*{reason}"):
        list(read_jsonl(path, TaskPlan))
    bad = BadRecords()
    assert len(list(read_jsonl(path, TaskPlan, "skip", bad))) == 2
    assert bad.count == 1 and bad.reasons[0].startswith(f"{path}, line 3: ")


@pytest.mark.parametrize("other", [{"task": b"x"}, {"plan": ("y",)}, {"plan": {"y": 1}}])
def test_nothing_is_converted_silently(other):
    """A Parquet file can hold types that JSON has not."""
    with pytest.raises(UserError, match=r"^row 3: .*: input should be a valid"):
        parse_record(TaskPlan, GOOD | other, "row 3")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.jsonl: No such file or directory; is the path right"):
        list(json_lines(tmp_path / "nowhere.jsonl"))


def test_all_bad_records_are_counted_and_the_first_are_kept():
    bad = BadRecords()
    for number in range(100):
        bad.add(f"line {number}")
    assert bad.count == 100 and bad.reasons == [f"line {n}" for n in range(BadRecords.KEPT)]


def test_records_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        RECORDS[0].task = "another"
