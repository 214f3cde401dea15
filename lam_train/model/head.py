"""A language model's head on the chosen positions of a pack, in chunks that bound the memory of their logits.

Legend: N targets of a pack, n of a chunk; D width, V vocabulary; T tokens of a row.
"""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

from lam_train.batching.pack import Pack
from lam_train.model.attention import model_inputs
from lam_train.model.tree_attention import MODEL_TYPES

BYTES_A_LOGIT = 16  # a logit, its log-softmax, and the gradients of both, in fp32, are held at once
DEFAULT_BUDGET = 2**30

# (fp32 logits [n, V], targets [n]) -> fp32 [n] or [numbers, n]
Readout = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class ChunkedHead(torch.nn.Linear):
    """A model's own output layer, which can also read its logits out chunk by chunk without keeping them.

    The chunks are inside one call of one module, so ZeRO-3 gathers its weight once forward and once backward.
    """

    logits_budget: int

    @classmethod
    def replace(cls, causal: torch.nn.Module, logits_budget: int) -> None:
        """Makes the plain output layer of a model whose logits are its output layer's alone one of these, in place.

        Others (models that cap or scale their logits) stay as they are, and so does their memory.
        """
        head = causal.get_output_embeddings()
        if causal.config.model_type in MODEL_TYPES and type(head) is torch.nn.Linear:
            head.__class__ = cls
            head.logits_budget = logits_budget

    def forward(
        self, hidden: torch.Tensor, targets_N: torch.Tensor | None = None, readout: Readout | None = None
    ) -> torch.Tensor:
        """Logits, as ever; with a readout of `hidden` [N, D] what it gives, [N] or [numbers, N]."""
        if readout is None:
            return super().forward(hidden)
        rows = rows_at_once(self.out_features, self.logits_budget)
        if len(hidden) <= rows:
            return self._read(hidden, targets_N, readout)
        chunks = zip(hidden.split(rows), targets_N.split(rows), strict=True)
        parts = [
            checkpoint(self._read, hidden_nD, targets_n, readout, use_reentrant=False, preserve_rng_state=False)
            for hidden_nD, targets_n in chunks
        ]
        return torch.cat(parts, -1)

    def _read(self, hidden_nD: torch.Tensor, targets_n: torch.Tensor, readout: Readout) -> torch.Tensor:
        return readout(super().forward(hidden_nD).float(), targets_n)


def rows_at_once(vocabulary: int, logits_budget: int) -> int:
    """How many positions' logits fit into so many bytes; at least one."""
    return max(1, logits_budget // (BYTES_A_LOGIT * vocabulary))


def read_targets(causal: torch.nn.Module, pack: Pack, readout: Readout) -> tuple[torch.Tensor, torch.Tensor]:
    """(what `readout` gives for the N targets of a pack, the last hidden state [N, D] at their sources)."""
    inputs = model_inputs(pack, causal.config)
    head = causal.get_output_embeddings()
    if isinstance(head, ChunkedHead):
        hidden_ND = causal.base_model(**inputs).last_hidden_state[0, pack.sources]
        return head(hidden_ND, pack.targets, readout), hidden_ND
    output = causal(logits_to_keep=pack.sources, output_hidden_states=True, **inputs)
    return readout(output.logits[0].float(), pack.targets), output.hidden_states[-1][0, pack.sources]
