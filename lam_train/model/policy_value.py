"""A policy with a value head on one body: log-probability, value and entropy at the source of every target."""

import torch

from lam_train.batching.pack import Pack
from lam_train.model.head import read_targets
from lam_train.model.scalar_head import ScalarHead
from lam_train.model.trainable import TrainableModel


class PolicyValue(TrainableModel):
    """The head starts at zero: before training every value is 0, the middle of the rewards."""

    def __init__(self, causal: torch.nn.Module) -> None:
        super().__init__(causal)
        self.value_head = ScalarHead(causal.config.hidden_size, causal.dtype)

    def forward(self, pack: Pack) -> torch.Tensor:
        """float32 [3, N]: of each target its log-probability (nats), and at its source the value and the entropy.

        The entropy, in nats, is told and not learned from: it carries no gradient.
        """
        self.check(pack)
        outputs_2N, hidden_ND = read_targets(self.causal, pack, entropies=True, shared=self.shared)
        return self.whole(torch.stack([outputs_2N[0], self.value_head(hidden_ND), outputs_2N[1]]), pack)
