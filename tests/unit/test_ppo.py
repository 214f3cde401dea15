"""Offline PPO: its formulas against independent implementations, what must hold, and phase 4b by its recipe."""

import json
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import ProbabilisticActor
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value.functional import generalized_advantage_estimate
from trl import GRPOTrainer

from lam_train.batching.pack import PackInput, build_pack, padding_pack
from lam_train.objectives.experience import NO_END, Experience, Taken, experience, reward_of, reward_spread
from lam_train.objectives.ppo import (
    adapted_coefficient,
    clipped_objective,
    gae,
    group_advantages,
    kl_estimate,
    log_ratios,
    value_loss,
    whitened,
)
from lam_train.objectives.ppo_objective import PpoObjective
from lam_train.objectives.ppo_settings import PpoSettings
from lam_train.report.ppo import write_health
from lam_train.train.trainer import StopTraining

# Advantages ---------------------------------------------------------------------------------------------------------


def test_advantages_and_returns_equal_a_table_computed_by_hand():
    # gamma 0.5, lambda 0.5. delta_2 = 1 - 2 = -1; delta_1 = 0 + .5 * 2 - 1 = 0; delta_0 = 1 + .5 * 1 - 3 = -1.5
    # A_2 = -1; A_1 = 0 + .25 * -1 = -.25; A_0 = -1.5 + .25 * -.25 = -1.5625
    advantages, returns = gae([1, 0, 1], [3, 1, 2], 0.5, 0.5)
    assert advantages.tolist() == [-1.5625, -0.25, -1.0]
    assert returns.tolist() == [1.4375, 0.75, 1.0]
    assert gae([1, 1], [0, 0], 1, 1)[0].tolist() == [2, 1]
    assert gae([1], [0.25], 1, 1, last_value=2)[0].tolist() == [2.75]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (0.99, 0.0), (1.0, 1.0)])
def test_gae_equals_torchrl(gamma, lam):
    draw = torch.Generator().manual_seed(3)
    rewards, values = (torch.randn(7, 1, dtype=torch.float64, generator=draw) for _ in range(2))
    following = torch.cat([values[1:], torch.zeros(1, 1, dtype=torch.float64)])
    done = torch.zeros(7, 1, dtype=torch.bool)
    done[-1] = True
    theirs = generalized_advantage_estimate(gamma, lam, values, following, rewards, done, done)
    ours = gae(rewards[:, 0].tolist(), values[:, 0].tolist(), gamma, lam)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other[:, 0].numpy(), rtol=1e-6)  # its gamma is float32


def test_group_advantages_are_within_a_group_and_none_where_one_is_alone():
    found = group_advantages([1, 3, 5, 7, 7], ["a", "b", "a", "b", "c"], scale=False)
    assert found.tolist() == [-2, -2, 2, 2, 0]
    scaled = group_advantages([1, 3], ["a", "a"], scale=True)
    assert scaled == pytest.approx(np.array([-1, 1]) / (np.sqrt(2) + 1e-4))


def test_whitened_has_mean_0_and_deviation_1_and_equal_ones_become_0():
    found = whitened(np.array([1.0, 2.0, 6.0]))
    assert found.mean() == pytest.approx(0) and found.std() == pytest.approx(1)
    assert whitened(np.array([2.0, 2.0])).tolist() == [0, 0]


# The clipped objective ------------------------------------------------------------------------------------------------


def test_loss_and_gradient_equal_torchrl():
    """Actions of one choice each: ClipPPOLoss of a categorical policy."""
    draw = torch.Generator().manual_seed(11)
    logits = torch.randn(16, 5, dtype=torch.float64, generator=draw).requires_grad_()
    actions = torch.randint(5, (16,), generator=draw)
    old = logits.detach().log_softmax(-1).gather(1, actions[:, None])[:, 0] + 0.4 * torch.randn(
        16, dtype=torch.float64, generator=draw
    )
    advantages = torch.randn(16, dtype=torch.float64, generator=draw)

    module = TensorDictModule(lambda x: x, in_keys=["observation"], out_keys=["logits"])
    actor = ProbabilisticActor(
        TensorDictSequential(module), in_keys=["logits"], distribution_class=torch.distributions.Categorical
    )
    their = ClipPPOLoss(actor, None, clip_epsilon=0.2, entropy_bonus=False, reduction="mean")
    batch = TensorDict(
        {
            "observation": logits,
            "action": actions,
            "action_log_prob": old,
            "advantage": advantages[:, None],
        },
        batch_size=[16],
    )
    theirs = their(batch)["loss_objective"]
    (their_gradient,) = torch.autograd.grad(theirs, logits)

    logprobs = logits.log_softmax(-1).gather(1, actions[:, None])[:, 0]
    # torchrl clamps the log ratio between log1p(-clip) and log1p(clip), in float32: the same ratios to 1e-7.
    ours = clipped_objective(logprobs - old, advantages, torch.full((16,), 1 / 16, dtype=torch.float64), 0.2)
    (gradient,) = torch.autograd.grad(ours, logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("beta", "corrected"), [(0.0, False), (0.3, False), (0.3, True)])
def test_the_token_level_equals_trl(beta, corrected):
    """TRL's own GRPO loss on the same log-probabilities, with completions of several lengths."""
    lengths, draw = [4, 1, 6], torch.Generator().manual_seed(5)
    padded = torch.randn(3, 6, dtype=torch.float64, generator=draw).requires_grad_()
    old, reference = (padded.detach() + 0.3 * torch.randn(3, 6, dtype=torch.float64, generator=draw) for _ in range(2))
    advantages = torch.tensor([1.2, -0.7, 0.4], dtype=torch.float64)
    mask = torch.tensor([[float(i < n) for i in range(6)] for n in lengths], dtype=torch.float64)
    theirs = _trl_loss(padded, old, reference, advantages, mask, beta, corrected)
    (their_gradient,) = torch.autograd.grad(theirs, padded)

    flat = mask.bool()
    owners = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    weights = torch.cat([torch.full((n,), 1 / n, dtype=torch.float64) for n in lengths])
    ratio = log_ratios(padded[flat], old[flat], owners, "token")
    divergence = PpoObjective(PpoSettings(actions="sampled"), uses_values=False)._divergence
    acted = old[flat] if corrected else padded[flat]
    kl = beta * (weights * divergence(padded[flat], reference[flat], acted)).sum()  # a mean over tokens
    ours = (clipped_objective(ratio, advantages[owners], weights, 0.2) + kl) / 3
    (gradient,) = torch.autograd.grad(ours, padded)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-12, atol=1e-12)


def _trl_loss(logprobs, old, reference, advantages, mask, beta: float, corrected: bool) -> torch.Tensor:
    accelerator = MagicMock(num_processes=1)
    accelerator.gather.side_effect = lambda tensor: tensor
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (logprobs, torch.zeros_like(logprobs), None),
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=beta,
        args=SimpleNamespace(use_bias_correction_kl=corrected, delta=None),
        epsilon_low=0.2,
        epsilon_high=0.2,
        loss_type="grpo",
        use_vllm=False,
        model=SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1,
        accelerator=accelerator,
        _metrics=MagicMock(),
    )
    inputs = {
        "prompt_ids": torch.zeros(3, 2, dtype=torch.long),
        "prompt_mask": torch.ones(3, 2),
        "completion_ids": torch.zeros(3, 6, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }
    return GRPOTrainer._compute_loss(trainer, None, inputs)


def test_the_ratio_of_an_action_is_the_product_of_its_tokens():
    owners = torch.tensor([0, 0, 1])
    new, old = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.5, -2.5, -1.0])
    assert log_ratios(new, old, owners, "token").tolist() == [0.5, 0.5, -2.0]
    assert log_ratios(new, old, owners, "action").tolist() == [1.0, 1.0, -2.0]


def test_a_clipped_ratio_has_no_gradient_where_the_advantage_pushes_further():
    log_ratio = torch.log(torch.tensor([1.5, 1.5, 0.5, 0.5])).requires_grad_()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    clipped_objective(log_ratio, advantages, torch.ones(4), 0.2).backward()
    assert log_ratio.grad.tolist() == pytest.approx([0, 1.5, -0.5, 0])


def test_the_value_loss_takes_the_larger_of_plain_and_clipped():
    values, old, returns = torch.tensor([1.0, 0.1]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])
    assert value_loss(values, old, returns, 0.2).item() == pytest.approx(0.5 * (0.8**2 + 0.9**2))
    assert value_loss(values, old, returns, 0.0).item() == pytest.approx(0.5 * (0 + 0.9**2))


def test_the_kl_estimate_has_the_divergence_as_its_mean():
    p, q = torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.4, 0.4, 0.2]).log()
    exact = (p.exp() * (p - q)).sum()
    assert (p.exp() * kl_estimate(p, q)).sum() == pytest.approx(exact.item(), rel=1e-6)
    assert kl_estimate(p, p).tolist() == [0, 0, 0]


def test_the_coefficient_follows_its_target():
    assert adapted_coefficient(0.2, 0.1, 0.1, 100, 8) == 0.2
    assert adapted_coefficient(0.2, 9.0, 0.1, 100, 10) == pytest.approx(0.2 * 1.02)
    assert adapted_coefficient(0.2, 0.0, 0.1, 100, 10) == pytest.approx(0.2 * 0.98)


# Experience -----------------------------------------------------------------------------------------------------------


def outputs(*logprobs: float, value: float = 0.0) -> torch.Tensor:
    """The value counts where the action begins: at its other tokens it is something else."""
    n = len(logprobs)
    return torch.tensor([logprobs, [value, *[9.0] * (n - 1)], [1.0] * n])


TAKEN = [Taken("t/0", "t", "p"), Taken("t/1", "t", "q"), Taken("u/0", "u", "p", ended=False)]
POLICY = {"t/0": outputs(-1, -2), "t/1": outputs(-3, value=0.5), "u/0": outputs(-1, -1, -1, value=-0.5)}
REFERENCE = {"t/0": torch.tensor([-1.5, -2]), "t/1": torch.tensor([-2.75]), "u/0": torch.tensor([-2, -1, -0.5])}
SCORES = {"t/0": torch.tensor([9.0, 0.0]), "t/1": torch.tensor([1.0]), "u/0": torch.tensor([9.0, 9.0, 9.0])}


def made(**more) -> Experience:
    given = {"reference": None, "advantages": "gae", "whiten": False} | more
    return experience(TAKEN, POLICY, scores=SCORES, **given)


def test_the_reward_is_read_where_the_action_ends_and_a_cut_answer_has_the_least():
    assert reward_of(0.0) == 0 and reward_of(50.0) == pytest.approx(0.5) and reward_of(-50.0) == pytest.approx(-0.5)
    one = 1 / (1 + np.exp(-1)) - 0.5
    assert made().rewards == pytest.approx([0.0, one, NO_END])
    assert NO_END == -0.5


def test_advantages_follow_the_trajectory_and_tokens_are_found_by_action():
    found = made(gamma=1.0, lam=1.0)
    one = 1 / (1 + np.exp(-1)) - 0.5
    assert found.advantages == pytest.approx([one, one - 0.5, NO_END + 0.5])
    assert found.returns == pytest.approx([one, one, NO_END])
    some = found.of(["u/0", "t/0"])
    assert some.old_logprobs.tolist() == [-1, -1, -1, -1, -2] and some.offsets.tolist() == [0, 3, 5]
    assert some.values.tolist() == [-0.5, 0.0]
    grouped = made(advantages="group")
    assert grouped.advantages == pytest.approx([0.25, 0, -0.25])  # t/0 and u/0 answer the same prompt
    scaled = made(advantages="group", scale_groups=True)
    assert scaled.advantages == pytest.approx(np.array([0.25, 0, -0.25]) / (np.sqrt(0.125) + 1e-4))


def test_gamma_and_lambda_each_keep_their_place_and_whitening_is_over_all_actions():
    one = 1 / (1 + np.exp(-1)) - 0.5
    found = made(gamma=0.5, lam=0.2)  # delta_1 = r_1 - V_1, A_0 = r_0 + gamma V_1 - V_0 + gamma lam delta_1
    advantages = [0.5 * 0.5 + 0.5 * 0.2 * (one - 0.5), one - 0.5, NO_END + 0.5]
    assert found.advantages == pytest.approx(advantages, abs=1e-7)
    white = made(gamma=0.5, lam=0.2, whiten=True)
    assert white.advantages == pytest.approx(
        (np.array(advantages) - np.mean(advantages)) / np.std(advantages), abs=1e-6
    )
    assert white.returns == pytest.approx(found.returns)  # what the values learn is not whitened


def test_the_reference_is_another_model_than_the_one_that_acted():
    found = made(reference=REFERENCE).of(["u/0", "t/0"])
    assert found.old_logprobs.tolist() == [-1, -1, -1, -1, -2]
    assert found.reference_logprobs.tolist() == [-2, -1, -0.5, -1.5, -2]


def test_experience_is_read_back_as_it_was_written(tmp_path):
    made().save(tmp_path / "iteration.npz")
    again = Experience.load(tmp_path / "iteration.npz")
    assert again.ids == made().ids
    for name in ("offsets", "old_logprobs", "reference_logprobs", "rewards", "values", "advantages", "returns"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made(), name))


def test_the_spread_of_rewards_is_within_states_and_between_them():
    rewards, groups = [0.1, 0.3, 0.2, 0.2, -0.4, -0.4, 0.0], ["a", "a", "b", "b", "c", "c", "d"]
    within, between = reward_spread(rewards, groups)
    assert within == pytest.approx(0.1)  # of `a` alone: the others' rewards are all the same
    assert between == pytest.approx(np.std([0.2, 0.2, -0.4, 0.0]))
    assert reward_spread([0.1, 0.1, 0.5], ["a", "a", "b"]) is None


@pytest.mark.parametrize(("within", "warns"), [(0.001, True), (0.02, False)])
def test_health_says_where_the_reward_does_not_tell_answers_apart(tmp_path, within, warns):
    step = {"kind": "train", "step": 1, "reward": 0.1, "kl": 0.0, "clip_fraction": 0.0, "entropy": 1.0}
    before = {"kind": "experience", "step": 0, "reward_within": within, "reward_between": 0.025}
    write_health([before, step], "", tmp_path)
    health = json.loads((tmp_path / "health.json").read_text())
    assert any("tells states apart" in warning for warning in health["warnings"]) == warns
    assert f"{within:.4f}" in (tmp_path / "health.md").read_text()


# The objective --------------------------------------------------------------------------------------------------------


def pack_of(*names: str):
    """A pack with the actions of POLICY, behind a prompt token of their own each."""
    inputs = []
    for name in names:
        n = POLICY[name].shape[1]
        weights = np.array([0.0] + [1 / n] * n, np.float32)
        inputs.append(PackInput(name, np.arange(1, n + 2, dtype=np.int32), weights, 0))
    return build_pack(inputs)


def world():
    return SimpleNamespace(device=torch.device("cpu"))


@pytest.fixture
def one_rank(monkeypatch):
    monkeypatch.setattr("lam_train.objectives.ppo_objective.sum_over_rows", lambda values, world: values)


@pytest.fixture
def twins(monkeypatch):
    """Another rank has the same."""
    monkeypatch.setattr(
        "lam_train.objectives.ppo_objective.sum_over_rows", lambda values, world: [2 * value for value in values]
    )


def objective(**settings) -> PpoObjective:
    found = PpoObjective(PpoSettings(**settings), uses_values=True)
    found.begin(0, made())
    return found


def test_at_the_start_every_ratio_is_1_and_the_kl_0_exactly(one_rank):
    ours = objective(kl_coefficient=5.0)
    names = ("t/1", "u/0", "t/0")
    policy = torch.cat([POLICY[name] for name in names], 1)
    loss = ours(policy, pack_of(*names))
    told = ours.before_update(world())
    assert told["ratio"] == 1 and told["kl"] == 0 and told["kl_old"] == 0 and told["clip_fraction"] == 0
    values = [0.5, -0.5, 0.0]
    returns = [made().returns[made().ids.index(name)] for name in names]
    value = 0.1 * 0.5 * sum((v - r) ** 2 for v, r in zip(values, returns, strict=True))
    advantages = [made().advantages[made().ids.index(name)] for name in names]
    assert loss.item() == pytest.approx(-sum(advantages) + value, rel=1e-5)


UNUSUAL = {"clip": 0.1, "value_clip": 0.05, "value_weight": 0.5, "kl_coefficient": 0.3, "kl_target": 0.05,
           "kl_horizon": 50.0, "kl_limit": None}  # fmt: skip
NOW = {  # the policy when it learns
    "t/0": torch.tensor([[-0.5, -2.05], [0.25, 9.0], [1.0, 3.0]]),
    "t/1": torch.tensor([[-3.25], [0.75], [0.5]]),
    "u/0": torch.tensor([[-1.25, -1.0, -0.75], [-0.46875, 9.0, 9.0], [2.0, 2.0, 0.25]]),
}


def by_hand(name: str, e: Experience, settings: PpoSettings) -> dict[str, float]:
    """An action's parts of the loss and its numbers, one token after the other."""
    place, (now, values, entropies) = e.ids.index(name), NOW[name].double().numpy()
    old, reference = POLICY[name][0].double().numpy(), REFERENCE[name].double().numpy()
    advantage, returned, value, n = e.advantages[place], e.returns[place], values[0], len(now)
    log_ratios = now - old if settings.ratio == "token" else np.full(n, (now - old).sum())
    ratios, low, high = np.exp(log_ratios), 1 - settings.clip, 1 + settings.clip
    policy = sum(-min(r * advantage, min(max(r, low), high) * advantage) for r in ratios) / n
    near = e.values[place] + np.clip(value - e.values[place], -settings.value_clip, settings.value_clip)
    clipped = sum(r > high if advantage > 0 else r < low for r in ratios) if advantage else 0
    away, gone = now - reference, now - old
    return {
        "policy": policy,
        "kl": sum(np.exp(away) - 1 - away),
        "kl_old": sum(np.exp(gone) - 1 - gone),
        "value_loss": 0.5 * max((value - returned) ** 2, (near - returned) ** 2),
        "ratio": sum(ratios), "clipped": clipped, "entropy": sum(entropies), "reward": e.rewards[place],
        "return": returned, "error": returned - value, "tokens": n,
    }  # fmt: skip


@pytest.mark.parametrize("uses_values", [True, False])
@pytest.mark.parametrize("ratio", ["token", "action"])
def test_a_step_of_two_packs_on_two_ranks_is_what_its_actions_are_one_by_one(twins, ratio, uses_values):
    """Of settings that are no defaults: the loss, each number told with its divisor, and the coefficient after it."""
    settings = PpoSettings(ratio=ratio, **UNUSUAL)
    ours, e = PpoObjective(settings, uses_values), made(reference=REFERENCE)
    ours.begin(3, e)
    weight = settings.value_weight if uses_values else 0
    coefficient = settings.kl_coefficient
    for packs in ([("u/0",), ("t/1", "t/0")], [("t/0", "u/0")]):  # two optimizer steps
        of = {name: by_hand(name, e, settings) for names in packs for name in names}
        for names in packs:
            outputs = torch.cat([NOW[name] for name in names], 1).requires_grad_()
            loss = ours(outputs, pack_of(*names))
            expected = sum(of[n]["policy"] + coefficient * of[n]["kl"] + weight * of[n]["value_loss"] for n in names)
            assert loss.item() == pytest.approx(expected, rel=1e-5)
            loss.backward()
            assert bool(outputs.grad[1].any()) == uses_values and not outputs.grad[2].any()
        assert not ours._sums.requires_grad  # else every pack's graph would be kept until the step's end
        told = ours.before_update(world())
        total = {key: sum(part[key] for part in of.values()) for key in of["t/0"]}
        actions, tokens = len(of), total["tokens"]
        kl = total["kl"] / actions
        expected = {"kl": kl, "kl_old": total["kl_old"] / actions, "kl_coefficient": coefficient, "iteration": 3}
        expected |= {"clip_fraction": total["clipped"] / tokens, "ratio": total["ratio"] / tokens}
        expected |= {"entropy": total["entropy"] / tokens, "reward": total["reward"] / actions}
        if uses_values:
            errors, returned = ([part[key] for part in of.values()] for key in ("error", "return"))
            expected["value_loss"] = total["value_loss"] / actions
            expected["explained_variance"] = 1 - np.var(errors) / np.var(returned)
        assert told == pytest.approx(expected, rel=1e-4)
        coefficient = adapted_coefficient(coefficient, kl, settings.kl_target, settings.kl_horizon, 2 * actions)
        assert ours.coefficient == pytest.approx(coefficient, rel=1e-6)


def test_an_action_without_advantage_is_never_clipped_and_without_a_target_the_coefficient_stays(one_rank):
    ours = objective(kl_target=None, kl_limit=None)
    ours._experience.advantages[:] = 0
    for shift in (3.0, -3.0):
        ours(POLICY["t/1"] + torch.tensor([[shift], [0], [0]]), pack_of("t/1"))
    assert ours.before_update(world())["clip_fraction"] == 0 and ours.coefficient == 0.2


def test_the_padding_pack_counts_for_nothing(one_rank):
    ours = objective()
    loss = ours(torch.tensor([[-3.0], [2.0], [4.0]], requires_grad=True), padding_pack())
    assert loss.item() == 0
    ours(POLICY["t/1"], pack_of("t/1"))
    assert ours.before_update(world())["reward"] == pytest.approx(float(made().rewards[1]))


def test_it_stops_before_the_update_where_the_kl_passes_its_limit(one_rank):
    ours = objective(kl_limit=0.5)
    moved = POLICY["t/1"].clone()
    moved[0] -= 2.0  # KL estimate of a recorded action, e^-2 - 1 + 2; of a sampled one, e^-2 (e^2 - 1 - 2)
    ours(moved, pack_of("t/1"))
    with pytest.raises(StopTraining, match=r"KL from the starting model 1\.135 nats an action, ppo\.kl_limit=0\.5"):
        ours.before_update(world())
    ours = objective(kl_limit=None)
    ours(moved, pack_of("t/1"))
    assert ours.before_update(world())["kl"] == pytest.approx(np.e**-2 + 1, rel=1e-5)
    assert ours.coefficient > 0.2 and objective().coefficient == 0.2
    ours = objective(kl_limit=None, actions="sampled")
    ours(moved, pack_of("t/1"))
    assert ours.before_update(world())["kl"] == pytest.approx(1 - 3 * np.e**-2, rel=1e-5)  # e^2 - 3 without its weight


def test_the_coefficient_is_part_of_the_state(one_rank):
    ours = objective()
    ours.coefficient = 0.7
    again = objective()
    again.load_state(ours.state())
    assert again.coefficient == 0.7


# A small decision problem with a known optimum ------------------------------------------------------------------------


def test_a_small_decision_problem_is_solved_offline():
    """Three states in a row, two actions; only the second leads on, and the last state's second one is rewarded.

    The behaviour policy is uniform, its trajectories are logged once; PPO on them, as in phase 4b, finds the optimum.
    """
    rng = np.random.default_rng(0)
    rows = []
    for trajectory in range(400):
        state = 0
        while state < 3:
            action = int(rng.integers(2))
            reward = 1.0 if action and state == 2 else -0.05
            rows.append((trajectory, state, action, reward))
            state = state + 1 if action else 3
    states, actions = (torch.tensor([row[i] for row in rows]) for i in (1, 2))
    old = torch.full((len(rows),), float(np.log(0.5)))
    logits, values = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits, values], lr=0.05)
    weights = torch.full((len(rows),), 1 / len(rows))
    for _ in range(12):  # iterations: advantages computed again with the values learned so far
        held = values.detach()[states].tolist()
        advantages, returns = np.zeros(len(rows)), np.zeros(len(rows))
        for trajectory in range(400):
            places = [i for i, row in enumerate(rows) if row[0] == trajectory]
            advantages[places], returns[places] = gae(
                [rows[i][3] for i in places], [held[i] for i in places], 1.0, 0.95
            )
        advantages = torch.tensor(whitened(advantages), dtype=torch.float32)
        returns = torch.tensor(returns, dtype=torch.float32)
        for _ in range(20):
            logprobs = logits.log_softmax(-1)[states, actions]
            loss = clipped_objective(logprobs - old, advantages, weights, 0.2)
            loss = loss + value_loss(values[states], values.detach()[states], returns, 0.0) / len(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    chosen = logits.softmax(-1)
    assert (chosen.argmax(-1) == 1).all() and (chosen[:, 1] > 0.55).all()
    # Clipped at 1.2 against a uniform policy: nothing pulls a probability beyond 0.6, where the objective is flat.
    assert values[2].item() == pytest.approx(0.475, abs=0.1)  # of the policy that acted: half of the tries are won
