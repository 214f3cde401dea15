"""Imitation: cross-entropy on the targets (the paper's L_SFT of phases 1 to 3, sections 4.1 to 4.3)."""

import torch

from lam_train.batching.pack import Pack


def imitation_loss(logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """float32 scalar: the sum over targets of weight x negative log-probability, in nats.

    `logprobs` and `weights` are [N]. It is a sum: the trainer divides once, by the weight of the whole
    optimizer step over all ranks and accumulation steps.
    """
    return -(logprobs * weights).sum()


def imitation(logprobs: torch.Tensor, pack: Pack) -> torch.Tensor:
    """`imitation_loss` of a pack's targets, as the trainer calls it."""
    return imitation_loss(logprobs, pack.weights)
