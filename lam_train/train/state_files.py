"""A learning state's tensors in files of bounded size: of all that is written, a process holds one file's at a time."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from lam_train.disk import flush

FILE_BYTES = 2**28


def deal_out(shapes: Mapping[str, torch.Size], parts: tuple[str, ...], ranks: int) -> list[dict[str, str]]:
    """For each rank the tensors that it writes, NAME.PART in fp32, and the file of each.

    Parameters go to the ranks in turn. A tensor begins the next file of its rank where it would make one larger than
    FILE_BYTES; a larger tensor has a file of its own.
    """
    dealt: list[dict[str, str]] = [{} for _ in range(ranks)]
    number, filled = [0] * ranks, [0] * ranks
    for index, (name, shape) in enumerate(shapes.items()):
        rank, size = index % ranks, 4 * shape.numel()
        for part in parts:
            if filled[rank] and filled[rank] + size > FILE_BYTES:
                number[rank], filled[rank] = number[rank] + 1, 0
            filled[rank] += size
            dealt[rank][f"{name}.{part}"] = f"state-{rank:05d}-of-{ranks:05d}-{number[rank]:04d}.safetensors"
    return dealt


def write_tensors(
    tensors: Iterable[tuple[str, torch.Tensor]], files: Mapping[str, str], folder: Path
) -> Exception | None:
    """Writes into `folder`, in fp32, those of `tensors` that `files` names, and waits until they are on the disk.

    Returns what kept it from that. Runs through all tensors also then: where they are gathered from the ranks, the
    others wait for this one.
    """
    held: dict[str, torch.Tensor] = {}
    missing, failure = Counter(files.values()), None
    for key, tensor in tensors:
        if key not in files or failure is not None:
            continue
        held[key] = tensor.to("cpu", torch.float32, copy=True).contiguous()
        missing[files[key]] -= 1
        if missing[files[key]] == 0:
            try:
                save_file(held, folder / files[key])
                flush(folder / files[key])
            except Exception as error:  # safetensors raises its own kinds for a full disk
                failure = error
            held.clear()
    return failure
