"""The passes of a model over the next tokens of answers under way: each as it comes, or on a GPU recorded and replayed.

In such a pass a model computes little and launches many kernels: a GPU waits for Python. A recording (a CUDA graph)
starts all of a pass's kernels at once. It holds for tensors of one shape in one place: rows, tokens and columns are
rounded up to few shapes, and what is computed too much is masked and left.

Legend: B answers under way, Q tokens that each reads, V vocabulary.
"""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from lam_train.agent.answer_rows import AnswerRows, Reading
from lam_train.model.attention import by_paths, masks_by_layer
from lam_train.model.layers import decoder_layers

Compute = Callable[[], torch.Tensor]

COLUMNS = 512
"""Recordings are for multiples of so many columns; of many columns, for those of an eighth to a quarter of them."""
MOVING_ROPES = ("dynamic", "longrope")  # these look at the positions' values, which a recording cannot


class Passes:
    """Each pass as it comes."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def rows(self, most: int) -> AnswerRows:
        """For a batch of answers, at most so many at a time: empty."""
        return AnswerRows(most)

    def take_back(self, held: AnswerRows) -> None:
        """The last row has left: what they took is let go of."""
        held.clear()

    def logits(self, held: AnswerRows, read: list[list[int]]) -> torch.Tensor:
        """[B, Q, V] for the token ids that each of the rows reads, as many of each; holds until the next call."""
        lengths_B1 = torch.tensor(held.lengths, device=self.model.device)[:, None]
        ids_BQ = torch.tensor(read, device=self.model.device)
        reading = Reading(lengths_B1, len(read[0]), max(held.lengths) + len(read[0]))
        return _logits(self.model, held, ids_BQ, reading)


class RecordedPasses(Passes):
    """Recorded when a shape comes the second time. The rows' buffers stay for the next batch, and with them all this.

    `most_tokens`: that a row reads in a pass at most. `recorder` makes what makes of a computation one that runs it
    again.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        most_tokens: int,
        recorder: Callable[[], Callable[[Compute], Compute]] | None = None,
    ) -> None:
        super().__init__(model)
        self._most_tokens = most_tokens
        self._recorder = recorder or (lambda: CudaGraphs(model.device))
        self._record: Callable[[Compute], Compute]  # of the recordings, where there are any
        self._idle: list[AnswerRows] = []
        self._of: tuple[AnswerRows, tuple[int, int]] | None = None  # whose buffers, and how large they were
        self._recordings: dict[tuple[int, int, int], _Recording] = {}

    def rows(self, most: int) -> AnswerRows:
        """For a batch of answers, at most so many at a time: empty, with the buffers of those before it."""
        return self._idle.pop() if self._idle else AnswerRows(most, COLUMNS)

    def take_back(self, held: AnswerRows) -> None:
        """The last row has left: the next batch takes them."""
        self._idle = [held]

    def logits(self, held: AnswerRows, read: list[list[int]]) -> torch.Tensor:
        """[B, Q, V] for the token ids that each of the rows reads, as many of each; holds until the next call."""
        if self._of is None or self._of[0] is not held or self._of[1] != held.room:
            self._of, self._recordings, self._record = (held, held.room), {}, self._recorder()
        most_rows, most_columns = held.room
        rows, tokens = len(read), len(read[0])
        width = tokens if tokens == 1 else self._most_tokens
        columns = max(held.lengths) + width
        step = max(COLUMNS, (1 << columns.bit_length()) // 8)
        shape = min(1 << (rows - 1).bit_length(), most_rows), width, min(-(-columns // step) * step, most_columns)
        recording = self._recordings.get(shape)
        if recording is None:
            recording = self._recordings[shape] = self._recording(held, *shape)
        given = torch.zeros(shape[0], 1 + width, dtype=torch.long)
        given[:rows, 0] = torch.tensor(held.lengths)
        given[:rows, 1 : 1 + tokens] = torch.tensor(read)
        return recording.run(given, self._record)[:rows, :tokens]

    def _recording(self, held: AnswerRows, rows: int, tokens: int, columns: int) -> "_Recording":
        model = self.model  # not self, which holds what is made here
        given = torch.zeros(rows, 1 + tokens, dtype=torch.long, device=model.device)

        def compute() -> torch.Tensor:
            return _logits(model, held, given[:, 1:], Reading(given[:, :1], tokens, columns))

        return _Recording(given, compute)


class _Recording:
    """A pass of one shape: run as it comes, which makes all that it needs, then recorded and run again."""

    def __init__(self, given: torch.Tensor, compute: Compute) -> None:
        self.given = given  # [B, 1 + Q]: how many tokens each row holds, and those that it reads
        self._compute = compute
        self._replay: Compute | None = None
        self._known = False

    def run(self, given: torch.Tensor, record: Callable[[Compute], Compute]) -> torch.Tensor:
        self.given.copy_(given)
        if not self._known:
            self._known = True
            return self._compute()
        if self._replay is None:
            self._replay = record(self._compute)
        return self._replay()


def _logits(model: PreTrainedModel, held: AnswerRows, ids_BQ: torch.Tensor, reading: Reading) -> torch.Tensor:
    held.read(reading)
    return model(
        input_ids=ids_BQ,
        position_ids=reading.positions_BQ,
        attention_mask=masks_by_layer(model.config, reading.mask),
        past_key_values=held.cache,
        use_cache=True,
    ).logits


class CudaGraphs:
    """Records computations on a GPU; all share their memory, as only one runs at a time."""

    def __init__(self, device: torch.device) -> None:
        self._stream, self._pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def __call__(self, compute: Compute) -> Compute:
        graph = torch.cuda.CUDAGraph()
        # "thread_local": other threads may use the GPU meanwhile, a loader's, NCCL's
        with (
            torch.cuda.device(self._stream.device),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            found = compute()

        def replay() -> torch.Tensor:
            graph.replay()
            return found

        return replay


def passes_of(model: PreTrainedModel, most_tokens: int, graphs: bool = True) -> Passes:
    """Recorded where they may be and the model can: on a GPU, whole, of a known type and not compiled."""
    return RecordedPasses(model, most_tokens) if graphs and _can_be_recorded(model) else Passes(model)


def _can_be_recorded(model: PreTrainedModel) -> bool:
    rope = getattr(model.config, "rope_parameters", None) or {}
    if model.device.type != "cuda" or not by_paths(model.config) or rope.get("rope_type") in MOVING_ROPES:
        return False
    compiled = any(layer._compiled_call_impl is not None for layer in decoder_layers(model))
    sharded = any(hasattr(parameter, "ds_id") for parameter in model.parameters())  # by ZeRO-3: gathered in each pass
    return not compiled and not sharded
