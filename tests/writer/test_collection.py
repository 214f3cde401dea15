"""Collection in a real Writer: the embedded expert, plans of a (played) large model, evidence for its judge; kills."""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from lam_train.agent.episode import EpisodeSettings
from lam_train.apps.open import open_applications
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks
from lam_train.collect.trajectories.experts import ExpertSettings
from lam_train.collect.trajectories.judge import JudgeTrajectoriesSettings
from lam_train.collect.trajectories.pipeline import CollectTrajectoriesSettings, collect_trajectories
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.endpoint import EndpointSettings
from lam_train.records import Task, write_jsonl
from tests.conftest import ROOT, command
from tests.unit.chat_server import endpoint

pytestmark = pytest.mark.writer

FAMILIES = ["bold", "italic", "font_size", "alignment", "heading"]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    none, few = (
        SplitCounts(train=0, explore=0, validation=0, test=0),
        SplitCounts(train=3, explore=0, validation=0, test=0),
    )
    return generate_tasks(TaskSettings(families=FAMILIES, singles=few, compositions=none))


def start(tasks: Path, folder: Path) -> subprocess.Popen:
    overrides = [
        "+recipe=collect",
        f"run_dir={folder}/run",
        f"trajectories.output={folder}/out",
        f"trajectories.tasks={tasks}",
        "trajectories.shard_size=6",
        "app.instances=1",
    ]
    log = (folder / "log").open("a")
    return subprocess.Popen(command(*overrides), stdout=log, stderr=log, start_new_session=True, cwd=ROOT)


def test_killed_and_gone_on_with(tmp_path, tasks):
    write_jsonl(tmp_path / "tasks.jsonl", tasks)
    rng = random.Random(time.time_ns())
    process = start(tmp_path / "tasks.jsonl", tmp_path)
    wanted, deadline = rng.randint(1, 80_000), time.monotonic() + 120
    while sum(file.stat().st_size for file in tmp_path.glob("out/episodes-*.jsonl")) < wanted:
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process = start(tmp_path / "tasks.jsonl", tmp_path)
    assert process.wait(timeout=240) == 0, (tmp_path / "log").read_text()[-3000:]
    episodes = list(read_trajectories(tmp_path / "out"))
    assert Counter(episode.task.task_id for episode in episodes) == Counter(task.task_id for task in tasks)
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())["all"]
    assert counts["success"] >= len(tasks) / 2 and not counts["broken"]
    for episode in episodes:
        if episode.outcome == "success":
            assert episode.verdicts[0].complete == "yes" and episode.steps[-1].action.status == "FINISH"


def plays_an_expert(body: dict) -> str:
    """Plans "… X bold" with a name that is nearly Writer's; for italics, with a control that does not exist."""
    said = body["messages"][1]["content"]
    if "You judge" in body["messages"][0]["content"]:
        changed = said.partition("<canvas_diff:>")[2].partition("<init_control_state:>")[0]
        done = re.search(r"^\+ *<b\b", changed, re.MULTILINE)
        return json.dumps({"task_quality": "good", "task_complete": "yes" if done else "no", "complete_judgement": "b"})
    given = said.partition("<Given Task:>\n")[2].partition("\n")[0]
    phrase = re.search(r'"(.+?)"', given)[1]
    control = "Bold text" if "bold" in given.casefold() else "Make it slanted"
    actions = [
        {"step": "Select", "controlLabel": "", "controlText": "", "function": "select_text", "args": {"text": phrase}},
        {"step": "Press", "controlLabel": "", "controlText": control, "function": "click_input", "args": {}},
    ]
    return json.dumps({"observation": "", "thought": "", "new_task": given, "actions_plan": actions})


def test_plans_are_grounded_and_judged(tmp_path, tasks):
    chosen = [task for task in tasks if task.family in ("bold", "italic") and '"' in task.request]
    chosen = [task for task in chosen if task.family == "italic" or "bold" in task.request.casefold()]
    families = Counter(task.family for task in chosen)
    assert families["bold"] and families["italic"]
    with endpoint(plays_an_expert) as (url, _):
        asked = {"base_url": url, "model": "played", "api_key_env": None, "retries": 0}
        counts = collect_trajectories(
            CollectTrajectoriesSettings(output=str(tmp_path), judge=JudgeTrajectoriesSettings(**asked)),
            ExpertSettings(kind="endpoint", endpoint=EndpointSettings(**asked), filter=False),
            EpisodeSettings(),
            chosen,
            lambda: open_applications(WriterSettings(instances=1)),
        )
    episodes = {episode.task.task_id: episode for episode in read_trajectories(tmp_path)}
    for task in chosen:
        episode = episodes[task.task_id]
        if task.family == "italic":
            assert episode.reason == "wrong control" and episode.steps[-1].problem
            continue
        assert episode.outcome == "success", (task.request, episode.reason, episode.verdicts)
        assert episode.steps[1].action.control_name == "Bold"  # "Bold text" was planned
        assert [verdict.complete for verdict in episode.verdicts] == ["yes", "yes"]
    assert counts.all["discarded"] == families["italic"] and counts.all["success"] == families["bold"]
