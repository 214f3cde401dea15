"""Offline and online evaluation in a real Writer: the expert, and one who is done too early."""

import json

import pytest

from lam_train.agent.episode import EpisodeSettings
from lam_train.apps.open import open_applications
from lam_train.apps.writer.expert import ManualExpert
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks
from lam_train.evaluate.offline import EvaluateOfflineSettings, evaluate_offline, expert_successes
from lam_train.evaluate.online import EvaluateOnlineSettings, evaluate_online
from lam_train.report.online_report import write_online_report
from lam_train.report.recording import read_recording

pytestmark = pytest.mark.writer
SETTINGS = EvaluateOnlineSettings(resamples=200, screenshots=2)


class Hasty:
    """Does what the expert does, and says at the first step that all is done."""

    name = "hasty"

    def decide(self, states):
        decided = ManualExpert().decide(states)
        return [d.model_copy(update={"action": d.action.model_copy(update={"status": "FINISH"})}) for d in decided]


def tasks():
    """Three test tasks, each in words that the expert knows."""
    none, few = (
        SplitCounts(train=0, explore=0, validation=0, test=0),
        SplitCounts(train=0, explore=0, validation=0, test=2),
    )
    made = generate_tasks(TaskSettings(families=["bold", "italic"], singles=few, compositions=none))
    return [
        task.model_copy(update={"request": f'Make "{task.operations[0].parameters["phrase"]}" {task.family}.'})
        for task in made
        if task.split == "test"
    ][:3]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    output = tmp_path_factory.mktemp("evaluation")
    environments = open_applications(WriterSettings(instances=1))
    try:
        policies = {"expert": ManualExpert, "hasty": Hasty}
        report, episodes = evaluate_online(policies, tasks(), environments, EpisodeSettings(), SETTINGS, output)
    finally:
        for environment in environments:
            environment.close()
    write_online_report(report, tasks(), episodes, SETTINGS, output)
    return report, episodes, output


def test_the_check_tells_the_expert_from_one_who_is_done_too_early(evaluated):
    report, episodes, _ = evaluated
    expert, hasty = report.scores
    assert [t.outcome for t in episodes["expert"]] == ["success"] * 3, [t.reason for t in episodes["expert"]]
    assert (expert.estimates["success"].mean, hasty.estimates["success"].mean) == (1.0, 0.0)
    assert hasty.failures == hasty.divergences == {"early finish": 3}
    assert all(t.verdicts[0].by == "check" for t in [*episodes["expert"], *episodes["hasty"]])
    assert expert.estimates["steps"].mean == 2.0
    assert 0 < expert.estimates["latency"].mean < 10
    assert expert.estimates["seconds"].mean == pytest.approx(2 * expert.estimates["latency"].mean)


def test_pictures_and_documents_are_kept(evaluated):
    _, episodes, output = evaluated
    kept = [read_recording(output / "recordings" / "expert", t.task.task_id) for t in episodes["expert"]]
    assert sorted(len(pictures) for _, pictures in kept) == [0, 3, 3]
    assert all(p.read_bytes().startswith(b"\x89PNG") for _, pictures in kept for p in pictures.values())
    for trajectory, (recording, _) in zip(episodes["expert"], kept, strict=True):
        phrase = trajectory.task.operations[0].parameters["phrase"]
        new = set(recording.after) - set(recording.before)
        assert len(new) == 1  # one paragraph is otherwise, and in it the phrase
        assert phrase.split()[0] in new.pop()
    untouched, _ = read_recording(output / "recordings" / "hasty", episodes["hasty"][0].task.task_id)
    assert untouched.before == untouched.after != []
    page = (output / "episodes.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") >= 4
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    documents = {e["model"]: [line[0] for line in e["document"]] for e in data["episodes"]}
    assert {"gone", "new"} <= set(documents["expert"])
    assert documents["hasty"] == []


def test_offline_on_these_episodes_the_expert_is_perfect(evaluated, tmp_path):
    _, _, output = evaluated
    settings = EvaluateOfflineSettings(data=str(output / "episodes" / "expert-00000.jsonl"), resamples=200)
    trajectories = expert_successes(settings)
    report, _ = evaluate_offline({"expert": ManualExpert, "hasty": Hasty}, trajectories, settings, tmp_path)
    expert, hasty = report.scores
    assert {estimate.mean for estimate in expert.estimates.values()} == {1.0}
    assert (hasty.estimates["status"].mean, hasty.estimates["step"].mean) == (0.5, 0.5)
    assert (hasty.estimates["object"].mean, hasty.estimates["task"].mean) == (1.0, 0.0)
