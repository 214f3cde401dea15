"""Phase 4b by its recipe: experience, ratios, iterations, going on, refusals; with the tiny model."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lam_train.__main__ import main
from lam_train.agent.answers import NamedState
from lam_train.objectives.experience import Experience
from lam_train.phases.ppo_actions import dealt
from lam_train.records import Action, Trajectory, read_jsonl, write_jsonl
from lam_train.train.metrics import METRICS, PPO_METRICS
from lam_train.train.trainer import Trainer
from tests.conftest import metrics, run_command
from tests.hand_made import trajectory

TINY = ["model=tiny", "format.kind=compact", "batching.workers=0", "batching.max_tokens=2048"]


def failed(number: int) -> Trajectory:
    """At the task of success `number`: the phrase is selected, then the answer is none."""
    made = trajectory(number)
    unread = {"action": Action(), "answer": "Perhaps", "problem": "bad format: no JSON", "acceptable": []}
    steps = [made.steps[0], made.steps[-1].model_copy(update=unread)]
    return made.model_copy(update={"trajectory_id": f"failed-{number}", "outcome": "fail", "steps": steps})


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A folder with five failures in `failures/` and a reward model in `reward/model/`."""
    folder = tmp_path_factory.mktemp("judged")
    write_jsonl(
        folder / "episodes" / "episodes-00000.jsonl", [t for n in range(10) for t in (trajectory(n), failed(n))]
    )
    write_jsonl(folder / "failures" / "episodes-00000.jsonl", [failed(n) for n in range(5)])
    training = ["trainer.batch_size=8", "trainer.lr=1e-2", "trainer.epochs=4", "model.lora=null", "reward.held_out=0.2"]
    data = f"data.train=[{folder}/episodes]"
    assert main(["+recipe=phase4a", *TINY, *training, data, f"run_dir={folder}/reward"]) == 0
    return folder


def overrides(judged, run_dir, *more: str) -> list[str]:
    shared = [*TINY, f"data.train=[{judged}/failures]", f"ppo.reward_model={judged}/reward/model", f"run_dir={run_dir}"]
    small = [
        "ppo.kl_limit=null",
        "trainer.batch_size=5",
        "trainer.lr=1e-3",
        "ppo.probe_states=3",
        "policy.local.max_new_tokens=8",
    ]
    return ["+recipe=phase4b", *shared, *small, *more]


def run(judged, run_dir, *more: str) -> int:
    return main(overrides(judged, run_dir, *more))


def steps_of(run_dir) -> list[dict]:
    return metrics(run_dir)


def test_logged_actions_begin_at_ratio_1_and_end_as_a_model(judged, tmp_path):
    assert run(judged, tmp_path / "ppo", "trainer.epochs=2") == 0
    rows = steps_of(tmp_path / "ppo")
    assert len(rows) == 2 * 2  # 10 states of 5 failures, twice
    assert rows[0]["ratio"] == 1 and rows[0]["kl"] == 0 and rows[0]["kl_old"] == 0 and rows[0]["clip_fraction"] == 0
    seconds = {"judge_seconds", "reference_seconds"}
    elsewhere = {"format_valid_rate", "reward_within", "reward_between"} | seconds  # a probe's, an experience's
    assert rows[0].keys() - {"kind", "samples"} == (METRICS | PPO_METRICS).keys() - {"mfu", *elsewhere}
    assert rows[-1]["kl"] > 0 and rows[-1]["ratio"] != 1
    assert all(-0.5 <= row["reward"] <= 0.5 for row in rows)
    made = Experience.load(tmp_path / "ppo/experience/iteration-000.npz")
    assert len(made.ids) == 10 and {id.partition("/")[0] for id in made.ids} == {f"failed-{n}" for n in range(5)}
    assert (made.old_logprobs == made.reference_logprobs).all()
    probes = metrics(tmp_path / "ppo", "probe")
    assert [row["step"] for row in probes] == [0, 4]
    assert all({"reward", "format_valid_rate"} <= row.keys() for row in probes)
    health = json.loads((tmp_path / "ppo/health/health.json").read_text())
    assert health["steps"]["kl"][0] == 0 and health["stopped"] == ""
    assert (tmp_path / "ppo/health/health.png").stat().st_size > 10_000
    weights = load_file(tmp_path / "ppo/model/model.safetensors")
    assert not any("value_head" in name for name in weights)
    assert json.loads((tmp_path / "ppo/model/step_format.json").read_text())["kind"] == "compact"


def test_what_is_worse_than_the_rest_becomes_less_likely(judged, tmp_path):
    """The reward model has learned that the unreadable answer fails."""
    assert run(judged, tmp_path / "ppo", "trainer.epochs=4", "ppo.lam=0", "ppo.gamma=0", "ppo.probe_states=0") == 0
    made = Experience.load(tmp_path / "ppo/experience/iteration-000.npz")
    last = [id.endswith("/1") for id in made.ids]
    rewards = {kind: [r for r, is_last in zip(made.rewards, last, strict=True) if is_last == kind] for kind in (0, 1)}
    assert max(rewards[1]) < min(rewards[0])
    after = _logprobs(judged, tmp_path / "ppo/model", tmp_path / "again")
    before = dict(zip(made.ids, _sums(made), strict=True))
    changes = {kind: [after[id] - before[id] for id in made.ids if id.endswith(f"/{kind}")] for kind in (0, 1)}
    assert sum(changes[1]) < 0 < sum(changes[0])


def test_a_checkpoint_is_exported_as_the_run_exports_it(judged, tmp_path):
    """The value head is no part of the model, and of the checkpoint it is."""
    assert run(judged, tmp_path / "ppo") == 0
    exporting = [f"export.checkpoint={tmp_path}/ppo", f"export.output={tmp_path}/again", f"run_dir={tmp_path}/export"]
    assert main(["+recipe=export", *exporting]) == 0
    again, whole = (load_file(tmp_path / folder / "model.safetensors") for folder in ("again", "ppo/model"))
    assert again.keys() == whole.keys() and all(torch.equal(again[name], whole[name]) for name in whole)


def _logprobs(judged, model, run_dir) -> dict[str, float]:
    """Of the same actions under an exported model: the first experience of a run that begins with it."""
    begun = [f"model.path={model}", "model.source=pretrained", "trainer.epochs=1", "ppo.probe_states=0"]
    assert run(judged, run_dir, *begun) == 0
    made = Experience.load(run_dir / "experience/iteration-000.npz")
    return dict(zip(made.ids, _sums(made), strict=True))


def _sums(made: Experience) -> list[float]:
    return [float(part.sum()) for part in np.split(made.old_logprobs, made.offsets[1:-1])]


# Long enough for one of the answers to end: where all are cut, all are worth the same and nothing is learned.
SAMPLED = ["ppo.actions=sampled", "ppo.answers=3", "ppo.states=2", "ppo.iterations=2", "trainer.epochs=2",
           "policy.local.max_new_tokens=40"]  # fmt: skip


def test_sampled_answers_are_new_in_each_iteration_and_their_groups_have_mean_0(judged, tmp_path):
    assert run(judged, tmp_path / "ppo", *SAMPLED) == 0
    rows = steps_of(tmp_path / "ppo")
    assert [row["iteration"] for row in rows] == [0] * 4 + [1] * 4  # 6 answers in steps of 5, twice
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert rows[0]["kl"] == rows[0]["kl_old"] == rows[4]["kl_old"] == 0 and rows[0]["ratio"] == rows[4]["ratio"] == 1
    assert rows[4]["kl"] > 0  # from where it began, which is not the policy that acted
    from lam_train.agent.answers import Answered

    answers = [list(read_jsonl(tmp_path / f"ppo/experience/answers-00{n}.jsonl", Answered)) for n in (0, 1)]
    assert [len(some) for some in answers] == [6, 6]
    assert [a.answer_tokens for a in answers[0]] != [a.answer_tokens for a in answers[1]]
    for number, some in enumerate(answers):
        made = Experience.load(tmp_path / f"ppo/experience/iteration-00{number}.npz")
        assert list(made.ids) == [answer.id for answer in some]
        for start in range(0, 6, 3):
            assert len({a.state for a in some[start : start + 3]}) == 1
            assert made.advantages[start : start + 3].sum() == pytest.approx(0, abs=1e-6)
        assert made.rewards.min() < made.rewards.max() or number
        cut = [reward for reward, answer in zip(made.rewards, some, strict=True) if not answer.ended]
        assert all(reward == -0.5 for reward in cut)


@pytest.mark.parametrize("step", [3, 4, 6])
def test_it_goes_on_inside_and_between_iterations(judged, tmp_path, step):
    every = ["checkpoint.every_steps=1", "checkpoint.keep_last=20"]
    assert run(judged, tmp_path / "ppo", *SAMPLED, *every) == 0
    shutil.copytree(tmp_path / "ppo", tmp_path / "killed")
    for number in range(step + 1, 9):
        shutil.rmtree(tmp_path / f"killed/checkpoints/step-{number:08d}")
    (tmp_path / "killed/checkpoints/latest").write_text(f"step-{step:08d}")
    if step <= 4:
        for file in (tmp_path / "killed/experience").glob("*001*"):
            file.unlink()
    assert run(judged, tmp_path / "killed", *SAMPLED, *every) == 0
    for name in ("loss", "kl", "reward", "kl_coefficient"):
        assert [row[name] for row in steps_of(tmp_path / "ppo")] == [row[name] for row in steps_of(tmp_path / "killed")]
    whole, again = (load_file(tmp_path / run_dir / "model/model.safetensors") for run_dir in ("ppo", "killed"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def told(run_dir) -> list[tuple]:
    names = ("step", "iteration", "loss", "kl", "kl_old", "ratio", "reward", "kl_coefficient")
    return [tuple(row[name] for name in names) for row in steps_of(run_dir)]


EVERY_STEP = ["checkpoint.every_steps=1", "checkpoint.keep_last=20", "trainer.schedule=constant", "ppo.probe_states=0",
              "export.at_end=false"]  # fmt: skip


@pytest.mark.parametrize("step", [2, 4, 6])
def test_in_another_run_directory_it_goes_on_with_the_same_experience(judged, tmp_path, step):
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0
    resumed = f"resume={tmp_path}/ppo/checkpoints/step-{step:08d}"
    assert run(judged, tmp_path / "new", *SAMPLED, *EVERY_STEP, resumed) == 0
    assert told(tmp_path / "new") == told(tmp_path / "ppo")[step:]


def test_logged_actions_too_are_judged_against_the_policy_that_acted(judged, tmp_path):
    logged = ["trainer.epochs=4", *EVERY_STEP]
    assert run(judged, tmp_path / "ppo", *logged) == 0
    resumed = f"resume={tmp_path}/ppo/checkpoints/step-00000002"
    assert run(judged, tmp_path / "new", *logged, resumed) == 0
    assert told(tmp_path / "new") == told(tmp_path / "ppo")[2:]


def test_without_its_experience_a_checkpoint_is_refused(judged, tmp_path, caplog):
    assert run(judged, tmp_path / "ppo", "trainer.epochs=2", *EVERY_STEP) == 0
    shutil.copytree(tmp_path / "ppo/checkpoints/step-00000002", tmp_path / "moved")
    assert run(judged, tmp_path / "new", "trainer.epochs=2", *EVERY_STEP, f"resume={tmp_path}/moved") == 2
    assert "new/experience/iteration-000.npz is missing: what iteration 0 learns from" in caplog.text


def test_back_at_an_earlier_checkpoint_later_iterations_meet_the_new_policy(judged, tmp_path):
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0
    before = told(tmp_path / "ppo")
    back = f"resume={tmp_path}/ppo/checkpoints/step-00000001"
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP, "trainer.lr=4e-3", back) == 0
    after = steps_of(tmp_path / "ppo")
    assert told(tmp_path / "ppo")[1] == before[1] and told(tmp_path / "ppo")[2] != before[2]
    assert after[4]["iteration"] == 1 and after[4]["kl_old"] == 0 and after[4]["ratio"] == 1


def test_a_refused_way_back_takes_nothing_away(judged, tmp_path):
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0
    held, before = sorted((tmp_path / "ppo/experience").iterdir()), told(tmp_path / "ppo")
    back = f"resume={tmp_path}/ppo/checkpoints/step-00000002"
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP, back, "trainer.max_steps=1") == 2
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP, back, "trainer.seed=5") == 2
    assert sorted((tmp_path / "ppo/experience").iterdir()) == held
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0 and told(tmp_path / "ppo") == before


def test_back_and_killed_at_once_it_goes_on_from_there(judged, tmp_path, monkeypatch):
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0
    before = told(tmp_path / "ppo")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", lambda self: 1 / 0)
        back = f"resume={tmp_path}/ppo/checkpoints/step-00000003"
        assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP, back) == 1
    assert [file.name for file in sorted((tmp_path / "ppo/experience").iterdir())] == [
        "answers-000.jsonl", "iteration-000.npz"
    ]  # fmt: skip
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0
    assert told(tmp_path / "ppo") == before
    rows = metrics(tmp_path / "ppo", "experience")
    assert [(row["step"], row["iteration"]) for row in rows] == [(0, 0), (4, 1)]


def test_a_longer_first_iteration_gives_up_what_was_met_behind_the_shorter(judged, tmp_path):
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP, "trainer.max_steps=2") == 0
    for step in (3, 4):  # killed before the second iteration's first checkpoint
        shutil.rmtree(tmp_path / f"ppo/checkpoints/step-{step:08d}")
    (tmp_path / "ppo/checkpoints/latest").write_text("step-00000002")
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP) == 0
    rows = steps_of(tmp_path / "ppo")
    assert [row["iteration"] for row in rows] == [0] * 4 + [1] * 4
    assert rows[4]["kl_old"] == 0 and rows[4]["ratio"] == 1


def test_what_another_beginning_left_is_not_taken_for_a_checkpoints(judged, tmp_path, caplog):
    logged = ["trainer.epochs=2", *EVERY_STEP]
    assert run(judged, tmp_path / "ppo", *logged) == 0
    shutil.copytree(tmp_path / "ppo/checkpoints/step-00000002", tmp_path / "moved")
    shutil.copytree(tmp_path / "ppo/experience", tmp_path / "new/experience")
    assert run(judged, tmp_path / "new", *logged, f"resume={tmp_path}/moved") == 2
    assert "new/experience/iteration-000.npz is missing" in caplog.text
    (tmp_path / "link").symlink_to(tmp_path / "ppo/checkpoints/step-00000002")
    assert run(judged, tmp_path / "new", *logged, f"resume={tmp_path}/link") == 0
    assert told(tmp_path / "new") == told(tmp_path / "ppo")[2:]


def test_an_iterations_steps_cannot_change_behind_the_first(judged, tmp_path, caplog):
    assert run(judged, tmp_path / "ppo", *SAMPLED, *EVERY_STEP, "trainer.max_steps=2") == 0
    assert [row["step"] for row in steps_of(tmp_path / "ppo")] == [1, 2, 3, 4]  # two of each iteration
    for steps, checkpoint in ((1, 2), (4, 3), (1, 3)):
        resumed = [f"resume={tmp_path}/ppo/checkpoints/step-{checkpoint:08d}", f"trainer.max_steps={steps}"]
        assert run(judged, tmp_path / "new", *SAMPLED, *EVERY_STEP, *resumed) == 2
    assert caplog.text.count("trainer.max_steps, trainer.epochs: iterations of") == 3
    longer = [f"resume={tmp_path}/ppo/checkpoints/step-00000001", "trainer.max_steps=3"]
    assert run(judged, tmp_path / "new", *SAMPLED, *EVERY_STEP, *longer) == 0
    assert [row["step"] for row in steps_of(tmp_path / "new")] == [2, 3, 4, 5, 6]


def test_states_of_one_request_are_dealt_to_one_rank_in_their_order(judged):
    states = [
        NamedState(f"{attempt}/{place}", state, "", "")
        for attempt, number in enumerate((0, 1, 0, 2, 0, 3))  # three attempts at the first task
        for place, state in enumerate(failed(number).states())
    ]
    for ranks in (1, 2, 3, 4, 9):
        shares = dealt(states, ranks)
        assert sorted((s for share in shares for s in share), key=states.index) == states and len(shares) == ranks
        homes = [{rank for rank, share in enumerate(shares) if state in share} for state in states]
        assert homes[0] == homes[1] == homes[4] == homes[5] == homes[8]
        assert all(share == sorted(share, key=states.index) for share in shares)
    assert [len(share) for share in dealt(states, 2)] == [6, 6]


def test_logged_iterations_compute_advantages_again_against_the_same_policy(judged, tmp_path):
    assert run(judged, tmp_path / "ppo", "ppo.iterations=2", "trainer.epochs=1", "ppo.whiten=false") == 0
    first, second = (Experience.load(tmp_path / f"ppo/experience/iteration-00{n}.npz") for n in (0, 1))
    assert first.old_logprobs == pytest.approx(second.old_logprobs, abs=1e-6)
    assert (first.values == 0).all() and (second.values != 0).any()
    assert (first.advantages != second.advantages).any()


def test_it_ends_before_the_update_that_goes_too_far(judged, tmp_path, caplog):
    assert run(judged, tmp_path / "ppo", "trainer.epochs=4", "ppo.kl_limit=1e-6", "ppo.probe_states=0") == 0
    assert len(steps_of(tmp_path / "ppo")) == 1 and "ppo.kl_limit=1e-06" in caplog.text
    assert "kl_limit" in json.loads((tmp_path / "ppo/health/health.json").read_text())["stopped"]
    assert (tmp_path / "ppo/model/model.safetensors").exists()
    assert run(judged, tmp_path / "ppo", "trainer.epochs=4", "ppo.kl_limit=1e-6", "ppo.probe_states=0") == 0
    assert len(steps_of(tmp_path / "ppo")) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["ppo.reward_model=/nowhere"], "ppo.reward_model=/nowhere: no such folder; make one with +recipe=phase4a"),
        (["format.kind=paper"], "was trained on the format format.kind=compact"),
        (["ppo.actions=sampled", "policy.local.temperature=0"], "set a temperature above 0"),
        (["ppo.actions=sampled", "ppo.answers=1"], "a group of one answer has no advantage"),
        (["ppo.actions=sampled", "engine.zero_stage=3"], "answers are sampled from whole weights"),
        (["ppo.states=1"], "every failure has more states than that"),
        (["policy.local.max_new_tokens=2048"], "no prompt fits beside such an answer"),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(judged, tmp_path, caplog, given, said):
    assert run(judged, tmp_path / "ppo", *given) == 2
    assert said in caplog.text


def test_inspection_shows_whole_actions_as_targets(judged, tmp_path, capsys):
    assert run(judged, tmp_path / "ppo", "inspect=true") == 0
    said = capsys.readouterr().out
    assert "failures learned from: 5" in said
    assert "while the reward model or the starting model scores" in said
    assert re.search(r"⟦(Perhaps|.*select_text.*)<\|im_end\|>⟧", said)


@pytest.mark.parametrize("sharing", [1, 2])
def test_two_ranks_learn_what_one_does(judged, tmp_path, sharing):
    """Answers are sampled by both, passes and steps run on both, with rows of their own or shared; only sums differ."""
    one = [*SAMPLED, "ppo.iterations=1", "trainer.batch_size=6"]
    assert run(judged, tmp_path / "one", *one) == 0
    two = [*one, f"engine.sequence_parallel={sharing}"]
    done = run_command(*overrides(judged, tmp_path / "two", *two), processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("loss", "kl", "reward", "kl_coefficient", "entropy"):
        of_one, of_two = ([row[name] for row in steps_of(tmp_path / run_dir)] for run_dir in ("one", "two"))
        assert of_one == pytest.approx(of_two, rel=1e-3, abs=1e-5), name
