"""The reward model's regression (the paper, section 4.4.1): every step of a success +1, of a failure -1, MSE."""

from collections.abc import Mapping

import torch

from lam_train.batching.pack import Pack


def reward_loss(scores: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """float32 scalar: the sum over steps of weight x (score - label)^2; all are [N].

    It is a sum, which the trainer divides by the weight of the whole optimizer step: the mean squared error.
    """
    return (weights * (scores - labels) ** 2).sum()


class RewardObjective:
    """`reward_loss` as the trainer calls it; `labels` are by sample id."""

    def __init__(self, labels: Mapping[str, float]) -> None:
        self.labels = labels

    def __call__(self, scores: torch.Tensor, pack: Pack) -> torch.Tensor:
        if not pack.samples:  # the padding pack
            return (scores * pack.weights).sum()
        labels = torch.tensor([self.labels[id] for id in pack.samples], dtype=torch.float32)
        return reward_loss(scores, labels.to(scores.device, non_blocking=True)[pack.owners], pack.weights)
