"""A row shared by several ranks: each holds a part of its tokens, all heads of which it exchanges for attention.

DeepSpeed's Ulysses (Jacobs et al., 2023, arXiv 2309.14509) as it stands: before attention each rank gives its tokens'
heads away and gets the whole row of its share of the heads, after it the other way round. In between a rank has a row
with all its tokens, so the trees, their windows and their kernels are those of a row that is not shared.

The head's work is dealt out by targets, not by tokens: answers are at the ends of paths, and whoever holds those would
have it all.

Legend: S ranks that share a row; T tokens of the row, t = T / S of a rank; N targets of a pack, n = ceil(N / S) of a
rank; D width.
"""

from math import gcd

import torch

from lam_train.batching.pack import Pack
from lam_train.errors import UserError
from lam_train.model.supported import check_config, check_rows
from lam_train.model.tree_attention import FLEX, MODEL_TYPES, NAME, tree_attention


def check_shareable(config, ranks: int) -> None:
    """Raises UserError for a model whose rows so many ranks cannot share."""
    what = f"engine.sequence_parallel={ranks}"
    if config.model_type not in MODEL_TYPES:
        raise UserError(
            f"{what}: rows are shared with models of types {', '.join(MODEL_TYPES)}, not {config.model_type}"
        )
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    possible = [n for n in range(2, heads + 1) if heads % n == 0 and max(groups, n) % min(groups, n) == 0]
    if ranks not in possible:
        offered = ", ".join(map(str, possible)) or "none"
        raise UserError(
            f"{what}: the model has {heads} query heads and {groups} key-value heads, and each rank takes as many; "
            f"possible: {offered}"
        )


class SharedRow:
    """What one rank does of a row that the ranks of `group` share. DeepSpeed must know the process group."""

    def __init__(self, config, group: torch.distributed.ProcessGroup) -> None:
        from deepspeed.runtime.sequence_parallel.ulysses_sp import UlyssesSPAttentionHF

        if config._attn_implementation not in (NAME, FLEX):
            raise ValueError(
                f"attention {config._attn_implementation} exchanges no heads: it would see a part of a row"
            )
        self.group, self.ranks = group, torch.distributed.get_world_size(group)
        self.rank = torch.distributed.get_rank(group)
        heads = config.num_attention_heads
        self.attention = UlyssesSPAttentionHF(
            attn=tree_attention,
            batch_size=1,
            attn_head_count=heads,
            attn_head_size=getattr(config, "head_dim", None) or config.hidden_size // heads,
            kv_head_count=config.num_key_value_heads,
            num_hidden_layers=config.num_hidden_layers,
            process_group=group,
            seq_length_is_variable=True,
        )

    def multiple(self, tokens: int) -> int:
        """The least number of which the row's length must be a multiple, where it must be one of `tokens` alone."""
        return tokens * self.ranks // gcd(tokens, self.ranks)

    def rows(self, tokens: int) -> slice:
        """This rank's part of a row of so many tokens, a multiple of S."""
        size = tokens // self.ranks
        return slice(self.rank * size, (self.rank + 1) * size)

    def states(self, hidden_tD: torch.Tensor, sources_N: torch.Tensor) -> torch.Tensor:
        """[n, D]: from the hidden states of each rank's tokens those at the sources of this rank's targets.

        Past the last target, those of some token: `whole` leaves them out.
        """
        local_N = self._filled(sources_N) - self.rank * len(hidden_tD)
        here_N = (local_N >= 0) & (local_N < len(hidden_tD))
        mine_ND = torch.where(here_N[:, None], hidden_tD[local_N.clamp(0, len(hidden_tD) - 1)], 0)
        return _exchange(mine_ND.view(self.ranks, -1, mine_ND.shape[-1]), self.group).sum(0)  # one rank has each

    def targets(self, targets_N: torch.Tensor) -> torch.Tensor:
        """[n]: this rank's, filled up with token 0."""
        return self._filled(targets_N).view(self.ranks, -1)[self.rank]

    def whole(self, outputs: torch.Tensor, targets: int) -> torch.Tensor:
        """[..., N] on all ranks from each rank's [..., n].

        All ranks reckon the same loss from it, so a rank's own part gets its own gradient, once.
        """
        return _Gathered.apply(outputs, self.group)[..., :targets]

    def _filled(self, x_N: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(x_N, (0, -len(x_N) % self.ranks))


def _exchange(x: torch.Tensor, group: torch.distributed.ProcessGroup) -> torch.Tensor:
    """[S, …]: of each rank what it has for this one."""
    from deepspeed.sequence.layer import _dim_zero_all_to_all  # as Ulysses itself does it, and differentiates it

    return _dim_zero_all_to_all(group, x)


class _Gathered(torch.autograd.Function):
    """[..., S n] from each rank's [..., n]; the gradient is this rank's part of this rank's own."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, group: torch.distributed.ProcessGroup) -> torch.Tensor:
        ctx.rank, ctx.size = torch.distributed.get_rank(group), x.shape[-1]
        parts = [torch.empty_like(x) for _ in range(torch.distributed.get_world_size(group))]
        torch.distributed.all_gather(parts, x.contiguous(), group=group)
        return torch.cat(parts, dim=-1)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient[..., ctx.rank * ctx.size : (ctx.rank + 1) * ctx.size], None


class RowModel(torch.nn.Module):
    """A module around a causal language model that takes a pack; several ranks may share its row.

    Raises UserError for a model that cannot be trained in rows of trees.
    """

    def __init__(self, causal: torch.nn.Module) -> None:
        super().__init__()
        check_config(causal.config)
        self.causal = causal
        self.shared: SharedRow | None = None
        self._checked = False

    def share_rows(self, group: torch.distributed.ProcessGroup) -> None:
        """From now on the ranks of `group` hold a part of each row, and call this module with the same packs."""
        self.shared = SharedRow(self.causal.config, group)

    def check(self, pack: Pack) -> None:
        """Before the first pack, once: `check_rows`. Called in forward, where ZeRO-3 gathers the weights."""
        if not self._checked:
            check_rows(self.causal, pack.tokens.device)
            self._checked = True

    def whole(self, outputs: torch.Tensor, pack: Pack) -> torch.Tensor:
        """[..., N] of a pack from what this rank has of it."""
        return outputs if self.shared is None else self.shared.whole(outputs, len(pack.targets))
