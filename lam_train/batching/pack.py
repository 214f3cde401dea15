"""A pack: one row of tokens that holds several trees, and what is supervised in it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch.nn import functional


@dataclass(frozen=True)
class Pack:
    """One row. T tokens, N targets. Rows lie in depth-first order, so a token's ancestors are before it.

    Token k is an ancestor of token q, or q itself, exactly where `k <= q < subtree_end[k]`: that one array is the
    whole tree. Source n is the row index whose hidden state predicts target n; at a branch several targets have
    the same source, the last token of the shared prefix.
    """

    tokens: torch.Tensor  # int64 [T]
    positions: torch.Tensor  # int64 [T]: depth on the token's own path; restarts at every branch
    subtree_end: torch.Tensor  # int64 [T]
    sources: torch.Tensor  # int64 [N]
    targets: torch.Tensor  # int64 [N]
    weights: torch.Tensor  # float32 [N]; 0 in the padding pack
    owners: torch.Tensor  # int64 [N]: which of `samples` a target belongs to
    samples: tuple[str, ...]  # ids
    logical_tokens: int  # what a trainer without sharing would process

    @property
    def supervised_tokens(self) -> int:
        return int((self.weights != 0).sum())

    def to(self, device: torch.device) -> "Pack":
        """The pack with its tensors on `device`."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device, non_blocking=True) if torch.is_tensor(v) else v for k, v in moved.items()}
        return Pack(**moved)

    def padded(self, multiple: int) -> "Pack":
        """The pack with tokens behind its own, up to a multiple: a tree of their own, and none of them a target."""
        tokens = len(self.tokens)
        more = -tokens % multiple
        if more == 0:
            return self
        positions = torch.arange(more, device=self.tokens.device)
        return replace(
            self,
            tokens=functional.pad(self.tokens, (0, more)),
            positions=torch.cat([self.positions, positions]),
            subtree_end=functional.pad(self.subtree_end, (0, more), value=tokens + more),
        )


@dataclass(frozen=True)
class PackInput:
    """A sample as the pack needs it, and the prefix it shares with the one before it in the same run."""

    id: str
    tokens: np.ndarray  # int32 [length]
    weights: np.ndarray  # float32 [length]
    shared: int  # 0 for the first sample of a run


def build_pack(inputs: Sequence[PackInput]) -> Pack:
    """Lays the samples of one row out, each shared prefix once. `inputs` is in depth-first order, run after run."""
    total = sum(len(s.tokens) - s.shared for s in inputs)
    tokens, positions = np.empty(total, np.int64), np.empty(total, np.int64)
    subtree_end = np.full(total, total, np.int64)
    sources, targets, weights, owners = [], [], [], []
    path = np.empty(0, np.int64)  # the row index of every token on the current sample's path
    filled = 0
    for owner, sample in enumerate(inputs):
        new = len(sample.tokens) - sample.shared
        rows = np.arange(filled, filled + new)
        subtree_end[path[sample.shared :]] = filled  # the branches this sample does not follow end here
        path = np.concatenate([path[: sample.shared], rows])
        tokens[rows] = sample.tokens[sample.shared :]
        positions[rows] = np.arange(sample.shared, len(sample.tokens))
        target = np.flatnonzero(sample.weights)
        if len(target) and target[0] == 0:
            raise ValueError(f"{sample.id}: its first token is a target, and nothing precedes it")
        sources.append(path[target - 1])
        targets.append(sample.tokens[target])
        weights.append(sample.weights[target])
        owners.append(np.full(len(target), owner))
        filled += new

    def joined(parts: list[np.ndarray], kind) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(kind))

    return Pack(
        tokens=torch.from_numpy(tokens),
        positions=torch.from_numpy(positions),
        subtree_end=torch.from_numpy(subtree_end),
        sources=joined(sources, np.int64),
        targets=joined(targets, np.int64),
        weights=joined(weights, np.float32),
        owners=joined(owners, np.int64),
        samples=tuple(s.id for s in inputs),
        logical_tokens=sum(len(s.tokens) for s in inputs),
    )


def padding_pack() -> Pack:
    """One token with one target of weight 0: keeps the number of micro-batches equal on all ranks."""
    zero, one = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    return Pack(zero, zero, one, zero, zero, torch.zeros(1), zero, (), 0)
