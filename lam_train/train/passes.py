"""A model's answers to all samples of a loader, without learning: scores, log-probabilities, values."""

import torch

from lam_train.batching.loader import Loader
from lam_train.train.progress import Progress


@torch.no_grad()
def outputs_by_sample(
    model: torch.nn.Module, loader: Loader, device: torch.device, what: str | None = None
) -> dict[str, torch.Tensor]:
    """Sample id -> what `model` (a module or engine that takes a pack) gives for its n targets, in their order.

    float32 [n] or [numbers, n], on the CPU; of every sample of the loader's steps from its first, over all ranks.
    Runs in eval mode, and leaves the model in the mode it was in. Collective where there are several ranks, of which
    the first shows its progress under the name `what`.
    """
    distributed = torch.distributed.is_initialized()
    shown = what is not None and not (distributed and torch.distributed.get_rank())
    was_training = model.training
    model.eval()
    mine: dict[str, torch.Tensor] = {}
    loader.next_step = 0
    with Progress(len(loader), shown=shown, what=what or "", unit="batch") as progress:
        for batch in loader:
            for pack in batch.packs:
                outputs = model(pack.to(device)).float().cpu()
                for number, id in enumerate(pack.samples):
                    mine[id] = outputs[..., pack.owners == number]
            progress.advance_by(1)
    model.train(was_training)
    if not distributed:
        return mine
    parts: list = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return {id: outputs for part in parts for id, outputs in part.items()}
