"""A sample: a path of segments, each a token span that is read or learned."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Segment:
    """A token span; `weight` 0 is read only, any other weight makes every token of it a target."""

    tokens: np.ndarray  # int32 [length]
    weight: float = 0.0


@dataclass(frozen=True)
class Sample:
    """What one prediction is trained on: the segments from the root of its tree to its leaf.

    Supervision is a list of (source index, target token, weight): the token at position p is predicted
    from the hidden state at p - 1, so the source of a target is the position before it.
    """

    id: str
    segments: tuple[Segment, ...]
    task: str = ""
    trajectory: str = ""

    @property
    def tokens(self) -> np.ndarray:
        """int32 [length]: the whole path."""
        return np.concatenate([segment.tokens for segment in self.segments])

    @property
    def weights(self) -> np.ndarray:
        """float32 [length]: the weight of each token as a target; 0 where it is only read."""
        weights = [np.full(len(segment.tokens), segment.weight, np.float32) for segment in self.segments]
        return np.concatenate(weights)

    def weighted(self, factor: float) -> "Sample":
        """The sample with every target's weight times `factor`."""
        return replace(self, segments=tuple(replace(s, weight=s.weight * factor) for s in self.segments))


class Samples:
    """Many samples in four flat arrays: forked loader workers share them, and a million fit in memory."""

    def __init__(self, samples: Iterator[Sample] | Sequence[Sample]) -> None:
        tokens, weights, lengths = [], [], []
        self.ids: list[str] = []
        self.tasks: list[str] = []
        self.trajectories: list[str] = []
        for sample in samples:
            tokens.append(sample.tokens)
            weights.append(sample.weights)
            lengths.append(len(tokens[-1]))
            self.ids.append(sample.id)
            self.tasks.append(sample.task or sample.id)
            self.trajectories.append(sample.trajectory or sample.task or sample.id)
        self.lengths = np.asarray(lengths, np.int64)
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        self._tokens = np.concatenate(tokens).astype(np.int32) if tokens else np.zeros(0, np.int32)
        self._weights = np.concatenate(weights) if weights else np.zeros(0, np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def tokens(self, index: int) -> np.ndarray:
        """int32 [length] of sample `index`."""
        return self._tokens[self.offsets[index] : self.offsets[index + 1]]

    def weights(self, index: int) -> np.ndarray:
        """float32 [length] of sample `index`: 0 where the token is only read."""
        return self._weights[self.offsets[index] : self.offsets[index + 1]]

    def without(self, dropped: np.ndarray) -> "Samples":
        """The samples but those at the indices `dropped`, in their order."""
        kept = np.setdiff1d(np.arange(len(self)), dropped)
        chosen = Samples([])
        chosen.ids = [self.ids[i] for i in kept]
        chosen.tasks = [self.tasks[i] for i in kept]
        chosen.trajectories = [self.trajectories[i] for i in kept]
        chosen.lengths = self.lengths[kept]
        chosen.offsets = np.concatenate([[0], np.cumsum(chosen.lengths)]).astype(np.int64)
        chosen._tokens = np.concatenate([np.zeros(0, np.int32), *(self.tokens(i) for i in kept)])
        chosen._weights = np.concatenate([np.zeros(0, np.float32), *(self.weights(i) for i in kept)])
        return chosen

    def supervised(self) -> np.ndarray:
        """int64 [samples]: the number of target tokens of each sample."""
        counts = np.concatenate([[0], np.cumsum(self._weights != 0)])
        return counts[self.offsets[1:]] - counts[self.offsets[:-1]]

    def fingerprint(self) -> str:
        """A content hash: two sets with the same ids, tokens and weights in the same order are equal."""
        digest = hashlib.sha256()
        ids = "\n".join(self.ids).encode()
        for part in (ids, self.lengths.tobytes(), self._tokens.tobytes(), self._weights.tobytes()):
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()[:16]
