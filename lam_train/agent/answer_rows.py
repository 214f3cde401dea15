"""Keys and values of answers under way: a row each, which may join and leave between any two tokens.

Legend: B rows, K columns of keys, H key-value heads, D head size.
"""

from collections.abc import Iterable, Sequence

import torch
from transformers.cache_utils import Cache, DynamicLayer


class _Layer(DynamicLayer):
    """Keys and values of one layer, in buffers [rows, H, columns, D] with room; a token goes behind its row's last."""

    def __init__(self, rows: "AnswerRows") -> None:
        super().__init__()
        self.rows = rows
        self.buffers: tuple[torch.Tensor, ...] = ()

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_, **__):
        """Takes one new token a row, [B, H, 1, D]; gives all that the rows hold, [B, H, K, D]."""
        rows = self.rows
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[rows.numbers_B, :, rows.lengths_B] = states[:, :, 0]
        return tuple(buffer[: len(rows), :, : rows.columns] for buffer in self.buffers)

    def get_seq_length(self) -> int:
        return self.rows.columns - 1

    def join(self, states: Sequence[torch.Tensor], rows: int, columns: int) -> None:
        """Writes keys and values [n, H, L, D] behind the rows there are, in buffers with so much room at least."""
        held = len(self.rows)
        if not self.buffers:
            self.buffers = tuple(one.new_empty(0, one.shape[1], 0, one.shape[3]) for one in states)
            self.dtype, self.device, self.is_initialized = states[0].dtype, states[0].device, True
        made = []
        for buffer, new in zip(self.buffers, states, strict=True):
            if len(buffer) < rows or buffer.shape[2] < columns:
                # Zeros, not whatever the memory held: a masked value that is not finite still spoils a sum.
                grown = new.new_zeros(max(rows, len(buffer)), new.shape[1], max(columns, buffer.shape[2]), new.shape[3])
                grown[:held, :, : buffer.shape[2]] = buffer[:held]
                buffer = grown
            buffer[held : held + len(new), :, : new.shape[2]] = new
            made.append(buffer)
        self.buffers = tuple(made)

    def keep(self, rows: Sequence[int]) -> None:
        for place, row in enumerate(rows):
            if place != row:
                columns = self.rows.lengths[row]
                for buffer in self.buffers:
                    buffer[place, :, :columns] = buffer[row, :, :columns]


class AnswerRows:
    """The rows as a cache for the model: `cache`, `positions` and `mask` are the arguments of its next call.

    Buffers grow with the rows and their longest, and are let go of with the last row.
    """

    def __init__(self, device: torch.device, most_rows: int) -> None:
        self.lengths: list[int] = []  # tokens that each row holds
        self._device, self._most = device, most_rows
        self._clear()

    def __len__(self) -> int:
        return len(self.lengths)

    def join(self, layers: Iterable[Sequence[torch.Tensor]], lengths: Sequence[int], longest: int) -> None:
        """New rows behind the others: keys and values of every layer, each [n, H, max(lengths), D].

        No new row becomes longer than `longest`.
        """
        needed = len(self) + len(lengths)
        rows = needed if needed <= self._rows else max(needed, min(self._most, 2 * self._rows))
        self._rows = max(rows, self._rows)
        for number, states in enumerate(layers):
            if number == len(self.cache.layers):
                self.cache.layers.append(_Layer(self))
            self.cache.layers[number].join(states, self._rows, longest)
        self._set([*self.lengths, *lengths])

    def extend(self) -> None:
        """Every row has one token more: the model was called."""
        self._set([length + 1 for length in self.lengths])

    def keep(self, rows: Sequence[int]) -> None:
        """Only these go on, row rows[i] as row i; rows[i] >= i."""
        for layer in self.cache.layers:
            layer.keep(rows)
        self._set([self.lengths[row] for row in rows])
        if not rows:
            self._clear()

    @property
    def positions(self) -> torch.Tensor:
        """[B, 1] of the tokens that come next."""
        return self.lengths_B[:, None]

    def mask(self, window: int | None) -> torch.Tensor:
        """bool [B, 1, 1, K]: the columns that a row's next token sees, itself among them."""
        allowed_BK = self._columns_K <= self.positions
        if window is not None:
            allowed_BK &= self._columns_K > self.positions - window
        return allowed_BK[:, None, None]

    def _clear(self) -> None:
        self.cache = Cache(layers=[])
        self._rows = 0
        self._set([])

    def _set(self, lengths: list[int]) -> None:
        self.lengths, self.columns = lengths, max(lengths, default=0) + 1
        self.lengths_B = torch.tensor(lengths, dtype=torch.long, device=self._device)
        self.numbers_B = torch.arange(len(lengths), device=self._device)
        self._columns_K = torch.arange(self.columns, device=self._device)
