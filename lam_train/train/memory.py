"""An estimate of the memory that a training needs, before anything is loaded."""

import psutil
import torch

from lam_train.model.head import BYTES_OF_AUTOGRAD, most_bytes
from lam_train.model.layers import checkpointed_layers
from lam_train.model.load import ModelSettings
from lam_train.model.tree_attention import MODEL_TYPES
from lam_train.train.engine import GATHERED, EngineSettings, effective_stage

GIB = 2**30
ACTIVATIONS = "activations (upper bound)"
IN_MAIN_MEMORY = "besides, in main memory"


def estimate_memory(config, model: ModelSettings, engine: EngineSettings, ranks: int, tokens: int) -> dict[str, float]:
    """GiB of one rank: weights, gradients, optimizer state, activations of a row of `tokens`, and their sum.

    Weights, gradients and state follow ZeRO's arithmetic (Rajbhandari et al., 2020): with bf16 2 + 4 + 12 bytes a
    parameter (gradients add up in fp32), with fp32 4 + 4 + 8; stage 1 divides the state by the ranks, stage 2 the
    gradients too, stage 3 the weights too, of which each rank then holds up to GATHERED whole. With `engine.offload`
    those are the weights of stage 3, and its part of them, gradients and state are `IN_MAIN_MEMORY`, not in the sum;
    gradients twice there, since DeepSpeed copies their sums for the optimizer.

    Activations are counted from the shapes: about 14 x width + 3 x inner width values a token and layer, or the width
    alone in layers with gradient checkpointing, which compute theirs again one at a time; plus the mask where attention
    is dense. Ranks that share a row hold a part of its activations and logits each. What the head holds of the logits
    is counted for a row that is all targets, up to `model.logits_budget`.
    """
    parameters, trained = trained_parameters(config, model)
    size, state = (2, 12) if engine.dtype == "bf16" else (4, 8)
    stage, offloads = effective_stage(engine), engine.offload == "cpu"
    shard = [ranks if stage >= needed else 1 for needed in (3, 2, 1)]
    parts = {
        "weights": parameters * size / shard[0],
        "gradients": trained * 4 / shard[1],
        "optimizer state": trained * state / shard[2],
        ACTIVATIONS: _activations(config, model, engine, tokens),
    }
    in_main_memory = 0.0
    if offloads:
        moved = ["gradients", "optimizer state"] + (["weights"] if stage == 3 else [])
        in_main_memory = sum(parts[name] for name in moved) + parts["gradients"]
        parts |= dict.fromkeys(moved, 0.0)
    if stage == 3 and (ranks > 1 or offloads):
        parts["weights"] += min(parameters, GATHERED) * size
    gib = {name: amount / GIB for name, amount in parts.items()}
    gib["together"] = sum(gib.values())
    return gib | {IN_MAIN_MEMORY: in_main_memory / GIB} if offloads else gib


def gib_while_judging(config, engine: EngineSettings, parts: dict[str, float]) -> float:
    """GiB of one rank while another model of that size, loaded whole, passes over the samples.

    PPO's reward model and the model that the policy began as do, one after the other, beside the weights, gradients and
    optimizer state of `parts` (`estimate_memory`), on each rank and at each stage.
    """
    size = 2 if engine.dtype == "bf16" else 4
    return parts["together"] - parts[ACTIVATIONS] + count_parameters(config) * size / GIB


def room_of_a_rank(ranks: int) -> float:
    """GiB that a rank can have here: a GPU's, or its share of this machine's memory where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / GIB
    return psutil.virtual_memory().total / GIB / ranks


def fewest_checkpointed(
    config, model: ModelSettings, engine: EngineSettings, ranks: int, tokens: int, room: float
) -> int | None:
    """The fewest layers with gradient checkpointing with which the estimate stays below `room` GiB; None: none do."""
    parts = estimate_memory(config, model, engine, ranks, tokens)
    left = (room - parts["together"] + parts[ACTIVATIONS]) * GIB
    for layers in range(config.num_hidden_layers + 1):
        tried = model.model_copy(update={"gradient_checkpointing": layers or False})
        if _activations(config, tried, engine, tokens) < left:
            return layers
    return None


def _activations(config, model: ModelSettings, engine: EngineSettings, tokens: int) -> float:
    """Bytes: of the layers, the head's logits and the mask of dense attention."""
    own = -(-tokens // engine.sequence_parallel)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    again = checkpointed_layers(model.gradient_checkpointing, config.num_hidden_layers)
    whole = max(config.num_hidden_layers - again, 1)  # at once
    values = again * config.hidden_size + whole * (14 * config.hidden_size + 3 * inner)
    size = 2 if engine.dtype == "bf16" else 4
    ours = config.model_type in MODEL_TYPES
    if ours:
        logits = most_bytes(config.vocab_size, size, model.logits_budget, own)
    else:
        logits = BYTES_OF_AUTOGRAD * config.vocab_size * tokens
    mask = 0 if ours and model.attention != "dense" else tokens**2
    return own * values * size + logits + mask


def trained_parameters(config, model: ModelSettings) -> tuple[int, int]:
    """(all parameters of the model, those that are trained)."""
    parameters = count_parameters(config)
    return parameters, _lora_parameters(config, model.lora.rank) if model.lora else parameters


def count_parameters(config) -> int:
    """Parameters of a causal language model of this configuration, counted on the meta device."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())


def _lora_parameters(config, rank: int) -> int:
    """Of adapters on all linear layers: rank x (inputs + outputs) of each."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        modules = AutoModelForCausalLM.from_config(config).modules()
        return sum(rank * (m.in_features + m.out_features) for m in modules if isinstance(m, torch.nn.Linear))
