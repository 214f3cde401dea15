"""Killed anywhere, a collection goes on without a lost or a doubled episode."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from lam_train.collect.trajectories.store import read_trajectories
from lam_train.records import write_jsonl
from tests.conftest import ROOT, command
from tests.unit.toy_document import toy_document_task

TASKS = 160


def start(tasks: Path, folder: Path) -> subprocess.Popen:
    overrides = [
        "+recipe=collect",
        f"run_dir={folder}/run",
        f"trajectories.output={folder}/out",
        f"trajectories.tasks={tasks}",
        "trajectories.application=tests.unit.toy_document:open_toys",
        "expert.kind=tests.unit.toy_document:toy_expert",
        "trajectories.shard_size=25",
    ]
    log = (folder / "log").open("a")
    return subprocess.Popen(command(*overrides), stdout=log, stderr=log, start_new_session=True, cwd=ROOT)


def size(folder: Path) -> int:
    return sum(shard.stat().st_size for shard in folder.glob("out/episodes-*.jsonl"))


def test_killed_at_random_moments(tmp_path):
    """SIGKILL three times, each when a random number of bytes more is there: also in the middle of a write."""
    words = ("bold", "italic", "underlined", "bold")
    tasks = [toy_document_task(n, words[n % 4]) for n in range(TASKS)]
    write_jsonl(tmp_path / "tasks.jsonl", tasks)
    rng = random.Random(time.time_ns())
    for _ in range(3):
        process = start(tmp_path / "tasks.jsonl", tmp_path)
        wanted = size(tmp_path) + rng.randint(1, 60_000)
        deadline = time.monotonic() + 120
        while size(tmp_path) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert process.poll() is None, "the collection was done before the kill: make it longer"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # What a kill in the middle of a write leaves behind, for certain:
    last = max((tmp_path / "out").glob("episodes-*.jsonl"))
    last.write_bytes(last.read_bytes()[:-40])
    kept = last.read_bytes()
    process = start(tmp_path / "tasks.jsonl", tmp_path)
    assert process.wait(timeout=240) == 0, (tmp_path / "log").read_text()[-3000:]
    assert last.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    episodes = Counter(episode.task.task_id for episode in read_trajectories(tmp_path / "out"))
    assert episodes == Counter(task.task_id for task in tasks)
    assert "its last line was cut off" in (tmp_path / "log").read_text()
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())["all"]
    assert counts["tasks"] == TASKS and counts["success"] == TASKS * 3 // 4 and counts["fail"] == TASKS // 4
