"""The reward model: what is scored and where, labels, the regression, the report, and phase 4a by its recipe."""

import json
import shutil

import numpy as np
import pytest
import torch

from lam_train.__main__ import main
from lam_train.batching.layout import BatchingSettings, build_packs, lay_out
from lam_train.batching.pack import PackInput, build_pack, padding_pack
from lam_train.collect.exploration.completable import Completable
from lam_train.collect.exploration.selection import effective_actions
from lam_train.errors import UserError
from lam_train.evaluate.reward_scores import (
    auc,
    auc_draws,
    calibration,
    completable_agreement,
    interval,
    reward_report,
    within_tasks,
)
from lam_train.language.conversation import Language
from lam_train.language.judged_steps import JudgedSteps, scored_at_the_end
from lam_train.language.sample import Samples
from lam_train.language.step_format import StepFormat
from lam_train.language.trajectories import HeldOut
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.model.reward import RewardModel
from lam_train.model.scalar_head import ScalarHead
from lam_train.objectives.credit import balancing_weights, labels_of, shared_steps
from lam_train.objectives.reward import RewardObjective, reward_loss
from lam_train.phases.reward_model import completable_steps, is_held_out, prepare
from lam_train.recipe import compose_recipe
from lam_train.records import Action, Trajectory, write_jsonl
from tests.conftest import metrics, run_command
from tests.hand_made import trajectory

COMPACT = StepFormat(kind="compact")


@pytest.fixture
def reader(tiny) -> JudgedSteps:
    return JudgedSteps(tiny, COMPACT, ["train", "explore"])


@pytest.fixture
def model() -> RewardModel:
    made = RewardModel(load_model(ModelSettings(source="tiny"))).eval()
    torch.manual_seed(1)
    torch.nn.init.normal_(made.head.weight)
    return made


def judged(reader, *trajectories):
    read = reader.samples(trajectories, "here")
    return [(trajectory, [scored_at_the_end(sample) for sample in made]) for trajectory, made in read]


def failed(number: int, **update) -> Trajectory:
    """A failure at the same task as success `number`."""
    made = trajectory(number)
    return made.model_copy(update={"trajectory_id": f"failed-{number}", "outcome": "fail", **update})


def samples_of(reader, *trajectories) -> Samples:
    return Samples([sample for _, made in judged(reader, *trajectories) for sample in made])


def scores(model, samples: Samples, settings: BatchingSettings, ranks: int = 1) -> dict[str, float]:
    """Sample id -> score, with all samples in one step laid out as the settings say."""
    chosen = list(range(len(samples)))
    layout = lay_out([samples.tokens(i) for i in chosen], settings, ranks)
    found = {}
    with torch.no_grad():
        for rank in range(ranks):
            for pack in build_packs(samples, chosen, layout, rank):
                if pack.samples:
                    names = [pack.samples[owner] for owner in pack.owners.tolist()]
                    found |= dict(zip(names, model(pack).tolist(), strict=True))
    return found


# What is scored -----------------------------------------------------------------------------------------------------


def test_every_step_of_successes_and_failures_is_a_sample_that_ends_with_its_action(reader, tiny):
    found = judged(reader, trajectory(0), failed(1), trajectory(2, outcome="unsure"), trajectory(3, outcome="error"))
    assert [t.trajectory_id for t, _ in found] == ["trajectory-0", "failed-1"]
    for made, samples in found:
        assert [s.id for s in samples] == [f"{made.trajectory_id}/{n}" for n in range(len(made.steps))]
        for sample in samples:
            assert np.flatnonzero(sample.weights).tolist() == [len(sample.tokens) - 1]
            assert sample.tokens[-1] == tiny.end_of_turn_id and sample.tokens[-2] != tiny.end_of_turn_id
    assert reader.counts["trajectories skipped: unsure"] == reader.counts["trajectories skipped: error"] == 1


def test_refused_and_unreadable_steps_are_scored_too(reader, tiny):
    first = trajectory(5).steps[0]
    refused = first.model_copy(update={"action": Action(control_label="99", function="click_input"), "error": True})
    unread = first.model_copy(update={"action": Action(), "answer": "Sure, {gladly", "problem": "bad format: no JSON"})
    nothing = first.model_copy(update={"action": Action(), "answer": "", "problem": "no plan: not understood"})
    ((_, samples),) = judged(reader, failed(5, steps=[refused, unread, nothing]))
    assert len(samples) == 2 and reader.counts["steps left out: nothing was answered"] == 1
    assert tiny.tokenizer.decode(samples[1].tokens).endswith("Sure, {gladly<|im_end|>")


def test_the_test_split_is_refused(reader):
    with pytest.raises(HeldOut, match=r"here: trajectory-1 is a trajectory of the test split"):
        judged(reader, trajectory(0), trajectory(1, split="test"))


def test_a_trajectory_that_is_there_twice_is_refused(reader):
    with pytest.raises(UserError, match="trajectory-0 is there twice"):
        judged(reader, trajectory(0), trajectory(0))


def test_a_long_prompt_is_shortened_and_the_action_is_kept(reader):
    whole = samples_of(reader, trajectory(0, paragraphs=12))
    reader.limit = int(whole.lengths.max()) - 60
    short = samples_of(reader, trajectory(0, paragraphs=12))
    assert short.lengths.max() <= reader.limit and reader.counts["prompts shortened"]
    assert short.tokens(0)[-8:].tolist() == whole.tokens(0)[-8:].tolist()


# The score does not depend on the layout ----------------------------------------------------------------------------


@pytest.fixture
def several(reader) -> Samples:
    return samples_of(reader, trajectory(0), failed(0), trajectory(1), failed(2))


def alone(model, samples: Samples) -> dict[str, float]:
    """The oracle: each sample by itself, without a mask of ours; the state at the last token but one."""
    found = {}
    with torch.no_grad():
        for index, id in enumerate(samples.ids):
            tokens = torch.from_numpy(samples.tokens(index).astype(np.int64))[None]
            hidden = model.causal.base_model(input_ids=tokens, use_cache=False).last_hidden_state[0, -2]
            found[id] = model.head(hidden).item()
    return found


@pytest.mark.parametrize(
    ("settings", "ranks"),
    [
        (BatchingSettings(max_tokens=8192), 1),
        (BatchingSettings(max_tokens=8192, share_prefixes=False), 1),
        (BatchingSettings(max_tokens=8192, micro_batch_size=1), 1),
        (BatchingSettings(max_tokens=2048), 1),
        (BatchingSettings(max_tokens=8192), 3),
    ],
    ids=["shared", "packed", "one a row", "trees split", "three ranks"],
)
def test_sharing_packing_batching_and_ranks_do_not_move_a_score(model, several, settings, ranks):
    expected, found = alone(model, several), scores(model, several, settings, ranks)
    assert found.keys() == expected.keys()
    assert len({round(value, 4) for value in expected.values()}) > 2
    for id, value in expected.items():
        assert found[id] == pytest.approx(value, abs=2e-5)


def test_what_stands_behind_the_action_does_not_move_its_score(model, several):
    """Padding: the same sample with other tokens after it in its row."""
    tokens, weights = several.tokens(0), several.weights(0)
    plain = build_pack([PackInput("a", tokens, weights, 0)])
    rubbish = np.full(50, 7, np.int32)
    padded = build_pack(
        [PackInput("a", tokens, weights, 0), PackInput("b", rubbish, np.eye(50, dtype=np.float32)[9], 0)]
    )
    with torch.no_grad():
        assert model(padded)[0].item() == pytest.approx(model(plain)[0].item(), abs=2e-5)


def test_an_untrained_head_scores_zero(several):
    assert set(scores(RewardModel(load_model(ModelSettings(source="tiny"))), several, BatchingSettings()).values()) == {
        0
    }


def test_a_head_of_bf16_weights_tells_scores_apart_that_bf16_would_round_to_one():
    head = ScalarHead(64, torch.bfloat16)
    torch.nn.init.constant_(head.weight, 0.125)
    nearly = torch.full((2, 64), 0.03125, dtype=torch.bfloat16)
    nearly[1, 0] += 0.00390625  # 0.0005 of the score
    scores = head(nearly)
    assert scores.dtype == torch.float32
    assert scores.tolist() == [0.25, 0.25048828125]
    assert torch.nn.functional.linear(nearly, head.weight, head.bias).flatten().unique().numel() == 1


# Labels and loss ----------------------------------------------------------------------------------------------------


def test_every_step_of_a_success_is_plus_one_and_of_a_failure_minus_one(reader):
    found = labels_of(judged(reader, trajectory(0), failed(0)), "outcome")
    assert found == {"trajectory-0/0": 1, "trajectory-0/1": 1, "failed-0/0": -1, "failed-0/1": -1}


def test_with_diverging_credit_a_failure_is_minus_one_from_where_it_leaves_the_path(reader):
    won = trajectory(0)
    elsewhere = won.steps[1].model_copy(
        update={"action": won.steps[1].action.model_copy(update={"control_label": "8"})}
    )
    lost = failed(0, steps=[won.steps[0], elsewhere])
    assert labels_of(judged(reader, won, lost), "diverging")["failed-0/0"] == 1
    assert labels_of(judged(reader, won, lost), "diverging")["failed-0/1"] == -1
    unknown = labels_of(judged(reader, trajectory(7), lost), "diverging")  # no success of this task
    assert unknown["failed-0/0"] == unknown["failed-0/1"] == -1


@pytest.mark.parametrize("update", [{"error": True}, {"problem": "bad format"}])
def test_a_refused_or_unreadable_step_ends_the_common_part(update):
    first, second = trajectory(0).steps
    path = effective_actions(trajectory(0))
    assert shared_steps(failed(0, steps=[first, second]), [path]) == 2
    assert shared_steps(failed(0, steps=[first, second.model_copy(update=update)]), [path]) == 1
    assert shared_steps(failed(0, steps=[first.model_copy(update=update), second]), [path]) == 0


def test_the_common_part_is_that_with_the_success_that_is_nearest():
    first, second = trajectory(0).steps
    paths = [effective_actions(failed(0, steps=steps)) for steps in ([second], [first, second], [first], [])]
    assert shared_steps(failed(0, steps=[first, second, second]), paths) == 2
    assert shared_steps(failed(0, steps=[first]), paths) == 1 and shared_steps(failed(0), []) == 0


def test_diverging_credit_knows_no_path_of_another_task_or_of_a_failure(reader):
    lost = failed(0)
    other = trajectory(0).model_copy(update={"trajectory_id": "other"})
    other = other.model_copy(update={"task": other.task.model_copy(update={"task_id": "another"})})
    again = lost.model_copy(update={"trajectory_id": "again"})
    found = labels_of(judged(reader, other, lost, again), "diverging")
    assert {id for id, label in found.items() if label > 0} == {"other/0", "other/1"}


def test_the_loss_is_the_weighted_squared_error():
    given, wanted, weights = (
        torch.tensor([0.5, -2.0, 1.0]),
        torch.tensor([1.0, -1.0, -1.0]),
        torch.tensor([1.0, 2.0, 0.0]),
    )
    assert reward_loss(given, wanted, weights).item() == pytest.approx(0.25 + 2 * 1.0)


def test_the_objective_finds_each_label_by_its_sample(reader, several):
    names = several.ids
    labels = {id: float(number) for number, id in enumerate(names)}
    layout = lay_out([several.tokens(i) for i in range(len(several))], BatchingSettings(max_tokens=8192), 1)
    (pack,) = build_packs(several, list(range(len(several))), layout, 0)
    given = torch.tensor([labels[pack.samples[owner]] for owner in pack.owners.tolist()])
    assert RewardObjective(labels)(given, pack).item() == 0
    assert RewardObjective(labels)(given + 2, pack).item() == pytest.approx(4 * len(names))
    assert RewardObjective({})(torch.ones(1), padding_pack()).item() == 0


def test_balanced_labels_weigh_the_same():
    labels = {"a": 1.0, "b": 1.0, "c": 1.0, "d": -1.0}
    weights = balancing_weights(labels)
    assert 3 * weights[1.0] == pytest.approx(weights[-1.0]) == pytest.approx(2)
    assert balancing_weights({"a": 1.0}) == balancing_weights({"a": -1.0}) == {1.0: 1.0, -1.0: 1.0}


# The report ---------------------------------------------------------------------------------------------------------


def test_auc_is_the_share_of_pairs_in_order_with_ties_as_halves():
    assert auc([3, 2, 1], [1, 1, -1]) == 1 and auc([1, 2, 3], [1, 1, -1]) == 0
    assert auc([1, 1], [1, -1]) == 0.5
    values, labels = [0.1, 0.4, 0.4, 0.8, 0.2], [-1, 1, -1, 1, 1]
    positives, negatives = [0.4, 0.8, 0.2], [0.1, 0.4]
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    assert auc(values, labels) == pytest.approx(np.mean(pairs))
    assert auc([1, 2], [1, 1]) is None


def test_calibration_counts_what_falls_into_each_bin():
    found = calibration([-5, -0.5, -0.5, 0.95, 7], [-1, -1, 1, 1, 1])
    assert [(b.low, b.number, b.observed) for b in found] == [(0.0, 1, 0.0), (0.2, 2, 0.5), (0.9, 2, 1.0)]
    assert found[0].predicted == 0 and found[2].predicted == pytest.approx((0.975 + 1) / 2)


def test_the_report_judges_steps_last_steps_and_whole_trajectories():
    given = {"a/0": 1.0, "a/1": 0.5, "b/0": 0.9, "b/10": -1.0, "b/9": 0.8}
    report = reward_report(given, {"a": 1.0, "b": -1.0}, {"a": "bold", "b": "italic"}, {"a": "one", "b": "two"})
    assert (report.steps.number, report.steps.positive, report.steps.accuracy) == (5, 2, 3 / 5)
    assert report.steps.auc == pytest.approx(4 / 6)
    assert (report.last_steps.auc, report.last_steps.accuracy) == (1, 1)
    assert report.trajectories.auc == 1 and set(report.families) == {"bold", "italic"}
    assert report.within_tasks is None  # the failure is of another task
    assert report.trajectories.auc_interval == (1, 1)  # of the resamples with both outcomes


def test_the_interval_of_an_auc_is_over_tasks():
    """Ten equal steps of a task are one draw: they make the interval no narrower."""
    rng = np.random.default_rng(1)
    labels = np.where(np.arange(20) < 8, -1.0, 1.0)
    scores = labels + rng.normal(size=20) * 2
    tasks = [f"task {n:02d}" for n in range(20)]
    once, ten = auc_draws(scores, labels, tasks), auc_draws(scores.repeat(10), labels.repeat(10), np.repeat(tasks, 10))
    np.testing.assert_allclose(once, ten)
    low, high = interval(once)
    assert low < auc(scores, labels) < high and high - low > 0.2


def test_pairs_of_one_task_do_not_profit_from_knowing_which_tasks_are_hard():
    outcomes = {"a": 1.0, "b": -1.0, "c": 1.0, "d": -1.0, "e": -1.0, "f": -1.0}
    tasks = {"a": "easy", "b": "easy", "c": "hard", "d": "hard", "e": "hard", "f": "hopeless"}
    scores = {"a": 0.8, "b": 0.9, "c": -0.5, "d": -0.5, "e": -0.7, "f": -0.9}
    found = within_tasks(scores, outcomes, tasks)
    assert (found.tasks, found.pairs) == (2, 3) and found.accuracy == pytest.approx(1.5 / 3)  # wrong, even, right


# Phase 4a -----------------------------------------------------------------------------------------------------------


def test_all_trajectories_of_a_task_are_on_one_side():
    held = [is_held_out(f"task-{n}", 0.3, 0) for n in range(2000)]
    assert held == [is_held_out(f"task-{n}", 0.3, 0) for n in range(2000)]
    assert 0.26 < np.mean(held) < 0.34
    assert held != [is_held_out(f"task-{n}", 0.3, 1) for n in range(2000)]


def overrides(tmp_path, *more: str) -> list[str]:
    kept = ["model=tiny", "format.kind=compact", "batching.workers=0", "trainer.batch_size=8", "reward.held_out=0.3"]
    return ["+recipe=phase4a", *kept, f"data.train=[{tmp_path}/episodes]", f"run_dir={tmp_path}/reward", *more]


def write(tmp_path, number: int = 12) -> None:
    """Failures that end with an answer that is none."""
    made = []
    for n in range(number):
        won = trajectory(n)
        unread = {"action": Action(), "answer": "Perhaps", "problem": "bad format: no JSON", "acceptable": []}
        made += [won, failed(n, steps=[won.steps[0], won.steps[-1].model_copy(update=unread)])]
    write_jsonl(tmp_path / "episodes" / "episodes-00000.jsonl", made)


def test_a_reward_model_learns_and_is_read_back(tmp_path, reader):
    write(tmp_path)
    training = ["model.lora=null", "trainer.lr=1e-2", "trainer.epochs=4", "checkpoint.every_steps=1000"]
    assert main(overrides(tmp_path, *training)) == 0
    rows = [row for row in metrics(tmp_path / "reward") if row["kind"] == "train"]
    assert rows[0]["loss"] == pytest.approx(1, abs=1e-3)  # the head starts at zero
    assert min(row["loss"] for row in rows[-4:]) < 0.8  # first steps of failures are as good as those of successes
    report = json.loads((tmp_path / "reward/evaluation/evaluation.json").read_text())
    assert report["last_steps"]["auc"] > 0.9
    assert (tmp_path / "reward/evaluation/evaluation.png").stat().st_size > 0
    saved = json.loads((tmp_path / "reward/evaluation/scores.json").read_text())
    model = RewardModel.load(str(tmp_path / "reward/model")).eval()
    held = [t for n in range(12) if is_held_out(f"task-{n}", 0.3, 0) for t in (trajectory(n),)]
    again = scores(model, samples_of(reader, *held), BatchingSettings(max_tokens=8192))
    assert again and all(saved[id]["score"] == pytest.approx(value, abs=1e-3) for id, value in again.items())


def test_a_reward_model_learns_the_same_from_rows_that_two_ranks_share(tmp_path):
    write(tmp_path)
    training = ["model.lora=null", "trainer.lr=1e-2", "trainer.max_steps=3", "export.at_end=false"]
    assert main(overrides(tmp_path, *training)) == 0
    shared = [*training, "engine.sequence_parallel=2", f"run_dir={tmp_path}/shared"]
    done = run_command(*overrides(tmp_path, *shared), processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    alone, together = (metrics(tmp_path / run_dir) for run_dir in ("reward", "shared"))
    for name in ("loss", "grad_norm", "micro_batches"):
        assert [r[name] for r in together if name in r] == pytest.approx(
            [r[name] for r in alone if name in r], rel=1e-4
        )
    ours, theirs = (
        json.loads((tmp_path / run_dir / "evaluation/scores.json").read_text()) for run_dir in ("shared", "reward")
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[id]["score"] == pytest.approx(theirs[id]["score"], abs=1e-4) for id in ours)


def test_reward_models_are_compared_on_trajectories_of_the_test_split(tmp_path, caplog):
    write(tmp_path)
    assert main(overrides(tmp_path, "model.lora=null", "trainer.lr=1e-2", "trainer.epochs=2")) == 0
    episodes = []
    for n in range(30, 42):
        won = trajectory(n)
        task = won.task.model_copy(update={"split": "test"})
        unread = {"action": Action(), "answer": "Perhaps", "problem": "bad format: no JSON", "acceptable": []}
        lost = failed(n, steps=[won.steps[0], won.steps[-1].model_copy(update=unread)])
        episodes += [t.model_copy(update={"task": task}) for t in (won, lost)]
    write_jsonl(tmp_path / "test" / "episodes-00000.jsonl", [*episodes, trajectory(50)])
    learned = tmp_path / "reward/model"
    even = shutil.copytree(learned, tmp_path / "even")  # a head of zeros
    head = json.loads((even / "reward_head.json").read_text())
    (even / "reward_head.json").write_text(json.dumps({"weight": [0.0] * len(head["weight"]), "bias": 0.0}))
    models = [f"+evaluate_reward.models.even={even}", f"+evaluate_reward.models.learned={learned}"]
    asked = ["+recipe=evaluate_reward", "model=tiny", "batching.workers=0", *models, f"run_dir={tmp_path}/compared"]
    data = f"evaluate_reward.data=[{tmp_path}/test]"
    assert main([*asked, data, "evaluate_reward.models.even=/nowhere"]) == 2
    assert main([*asked, data]) == 0  # the mistake of before does not stand in the way
    found = json.loads((tmp_path / "compared/evaluation/evaluation.json").read_text())
    assert found["reports"]["learned"]["trajectories"]["number"] == 24  # not the one of the training split
    assert found["reports"]["even"]["trajectories"]["auc_interval"] == [0.5, 0.5]
    (difference,) = found["differences"]
    there = found["reports"]["learned"]
    assert there["last_steps"]["auc"] > 0.9
    assert difference["trajectories"][0] == pytest.approx(there["trajectories"]["auc"] - 0.5)
    page = (tmp_path / "compared/evaluation/README.md").read_text()
    assert "| learned - even | +" in page
    caplog.clear()
    assert main([*asked, f"evaluate_reward.data=[{tmp_path}/test]"]) == 0
    assert "steps scored before" in caplog.text and " steps," not in caplog.text and "batch" not in caplog.text
    assert (tmp_path / "compared/evaluation/README.md").read_text() == page
    (even / "reward_head.json").write_text((learned / "reward_head.json").read_text())
    assert main([*asked, f"evaluate_reward.data=[{tmp_path}/test]"]) == 2


def test_without_models_or_trajectories_it_says_what_to_give(tmp_path, caplog):
    assert main(["+recipe=evaluate_reward", "model=tiny", f"run_dir={tmp_path}/none"]) == 2
    assert "models.NAME=FOLDER" in caplog.text


def test_inspection_marks_the_end_of_turn_alone(tmp_path, capsys):
    write(tmp_path)
    assert main(overrides(tmp_path, "inspect=true")) == 0
    said = capsys.readouterr().out
    assert "⟦<|im_end|>⟧" in said and "steps labelled +1" in said and "steps labelled -1" in said


def test_labels_balance_in_what_is_left_when_long_samples_are_dropped(tmp_path):
    won, lost = [trajectory(n) for n in range(12)], [failed(n) for n in range(12)]
    longer = [t.model_copy(update={"task": t.task.model_copy(update={"request": "word " * 900})}) for t in lost[:6]]
    write_jsonl(tmp_path / "episodes" / "episodes-00000.jsonl", [*won, *longer, *lost[6:]])
    settings = ["reward.balance=true", "batching.overlong=drop", "batching.max_tokens=3000", "model=tiny"]
    recipe = compose_recipe(overrides(tmp_path, *settings))
    prepared, labels, _ = prepare(recipe, Language(load_tokenizer(recipe.model)))
    kept = prepared.train
    assert prepared.counts["training samples dropped as overlong"] > 0
    sums = {
        label: sum(kept.weights(i).sum() for i in range(len(kept)) if labels[kept.ids[i]] == label) for label in (1, -1)
    }
    assert sums[1] == pytest.approx(sums[-1], rel=1e-5)
    counted = [prepared.counts[f"steps labelled {label}"] for label in ("+1", "-1")]
    assert sum(counted) == len(kept) and counted[0] > counted[1]


def test_a_mistyped_folder_of_completable_is_said_before_the_training(tmp_path, caplog):
    write(tmp_path)
    assert main(overrides(tmp_path, f"reward.completable={tmp_path}/completible")) == 2
    assert "reward.completable=" in caplog.text and not (tmp_path / "completible").exists()
    assert not (tmp_path / "reward/checkpoints").exists()


def test_one_outcome_alone_is_refused_with_the_remedy(tmp_path, caplog):
    write_jsonl(tmp_path / "episodes" / "episodes-00000.jsonl", [trajectory(n) for n in range(12)])
    assert main(overrides(tmp_path)) == 2
    assert "success outcomes alone" in caplog.text and "reward.held_out" in caplog.text


def test_a_folder_without_a_head_is_no_reward_model(tmp_path):
    with pytest.raises(UserError, match=r"no reward_head\.json there"):
        RewardModel.load(str(tmp_path))


def test_agreement_with_whether_the_task_could_be_completed(tmp_path):
    (tmp_path / "found").mkdir()
    found = [
        Completable(trajectory_id="f", known=True, after=[True, True, False, None]),
        Completable(trajectory_id="g", known=False),
    ]
    write_jsonl(tmp_path / "found" / "completable-00000.jsonl", found)
    after = completable_steps(str(tmp_path / "found"))
    assert after == {"f/0": True, "f/1": True, "f/2": False}
    scores = {"f/0": 0.5, "f/1": -0.1, "f/2": -0.7, "h/0": 1.0}
    agreed = completable_agreement(scores, {"f/0": 1.0, "f/1": 1.0, "f/2": -1.0, "h/0": 1.0}, after)
    assert (agreed.number, agreed.completable, agreed.auc) == (3, 2, 1.0)
    assert (
        agreed.by_outcome == pytest.approx(1 / 3) and agreed.by_label == 1 and agreed.by_score == pytest.approx(2 / 3)
    )
    assert completable_agreement(scores, {}, {}) is None and completable_steps(None) == {}
