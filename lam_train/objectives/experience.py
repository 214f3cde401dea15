"""What PPO learns from in one iteration: by action, how it was judged and how likely it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from lam_train.objectives.ppo import gae, group_advantages, whitened

NO_END = -0.5  # the reward of an answer that was cut off: the least there is


@dataclass(frozen=True)
class Taken:
    """An action in the order it was taken: `trajectory` and `group` say what belongs together."""

    id: str  # its sample's
    trajectory: str
    group: str  # the same for actions that answer the same prompt
    ended: bool = True  # with an end of turn


@dataclass(frozen=True)
class Experience:
    """Arrays by action, in the order of `ids`; those of tokens lie one action behind the other, cut at `offsets`."""

    ids: tuple[str, ...]
    offsets: np.ndarray  # int64 [A + 1]
    old_logprobs: np.ndarray  # float32 [N]: under the policy that acted
    reference_logprobs: np.ndarray  # float32 [N]: under the model that phase 4b began with
    rewards: np.ndarray  # float32 [A], in [-0.5, 0.5]
    values: np.ndarray  # float32 [A]
    advantages: np.ndarray  # float32 [A]
    returns: np.ndarray  # float32 [A]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {id: place for place, id in enumerate(self.ids)}

    def of(self, samples: Sequence[str]) -> "Experience":
        """That of some actions, in this order."""
        places = [self._place[id] for id in samples]
        spans = [np.arange(self.offsets[p], self.offsets[p + 1]) for p in places]
        tokens = np.concatenate([np.zeros(0, np.int64), *spans])
        offsets = np.concatenate([[0], np.cumsum([len(span) for span in spans])]).astype(np.int64)
        by_token = (array[tokens] for array in (self.old_logprobs, self.reference_logprobs))
        by_action = (array[places] for array in (self.rewards, self.values, self.advantages, self.returns))
        return Experience(tuple(samples), offsets, *by_token, *by_action)

    def save(self, file: Path) -> None:
        """Writes it whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".incomplete.npz")
        np.savez(partial, **{name: getattr(self, name) for name in self.__dataclass_fields__})
        partial.rename(file)

    @classmethod
    def load(cls, file: Path) -> "Experience":
        with np.load(file) as arrays:
            read = {name: arrays[name] for name in cls.__dataclass_fields__}
        return cls(**read | {"ids": tuple(read["ids"].tolist())})


def reward_of(score: float) -> float:
    """sigmoid(score) - 0.5: the reward model's score as a reward in (-0.5, 0.5), as the paper has it."""
    return float(torch.sigmoid(torch.tensor(score, dtype=torch.float64))) - 0.5


def reward_spread(rewards: Sequence[float], groups: Sequence[str]) -> tuple[float, float] | None:
    """(mean deviation of the rewards within a group, deviation of the groups' means); None where no group differs.

    Within groups of several rewards that are not all the same: equal answers to a state have one reward.
    """
    by_group: dict[str, list[float]] = {}
    for reward, group in zip(rewards, groups, strict=True):
        by_group.setdefault(group, []).append(reward)
    within = [float(np.std(found)) for found in by_group.values() if max(found) > min(found)]
    if not within:
        return None
    return float(np.mean(within)), float(np.std([np.mean(found) for found in by_group.values()]))


def experience(
    taken: Sequence[Taken],
    policy: Mapping[str, torch.Tensor],
    reference: Mapping[str, torch.Tensor] | None,
    scores: Mapping[str, torch.Tensor],
    *,
    advantages: str,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten: bool = True,
    scale_groups: bool = False,
) -> Experience:
    """The experience of actions that were taken in this order.

    `policy`: by action [3, n], what `PolicyValue` gave; its log-probabilities are the old ones. `reference`: [n] or
    [3, n] of the model to stay near; None: the policy itself. `scores`: [n] of the reward model; the last is read,
    at the source of the end of turn. `advantages` is `gae` or `group`.
    """
    old = [policy[action.id][0].numpy() for action in taken]
    near = old if reference is None else [torch.atleast_2d(reference[action.id])[0].numpy() for action in taken]
    rewards = [reward_of(float(scores[action.id][-1])) if action.ended else NO_END for action in taken]
    values = [float(policy[action.id][1, 0]) for action in taken]
    if advantages == "group":
        found = group_advantages(rewards, [action.group for action in taken], scale_groups)
        returns = np.asarray(rewards)
    else:
        found, returns = np.zeros(len(taken)), np.zeros(len(taken))
        by_trajectory: dict[str, list[int]] = {}
        for place, action in enumerate(taken):
            by_trajectory.setdefault(action.trajectory, []).append(place)
        for places in by_trajectory.values():
            found[places], returns[places] = gae([rewards[p] for p in places], [values[p] for p in places], gamma, lam)
        found = whitened(found) if whiten else found
    return Experience(
        ids=tuple(action.id for action in taken),
        offsets=np.concatenate([[0], np.cumsum([len(part) for part in old])]).astype(np.int64),
        old_logprobs=np.concatenate(old).astype(np.float32),
        reference_logprobs=np.concatenate(near).astype(np.float32),
        rewards=np.asarray(rewards, np.float32),
        values=np.asarray(values, np.float32),
        advantages=found.astype(np.float32),
        returns=np.asarray(returns, np.float32),
    )
