"""Gradients before the optimizer sees them: their norm, clipping, and a guard against the non-finite."""

import torch

from lam_train.errors import Fault
from lam_train.train.engine import EngineSettings, adam_of, plain_gradients


class GradientGuard:
    """Notices a non-finite gradient of any parameter during the backward passes, at every ZeRO stage.

    A hook on each parameter adds the sum of its gradient to one number on the device, which is not finite as soon
    as any gradient was not. The trainer reads it once an optimizer step, before the optimizer runs.
    """

    def __init__(self, module: torch.nn.Module, device: torch.device) -> None:
        self._seen = torch.zeros((), dtype=torch.float32, device=device)
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._watch)

    def _watch(self, gradient: torch.Tensor) -> None:
        self._seen += gradient.detach().sum()

    def take(self) -> torch.Tensor:
        """float32 scalar, finite if all gradients since the last call were; starts anew."""
        seen = self._seen.clone()
        self._seen.zero_()
        return seen


class GradientNorm:
    """The norm of the whole gradient before clipping, for the step that the engine made last."""

    def __init__(self, engine, settings: EngineSettings, clipping: float) -> None:
        self._engine, self._clipping = engine, clipping
        self._own: torch.Tensor | None = None
        if plain_gradients(settings):
            # Inside the optimizer's step the gradients are reduced over the ranks, and not yet used.
            adam_of(engine).register_step_pre_hook(self._measure_and_clip)

    def _measure_and_clip(self, adam, _args, _kwargs) -> None:
        parameters = [p for group in adam.param_groups for p in group["params"]]
        limit = self._clipping if self._clipping > 0 else float("inf")
        self._own = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(self._own):
            raise Fault(f"the gradient norm over all ranks is {self._own.item()}; no weight was updated")
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, self._own)

    def last(self) -> float:
        """The norm, as the optimizer step before this call found it."""
        norm = self._own if self._own is not None else self._engine.get_global_grad_norm()
        return float(norm)
