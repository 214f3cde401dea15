"""Keys and values of answers under way: a row each, which may join and leave between any two passes of the model.

Legend: B rows, Q tokens that each reads in a pass, K columns of keys, H key-value heads, D head size.
"""

from collections.abc import Iterable, Sequence

import torch
from transformers.cache_utils import Cache, DynamicLayer


class _Layer(DynamicLayer):
    """Keys and values of one layer, in buffers [rows, H, columns, D] with room; tokens go behind their row's last."""

    reading: "Reading"

    def __init__(self) -> None:
        super().__init__()
        self.buffers: tuple[torch.Tensor, ...] = ()

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_, **__):
        """Takes the tokens that each row reads, [B, H, Q, D]; gives all that the rows hold, [B, H, K, D]."""
        reading = self.reading
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[reading.numbers_B1, :, reading.positions_BQ] = states.transpose(1, 2)
        return tuple(buffer[: len(reading.numbers_B1), :, : reading.columns] for buffer in self.buffers)

    def get_seq_length(self) -> int:
        return self.reading.columns - self.reading.positions_BQ.shape[1]

    def join(self, states: Sequence[torch.Tensor], held: int, rows: int, columns: int) -> None:
        """Writes keys and values [n, H, L, D] behind the rows held, in buffers with so much room at least."""
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

    def move(self, row: int, place: int, columns: int) -> None:
        for buffer in self.buffers:
            buffer[place, :, :columns] = buffer[row, :, :columns]


class Reading:
    """What a call of the model reads: the next tokens of each row, and what they see of its first columns."""

    def __init__(self, lengths_B1: torch.Tensor, tokens: int, columns: int) -> None:
        """`lengths_B1`: tokens that each row holds; none of them and the `tokens` it reads is beyond the `columns`."""
        self.columns = columns
        self.numbers_B1 = torch.arange(len(lengths_B1), device=lengths_B1.device)[:, None]
        self.positions_BQ = lengths_B1 + torch.arange(tokens, device=lengths_B1.device)
        self._columns_K = torch.arange(columns, device=lengths_B1.device)

    def mask(self, window: int | None) -> torch.Tensor:
        """bool [B, 1, Q, K]: the columns that each token sees which a row reads, itself among them."""
        positions_BQ1 = self.positions_BQ[..., None]
        allowed_BQK = self._columns_K <= positions_BQ1
        if window is not None:
            allowed_BQK &= self._columns_K > positions_BQ1 - window
        return allowed_BQK[:, None]


class AnswerRows:
    """The rows as a cache for the model: in its next call `cache` takes and gives what `read` said.

    Buffers grow with the rows and their longest; `clear` lets go of them. What a row reads beyond the tokens that are
    then kept of it (`extend`) stays in its buffer, unseen, until it is overwritten. `step`: they grow by so many
    columns at least.
    """

    def __init__(self, most_rows: int, step: int = 1) -> None:
        self._most, self._step = most_rows, step
        self.clear()

    def __len__(self) -> int:
        return len(self.lengths)

    def clear(self) -> None:
        """No rows, no buffers."""
        self.cache = Cache(layers=[])
        self.lengths: list[int] = []  # tokens that each row holds
        self.room = (0, 0)  # rows and columns of the buffers; while it stays, they stay where they are

    def join(self, layers: Iterable[Sequence[torch.Tensor]], lengths: Sequence[int], longest: int) -> None:
        """New rows behind the others: keys and values of every layer, each [n, H, max(lengths), D].

        No new row becomes longer than `longest`, what it reads and does not keep among it.
        """
        rows, columns = self.room
        needed = len(self) + len(lengths)
        if needed > rows:
            rows = max(needed, min(self._most, 2 * rows))
        if longest > columns:
            columns = -(-longest // self._step) * self._step
        self.room = rows, columns
        for number, states in enumerate(layers):
            if number == len(self.cache.layers):
                self.cache.layers.append(_Layer())
            self.cache.layers[number].join(states, len(self), rows, columns)
        self.lengths = [*self.lengths, *lengths]

    def read(self, reading: Reading) -> None:
        """What the model's next call reads. The layers know it, not these rows: nothing refers to what holds it, and
        with the last reference the memory is free, also where no garbage is collected.
        """
        for layer in self.cache.layers:
            layer.reading = reading

    def extend(self, counts: Sequence[int]) -> None:
        """The model was called; of what each row read it keeps the first counts[row] tokens."""
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]

    def keep(self, rows: Sequence[int]) -> None:
        """Only these go on, row rows[i] as row i; rows[i] >= i."""
        for place, row in enumerate(rows):
            if place != row:
                for layer in self.cache.layers:
                    layer.move(row, place, self.lengths[row])
        self.lengths = [self.lengths[row] for row in rows]
