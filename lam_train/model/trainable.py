"""The module that the engine wraps: a causal language model that answers with log-probabilities of targets."""

import inspect

import torch

from lam_train.batching.pack import Pack
from lam_train.errors import UserError
from lam_train.model.head import read_targets
from lam_train.model.load import LoraSettings
from lam_train.model.sequence_parallel import RowModel


class TrainableModel(RowModel):
    """Runs a pack and the head on its source positions only, inside the wrapped forward (ZeRO-3 gathers there)."""

    def __init__(self, causal: torch.nn.Module) -> None:
        super().__init__(causal)
        if "logits_to_keep" not in inspect.signature(causal.forward).parameters:
            raise UserError(f"{type(causal).__name__} has no logits_to_keep: its head cannot run on chosen positions")

    def forward(self, pack: Pack) -> torch.Tensor:
        """float32 [N]: the log-probability of each target of the pack."""
        self.check(pack)
        return self.whole(read_targets(self.causal, pack, shared=self.shared)[0], pack)


def add_lora(causal: torch.nn.Module, settings: LoraSettings) -> torch.nn.Module:
    """Freezes the model and injects adapters (PEFT) in place; returns the PEFT wrapper, which can merge and save."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UserError("model.lora needs the package peft: pip install peft") from None
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(causal, config)
    except ValueError as error:  # names of modules that the model does not have
        raise UserError(f"model.lora.target_modules={settings.target_modules}: {error}") from None
