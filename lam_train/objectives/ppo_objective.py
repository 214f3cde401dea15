"""PPO's objective as the trainer calls it, the KL coefficient that it follows, and the health of its steps.

Legend: N targets of a pack, A actions (samples) of it.
"""

import torch

from lam_train.batching.pack import Pack
from lam_train.objectives.experience import Experience
from lam_train.objectives.ppo import (
    adapted_coefficient,
    clipped_objective,
    kl_estimate,
    log_ratios,
    value_loss,
)
from lam_train.objectives.ppo_settings import PpoSettings
from lam_train.train.distributed import World, sum_over_rows
from lam_train.train.trainer import Steering, StopTraining

SUMS = ("actions", "tokens", "clipped", "ratio", "kl", "kl_old", "entropy", "reward", "value_loss", "return",
        "return_squared", "error", "error_squared")  # fmt: skip


class PpoObjective(Steering):
    """Clipped objective + value_weight x value loss + coefficient x KL, summed over the actions of a pack.

    Targets weigh 1 / tokens of their action, so an action weighs 1 and the trainer's division gives the mean over
    actions: of the clipped objective's mean over an action's tokens, of its value loss, of its KL's sum.
    """

    def __init__(self, settings: PpoSettings, uses_values: bool) -> None:
        self.settings, self.uses_values = settings, uses_values
        self.coefficient = settings.kl_coefficient
        self.iteration = 0
        self._experience: Experience | None = None
        self._sums: torch.Tensor | None = None

    def begin(self, iteration: int, experience: Experience) -> None:
        """Learns from this experience from now on."""
        self.iteration, self._experience = iteration, experience

    def __call__(self, outputs_3N: torch.Tensor, pack: Pack) -> torch.Tensor:
        if not pack.samples:  # the padding pack: no action, whatever its token is
            return (outputs_3N * pack.weights).sum()
        device = outputs_3N.device
        e, owners = self._experience.of(pack.samples), pack.owners
        old, reference, advantages, returns, old_values, rewards = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (e.old_logprobs, e.reference_logprobs, e.advantages, e.returns, e.values, e.rewards)
        )
        logprobs, values, entropies = outputs_3N
        begins = torch.from_numpy(e.offsets[:-1]).to(device, non_blocking=True)
        values = values[begins]  # where the action begins: the state's value
        log_ratio = log_ratios(logprobs, old, owners, self.settings.ratio)
        policy = clipped_objective(log_ratio, advantages[owners], pack.weights, self.settings.clip)
        kl, kl_old = (self._divergence(logprobs, other, old).sum() for other in (reference, old))
        value = value_loss(values, old_values, returns, self.settings.value_clip)
        self._count(log_ratio, kl_old, kl, entropies, rewards, values, returns, value, advantages[owners])
        return policy + self.coefficient * kl + (self.settings.value_weight * value if self.uses_values else 0)

    def _divergence(self, logprobs: torch.Tensor, other: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        """[N]: KL(policy || other) of sampled answers, KL(other || policy) of recorded ones.

        Sampled tokens are those of the policy that acted, so they count by how much likelier they are now (TRL's
        `use_bias_correction_kl`): without, one that was given up would count e to the nats that it lost. Recorded ones
        are estimated from their own side.
        """
        if self.settings.actions == "sampled":
            return (logprobs - old).exp() * kl_estimate(logprobs, other)
        return kl_estimate(other, logprobs)

    @torch.no_grad()
    def _count(self, log_ratio, kl_old, kl, entropies, rewards, values, returns, value, advantages) -> None:
        ratio, clip = log_ratio.exp(), self.settings.clip
        beyond = torch.where(advantages > 0, ratio > 1 + clip, ratio < 1 - clip) & (advantages != 0)
        error = returns - values
        counted = [
            value.new_full((), len(values)), value.new_full((), len(ratio)), beyond.sum(), ratio.sum(), kl, kl_old,
            entropies.sum(), rewards.sum(), value, returns.sum(), (returns**2).sum(), error.sum(), (error**2).sum(),
        ]  # fmt: skip
        sums = torch.stack([number.double() for number in counted])
        self._sums = sums if self._sums is None else self._sums + sums

    def before_update(self, world: World) -> dict[str, float]:
        """The step's numbers, over all ranks; raises StopTraining where the KL is beyond its limit.

        `kl` is from the reference, `kl_old` from the policy that acted, both nats an action: KL(policy || other) of
        sampled answers, KL(other || policy) of recorded ones. The coefficient told is the one that this step used.
        """
        mine = [0.0] * len(SUMS) if self._sums is None else self._sums.tolist()
        self._sums = None
        sums = dict(zip(SUMS, sum_over_rows(mine, world), strict=True))
        actions, tokens = sums["actions"], sums["tokens"]
        kl, used, s = sums["kl"] / actions, self.coefficient, self.settings
        if s.kl_limit is not None and kl > s.kl_limit:
            raise StopTraining(f"KL from the starting model {kl:.3f} nats an action, ppo.kl_limit={s.kl_limit}")
        if s.kl_target is not None:
            self.coefficient = adapted_coefficient(used, kl, s.kl_target, s.kl_horizon, round(actions))
        numbers = {
            "kl": kl,
            "kl_old": sums["kl_old"] / actions,
            "kl_coefficient": used,
            "clip_fraction": sums["clipped"] / tokens,
            "ratio": sums["ratio"] / tokens,
            "entropy": sums["entropy"] / tokens,
            "reward": sums["reward"] / actions,
            "iteration": self.iteration,
        }
        if not self.uses_values:
            return numbers
        return numbers | {
            "value_loss": sums["value_loss"] / actions,
            "explained_variance": explained_variance(sums),
        }

    def state(self) -> dict:
        return {"iteration": self.iteration, "kl_coefficient": self.coefficient}

    def load_state(self, state: dict) -> None:
        self.coefficient = state["kl_coefficient"]


def explained_variance(sums: dict[str, float]) -> float:
    """1 - Var(return - value) / Var(return) over a step's actions; 0 where all returns are equal."""
    n = sums["actions"]
    of_returns = sums["return_squared"] / n - (sums["return"] / n) ** 2
    of_errors = sums["error_squared"] / n - (sums["error"] / n) ** 2
    return 1 - of_errors / of_returns if of_returns > 1e-12 else 0.0
