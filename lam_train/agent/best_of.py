"""Best of K: a local model answers a state several times, and the reward model chooses."""

import time
from collections.abc import Sequence

import numpy as np
import torch

from lam_train.agent.local_policy import LocalPolicy
from lam_train.agent.policy import Decision
from lam_train.batching.layout import BatchingSettings, build_packs, lay_out
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.model.reward import RewardModel
from lam_train.records import State


class BestOf:
    """A policy (protocol: `lam_train.agent.policy.Policy`) whose decision is the answer that scores highest.

    A readable answer goes before an unreadable one, whatever they score; of equal scores the first is taken.
    """

    def __init__(self, policy: LocalPolicy, judge: RewardModel, answers: int, device: str | torch.device) -> None:
        self.name = f"{policy.name}-best-of-{answers}"
        self._policy, self._judge, self._answers, self._device = policy, judge.eval(), answers, device

    def decide(self, states: Sequence[State]) -> list[Decision]:
        """One decision a state; `seconds` is what the state waited for: the whole call."""
        started = time.perf_counter()
        decisions = self._policy.decide([state for state in states for _ in range(self._answers)])
        scores = self.scores(decisions)
        chosen = []
        for place in range(0, len(decisions), self._answers):
            group = range(place, place + self._answers)
            best = max(group, key=lambda n: (decisions[n].action is not None, scores[n]))
            chosen.append(decisions[best])
        seconds = time.perf_counter() - started
        return [decision.model_copy(update={"seconds": seconds}) for decision in chosen]

    def scores(self, decisions: Sequence[Decision]) -> list[float]:
        """The reward model's score of each, -inf where nothing was answered; equal answers are scored once."""
        samples: dict[tuple[int, ...], Sample] = {}
        keys = []
        for number, decision in enumerate(decisions):
            key = tuple([*decision.prompt_tokens, *decision.answer_tokens])
            keys.append(key)
            if decision.answer_tokens and key not in samples:
                tokens = np.asarray(key, np.int32)
                segments = (Segment(tokens[:-1]), Segment(tokens[-1:], 1.0))
                samples[key] = Sample(str(number), segments)
        found = self._scored(Samples(list(samples.values()))) if samples else {}
        return [found[samples[key].id] if key in samples else -float("inf") for key in keys]

    @torch.no_grad()
    def _scored(self, samples: Samples) -> dict[str, float]:
        chosen = list(range(len(samples)))
        settings = BatchingSettings(max_tokens=max(2048, int(samples.lengths.max())))
        layout = lay_out([samples.tokens(i) for i in chosen], settings, ranks=1)
        scores: dict[str, float] = {}
        for pack in build_packs(samples, chosen, layout, rank=0):
            given = self._judge(pack.to(self._device)).tolist()
            scores |= {pack.samples[owner]: score for owner, score in zip(pack.owners.tolist(), given, strict=True)}
        return scores
