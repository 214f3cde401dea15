"""Proximal policy optimization: pure functions of gathered log-probabilities, values and rewards (phase 4b).

Legend: N target tokens of a pack, A actions (samples) of it; an action's tokens lie one behind the other.
"""

from collections.abc import Sequence

import numpy as np
import torch


def gae(
    rewards: Sequence[float], values: Sequence[float], gamma: float, lam: float, last_value: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(advantages, returns), float64 [T] each: generalized advantage estimation over the T steps of a trajectory.

    delta_t = r_t + gamma V_(t+1) - V_t;  A_t = sum_k (gamma lam)^k delta_(t+k);  return_t = A_t + V_t
    (Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation", eq. 16).
    V_T is `last_value`: 0 where the trajectory ended there.
    """
    advantages = np.zeros(len(rewards))
    following, ahead = 0.0, last_value
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * ahead - values[t]
        following = delta + gamma * lam * following
        advantages[t] = following
        ahead = values[t]
    return advantages, advantages + np.asarray(values, float)


def group_advantages(rewards: Sequence[float], groups: Sequence, scale: bool) -> np.ndarray:
    """float64 [A]: each reward less the mean of its group (answers to one state); 0 where it is alone.

    `scale`: also divided by the group's standard deviation, n - 1 in its denominator, + 1e-4 (Shao et al. 2024,
    "DeepSeekMath", section 4.1, as TRL's GRPOTrainer computes it).
    """
    rewards, places = np.asarray(rewards, float), {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    advantages = np.zeros(len(rewards))
    for members in places.values():
        if len(members) > 1:
            of_group = rewards[members]
            advantages[members] = of_group - of_group.mean()
            if scale:
                advantages[members] /= of_group.std(ddof=1) + 1e-4
    return advantages


def whitened(advantages: np.ndarray) -> np.ndarray:
    """Mean 0, standard deviation 1 over all actions; a single one, or equal ones, become 0."""
    centred = advantages - advantages.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 1e-8 else np.zeros_like(centred)


def log_ratios(logprobs: torch.Tensor, old_logprobs: torch.Tensor, owners: torch.Tensor, per: str) -> torch.Tensor:
    """[N] log(new probability / old): of each token, or (`per` = "action") of its whole action."""
    ratios = logprobs - old_logprobs
    if per == "token":
        return ratios
    return ratios.new_zeros(len(ratios)).index_add(0, owners, ratios)[owners]


def clipped_objective(
    log_ratio: torch.Tensor, advantages: torch.Tensor, weights: torch.Tensor, clip: float
) -> torch.Tensor:
    """Scalar: the sum of weight x -min(rho A, clamp(rho, 1 - clip, 1 + clip) A), all [N].

    Schulman et al. 2017, "Proximal Policy Optimization Algorithms", eq. 7, negated: the paper's section 4.4.2 prints
    it as a loss without the sign. With weights of 1 / tokens an action counts 1, as in GRPO's loss.
    """
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -(weights * torch.minimum(ratio * advantages, clipped * advantages)).sum()


def value_loss(values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip: float) -> torch.Tensor:
    """Scalar: the sum over actions of half the squared error, the larger of plain and clipped values; all [A].

    `clip` 0: plain. The clipping is that of PPO's first implementation (openai/baselines, ppo2).
    """
    plain = (values - returns) ** 2
    if not clip:
        return 0.5 * plain.sum()
    near = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum(plain, (near - returns) ** 2).sum()


def kl_estimate(logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """[N] r - 1 - log r with r = reference / policy: of the KL divergence from policy to reference, never below 0.

    Unbiased where the tokens are the policy's own (Schulman 2020, "Approximating KL Divergence", k3).
    """
    log_r = reference - logprobs
    return log_r.expm1() - log_r  # exact near 0, where exp(x) - 1 - x is rounding alone


def adapted_coefficient(coefficient: float, kl: float, target: float, horizon: float, actions: int) -> float:
    """The KL coefficient for the next step: larger above the target, smaller below.

    coefficient x (1 + clamp(kl / target - 1, -0.2, 0.2) x actions / horizon) (Ziegler et al. 2019, "Fine-Tuning
    Language Models from Human Preferences", section 2.2).
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return coefficient * (1 + error * actions / horizon)
