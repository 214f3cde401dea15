"""Model FLOPs and their utilisation."""

from dataclasses import dataclass

import torch

# Dense bf16 peak in FLOP/s, from the vendors' data sheets.
PEAK_BF16 = {"A100": 312e12, "H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12}


def step_flops(body: int, head: int, layers: int, width: int, tokens: int, targets: int, attended: int) -> float:
    """The FLOPs of one forward and backward pass, without recomputation.

    6 x (body x tokens + head x targets) + 12 x layers x width x attended, with `body` the parameters in matrix
    products outside the head, `head` those of the head, `width` heads x head size and `attended` the sum over
    tokens of the keys each attends to (its depth + 1: the causal convention, each path on its own).
    6 = 2 FLOPs a multiply-add x 3 passes; 12 = 2 products (QK and AV) x 6. After PaLM (Chowdhery et al., 2022),
    appendix B, with the head counted where it runs.
    """
    return 6.0 * (body * tokens + head * targets) + 12.0 * layers * width * attended


def peak_flops() -> float | None:
    """The dense bf16 peak of this GPU in FLOP/s, or None where there is none or it is not known."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    known = [key for key in PEAK_BF16 if key in name]
    return PEAK_BF16[max(known, key=len)] if known else None


@dataclass(frozen=True)
class ModelShape:
    """What is reckoned of a causal language model; its weights may be on the meta device or sharded."""

    body: int
    head: int
    layers: int
    width: int
    hidden: int
    head_size: int
    key_value_heads: int

    @classmethod
    def of(cls, causal: torch.nn.Module) -> "ModelShape":
        config = causal.config
        shapes = {name: getattr(p, "ds_shape", p.shape) for name, p in causal.named_parameters()}
        head = causal.get_output_embeddings().weight
        matrices = {name: shape for name, shape in shapes.items() if len(shape) == 2 and "embed" not in name}
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return cls(
            body=sum(shape.numel() for name, shape in matrices.items() if "lm_head" not in name),
            head=getattr(head, "ds_shape", head.shape).numel(),
            layers=config.num_hidden_layers,
            width=config.num_attention_heads * size,
            hidden=config.hidden_size,
            head_size=size,
            key_value_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        )

    @classmethod
    def of_config(cls, config) -> "ModelShape":
        """Of the model that transformers makes of it, without its weights."""
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            return cls.of(AutoModelForCausalLM.from_config(config))

    def flops(self, tokens: int, targets: int, attended: int) -> float:
        """`step_flops` of this model."""
        return step_flops(self.body, self.head, self.layers, self.width, tokens, targets, attended)


def utilisation(flops: float, seconds: float, gpus: int) -> float | None:
    """Model FLOPs utilisation: FLOPs / (seconds x peak x GPUs), 0 to 1; None on a CPU or a GPU of unknown peak."""
    peak = peak_flops()
    return None if peak is None else flops / (seconds * peak * gpus)
