"""A policy with a value head on one body: log-probability, value and entropy at the source of every target."""

import torch
from torch.nn import functional

from lam_train.batching.pack import Pack
from lam_train.model.attention import attention_inputs
from lam_train.model.trainable import TrainableModel


class PolicyValue(TrainableModel):
    """The head starts at zero: before training every value is 0, the middle of the rewards."""

    def __init__(self, causal: torch.nn.Module) -> None:
        super().__init__(causal)
        self.value_head = torch.nn.Linear(causal.config.hidden_size, 1, dtype=causal.dtype)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)

    def forward(self, pack: Pack) -> torch.Tensor:
        """float32 [3, N]: of each target its log-probability (nats), and at its source the value and the entropy.

        The entropy, in nats, is told and not learned from: it carries no gradient.
        """
        output = self.causal(
            input_ids=pack.tokens[None],
            logits_to_keep=pack.sources,
            output_hidden_states=True,
            **attention_inputs(pack, self.causal.config),
        )
        logits_NV = output.logits[0].float()
        logprobs = -functional.cross_entropy(logits_NV, pack.targets, reduction="none")
        values = self.value_head(output.hidden_states[-1][0][pack.sources]).float().squeeze(-1)
        with torch.no_grad():
            log_p_NV = logits_NV.log_softmax(-1)
            entropies = -(log_p_NV.exp() * log_p_NV).sum(-1)
        return torch.stack([logprobs, values, entropies])
