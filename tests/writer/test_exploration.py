"""Exploration in a real Writer by its recipe, and phase 3 on what it kept."""

import json

import pytest

from lam_train.__main__ import main
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.records import Trajectory, write_jsonl
from tests.conftest import metrics

pytestmark = pytest.mark.writer


@pytest.fixture
def failures(tmp_path) -> list[Trajectory]:
    """Tasks of the explore split as if the expert had failed them all."""
    none, few = (SplitCounts(train=0, explore=n, validation=0, test=0) for n in (0, 4))
    tasks = generate_tasks(TaskSettings(families=["bold", "italic"], singles=few, compositions=none))
    made = [
        Trajectory(trajectory_id=t.task_id, task=t, policy="expert", steps=[], outcome="fail", reason="no plan")
        for t in tasks
    ]
    write_jsonl(tmp_path / "failed" / "episodes-00000.jsonl", made)
    return made


def test_what_succeeds_in_writer_is_kept_and_learned(tmp_path, failures):
    """The explorer is the expert, whose success on these tasks the real check confirms."""
    explored = tmp_path / "explored"
    where = [f"explore.expert={tmp_path}/failed", f"explore.output={explored}", f"run_dir={tmp_path}/explore"]
    assert main(["+recipe=explore", "model=tiny", "policy=expert", "explore.rollouts=2", *where]) == 0
    counts = json.loads((explored / "counts.json").read_text())
    kept = list(read_trajectories(explored / "selected"))
    assert counts["all"]["rollouts"] == 2 * len(failures) and counts["all"]["won"] == len(kept) > 0
    assert {t.task.task_id for t in kept} <= {t.task.task_id for t in failures}
    assert all(t.verdicts[0].by == "check" and t.verdicts[0].complete == "yes" for t in kept)

    data = [f"data.train=[{explored}/selected]", "data.validation=null", "data.weights=[2]"]
    short = ["model=tiny", "trainer.max_steps=1", "trainer.batch_size=4", "batching.workers=0"]
    assert main(["+recipe=phase3", *short, *data, f"run_dir={tmp_path}/phase3"]) == 0
    assert metrics(tmp_path / "phase3")[0]["tokens_supervised"] > 0
    assert "LAM3" in (tmp_path / "phase3/model/README.md").read_text()


def test_a_models_failures_are_kept_for_phase_4(tmp_path, failures):
    explored = tmp_path / "explored"
    where = [f"explore.expert={tmp_path}/failed", f"explore.output={explored}", f"run_dir={tmp_path}/explore"]
    few = ["explore.most_tasks=2", "explore.rollouts=2", "policy.local.max_new_tokens=4", "app.instances=1"]
    assert main(["+recipe=explore", "model=tiny", *few, *where]) == 0
    episodes = list(read_trajectories(explored))
    assert len(episodes) == 4 and {t.outcome for t in episodes} == {"fail"}
    assert all(len(step.logprobs) == len(step.answer_tokens) == 4 for t in episodes for step in t.steps)
    answers = {tuple(step.answer_tokens) for t in episodes for step in t.steps}
    assert len(answers) > 1  # sampled
    assert (explored / "selected" / "episodes-00000.jsonl").read_text() == ""
