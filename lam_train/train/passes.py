"""A model's answers to all samples of a loader, without learning: scores, log-probabilities, values."""

import torch

from lam_train.batching.loader import Loader


@torch.no_grad()
def outputs_by_sample(model: torch.nn.Module, loader: Loader, device: torch.device) -> dict[str, torch.Tensor]:
    """Sample id -> what `model` (a module or engine that takes a pack) gives for its n targets, in their order.

    float32 [n] or [numbers, n], on the CPU; of every sample of the loader's steps from its first, over all ranks.
    Runs in eval mode, and leaves the model in the mode it was in. Collective where there are several ranks.
    """
    was_training = model.training
    model.eval()
    mine: dict[str, torch.Tensor] = {}
    loader.next_step = 0
    for batch in loader:
        for pack in batch.packs:
            pack = pack.to(device)
            outputs = model(pack).float()
            for number, id in enumerate(pack.samples):
                mine[id] = outputs[..., pack.owners == number].cpu()
    model.train(was_training)
    if not torch.distributed.is_initialized():
        return mine
    parts: list = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return {id: outputs for part in parts for id, outputs in part.items()}
