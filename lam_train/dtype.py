"""Which number format is fast here: bf16 where the processor multiplies it, fp32 elsewhere."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field


def fast_dtype() -> str:
    """`bf16` or `fp32`, for this machine.

    A CPU without AVX-512 or AMX emulates bf16: there a product takes up to 27 times as long as in fp32 (measured:
    1024 x 1536 by 1536 x 576 on two cores with AVX2).
    """
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    supported = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if supported else "fp32"


def _resolved(dtype: str) -> str:
    return fast_dtype() if dtype == "auto" else dtype


Dtype = Annotated[Literal["auto", "fp32", "bf16"], AfterValidator(_resolved), Field(validate_default=True)]
"""A setting that reads `auto` and holds `fp32` or `bf16`: a run's recipe says what it ran with."""
