"""A language model's head on the chosen positions of a pack: log-probabilities of targets, in bounded memory.

The gradient of a target's log-probability by its logits, its slopes, is all that the head's backward pass needs: in
bf16 an eighth of what autograd holds of the logits. As many targets' slopes are kept as `logits_budget` allows; the
others' are computed again, chunk by chunk.

Legend: N targets of a pack, n of a chunk; D width, V vocabulary; T tokens of a row.
"""

from collections.abc import Iterator

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lam_train.batching.pack import Pack
from lam_train.model.attention import model_inputs
from lam_train.model.sequence_parallel import SharedRow
from lam_train.model.tree_attention import MODEL_TYPES

DEFAULT_BUDGET = 2**30
BYTES_IN_WORK = 12  # of a logit while its chunk is computed: itself, its log-probability and probability, in fp32
BYTES_OF_AUTOGRAD = 16  # of a logit in a head of another kind: its log-softmax and both gradients with it, in fp32


class ChunkedHead(torch.nn.Linear):
    """A model's own output layer, which can also read targets' log-probabilities out without keeping the logits.

    The chunks are inside one call of one module, so ZeRO-3 gathers its weight once forward and once backward.
    """

    logits_budget: int

    @classmethod
    def replace(cls, causal: torch.nn.Module, logits_budget: int) -> None:
        """Makes the plain output layer of a model whose logits are its output layer's alone one of these, in place.

        Others (models that cap or scale their logits, layers with a bias) stay as they are, and so does their memory.
        """
        head = causal.get_output_embeddings()
        if causal.config.model_type in MODEL_TYPES and type(head) is torch.nn.Linear and head.bias is None:
            head.__class__ = cls
            head.logits_budget = logits_budget

    def forward(
        self, hidden: torch.Tensor, targets_N: torch.Tensor | None = None, entropies: bool = False
    ) -> torch.Tensor:
        """Logits, as ever; with targets of `hidden` [N, D] what `read_targets` gives."""
        if targets_N is None:
            return super().forward(hidden)
        rows, kept = chunk_sizes(self.out_features, self.weight.element_size(), self.logits_budget)
        if not torch.is_grad_enabled():
            kept = 0
        logprobs_N, entropies_N = _Logprobs.apply(hidden, self.weight, targets_N, rows, kept, entropies)
        return torch.stack([logprobs_N, entropies_N]) if entropies else logprobs_N


class _Logprobs(torch.autograd.Function):
    """fp32 [N] log-probabilities and [N] entropies (or zeros) of targets; the entropies carry no gradient."""

    @staticmethod
    def forward(ctx, hidden_ND, weight_VD, targets_N, rows: int, kept: int, entropies: bool):
        kept = min(kept, len(hidden_ND))
        slopes_NV = hidden_ND.new_empty(kept, len(weight_VD))
        logprobs_N = hidden_ND.new_zeros(len(hidden_ND), dtype=torch.float32)
        entropies_N = torch.zeros_like(logprobs_N)
        for part in _parts(0, len(hidden_ND), rows):
            targets_n1 = targets_N[part, None]
            logprobs_nV = _logprobs_of_all(hidden_ND[part], weight_VD)
            logprobs_N[part] = logprobs_nV.gather(-1, targets_n1)[:, 0]
            if entropies:
                entropies_N[part] = -torch.linalg.vecdot(logprobs_nV.exp(), logprobs_nV)
            if part.start < kept:
                few = min(part.stop, kept) - part.start
                slopes_NV[part.start : part.start + few] = _slopes(logprobs_nV[:few], targets_n1[:few])
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, slopes_NV)
        ctx.rows = rows
        ctx.mark_non_differentiable(entropies_N)
        return logprobs_N, entropies_N

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_N, _):
        hidden_ND, weight_VD, targets_N, slopes_NV = ctx.saved_tensors
        dtype, kept = hidden_ND.dtype, len(slopes_NV)
        to_hidden, to_weight = ctx.needs_input_grad[:2]
        hidden_gradient_ND = torch.empty_like(hidden_ND) if to_hidden else None
        weight_gradient_VD = None
        for part in [slice(0, kept), *_parts(kept, len(hidden_ND), ctx.rows)]:
            gradient_n1 = gradient_N[part, None]
            if part.stop <= kept:
                slopes_nV = slopes_NV
            else:
                slopes_nV = _slopes(_logprobs_of_all(hidden_ND[part], weight_VD), targets_N[part, None]).to(dtype)
            if to_hidden:
                hidden_gradient_ND[part] = (slopes_nV @ weight_VD) * gradient_n1
            if to_weight:
                weighed_nD = (hidden_ND[part] * gradient_n1).to(dtype)
                if weight_gradient_VD is None:
                    weight_gradient_VD = slopes_nV.t() @ weighed_nD
                else:
                    weight_gradient_VD.addmm_(slopes_nV.t(), weighed_nD)
        return hidden_gradient_ND, weight_gradient_VD, None, None, None, None


def _logprobs_of_all(hidden_nD: torch.Tensor, weight_VD: torch.Tensor) -> torch.Tensor:
    """fp32 [n, V]: of every token of the vocabulary."""
    return functional.linear(hidden_nD, weight_VD).log_softmax(-1, dtype=torch.float32)


def _slopes(logprobs_nV: torch.Tensor, targets_n1: torch.Tensor) -> torch.Tensor:
    """The gradient of each target's log-probability by its logits, fp32, in the place of `logprobs_nV`."""
    slopes_nV = logprobs_nV.exp_().neg_()
    return slopes_nV.scatter_add_(-1, targets_n1, torch.ones_like(targets_n1, dtype=torch.float32))


def _parts(first: int, end: int, rows: int) -> Iterator[slice]:
    return (slice(start, min(start + rows, end)) for start in range(first, end, rows))


def chunk_sizes(vocabulary: int, element_size: int, logits_budget: int) -> tuple[int, int]:
    """(targets of a chunk, one at least; targets whose slopes are kept): each takes half of so many bytes."""
    half = logits_budget // 2
    return max(1, half // (BYTES_IN_WORK * vocabulary)), half // (element_size * vocabulary)


def most_bytes(vocabulary: int, element_size: int, logits_budget: int, targets: int) -> int:
    """That a ChunkedHead holds of the logits of so many targets."""
    rows, kept = chunk_sizes(vocabulary, element_size, logits_budget)
    return vocabulary * (BYTES_IN_WORK * min(rows, targets) + element_size * min(kept, targets))


def states_at_sources(causal: torch.nn.Module, pack: Pack, shared: SharedRow | None = None) -> torch.Tensor:
    """[N, D]: the last hidden state at the source of each target; of this rank's n alone where ranks share the row."""
    hidden_TD = causal.base_model(**model_inputs(pack, causal.config, shared)).last_hidden_state[0]
    return hidden_TD[pack.sources] if shared is None else shared.states(hidden_TD, pack.sources)


def read_targets(
    causal: torch.nn.Module, pack: Pack, entropies: bool = False, shared: SharedRow | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(of the N targets of a pack what `log_probabilities` gives, the last hidden state [N, D] at their sources).

    Of this rank's n targets alone where ranks share the row.
    """
    head = causal.get_output_embeddings()
    if isinstance(head, ChunkedHead):
        hidden_ND = states_at_sources(causal, pack, shared)
        return head(hidden_ND, pack.targets if shared is None else shared.targets(pack.targets), entropies), hidden_ND
    if shared is not None:
        raise ValueError(f"{type(causal).__name__}: ranks cannot share the rows of a model with a head of another kind")
    inputs = model_inputs(pack, causal.config)
    output = causal(logits_to_keep=pack.sources, output_hidden_states=True, **inputs)
    found = log_probabilities(output.logits[0].float(), pack.targets, entropies)
    return found, output.hidden_states[-1][0, pack.sources]


def log_probabilities(logits_NV: torch.Tensor, targets_N: torch.Tensor, entropies: bool = False) -> torch.Tensor:
    """fp32 [N]: each target's log-probability, nats; with entropies [2, N]: also that of the whole distribution.

    The entropy is told and not learned from: it carries no gradient.
    """
    logprobs_NV = logits_NV.log_softmax(-1)
    logprobs_N = logprobs_NV.gather(-1, targets_N[:, None])[:, 0]
    if not entropies:
        return logprobs_N
    with torch.no_grad():
        entropy_N = torch.special.entr(logprobs_NV.exp()).sum(-1)
    return torch.stack([logprobs_N, entropy_N])
