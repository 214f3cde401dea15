"""Whether a model can be trained in rows of trees: told by its configuration, and by a first row of its own.

Transformers' flags do not tell it all: a model may add the mask to its scores, place tokens by their row index, carry
a state from token to token, or look at no mask. The answer is what it computes.

Legend: N targets, D width.
"""

import numpy as np
import torch

from lam_train.batching.pack import PackInput, build_pack
from lam_train.errors import UserError
from lam_train.model.attention import masks_by_layer, model_inputs
from lam_train.model.tree_attention import MODEL_TYPES

PREFIX, FIRST, SECOND, OTHER = 12, 64, 6, 5  # tokens of the first row's tree, and of a sample beside it
# Of the hidden states' norm. Rounding gives 1e-6 in fp32 and 5e-3 (experts: 2e-2) in bf16; SmolLM2 without a mask 0.4,
# with row indices for positions 0.15.
TOLERANCE, TOLERANCE_OF_HALVES = 0.01, 0.1


def check_config(config) -> None:
    """Raises UserError for a model that its configuration shows not to be trainable in rows of trees."""
    needed = ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
    missing = [name for name in needed if getattr(config, name, None) is None]
    if missing:
        language = config.get_text_config()
        remedy = f"save its language part (model type {language.model_type}) as a folder of its own, or take"
        raise UserError(
            f"model type {config.model_type}: its configuration itself tells no {', '.join(missing)}; "
            f"{remedy if language is not config else 'take'} a model of text alone"
        )
    masks_by_layer(config, lambda window: window)


def check_sdpa(config) -> None:
    """Raises UserError for a type that transformers knows and whose attention it does not compute with SDPA.

    Its older versions ask SDPA for capped scores too, which then are not capped.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    known = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    if known is not None and (capped or not known._supports_sdpa):
        raise UserError(
            f"model type {config.model_type}: transformers does not compute its attention with SDPA, so the samples of "
            "a row cannot be kept apart exactly, model.attention=dense or not; take a model of another type"
        )


@torch.no_grad()
def check_rows(causal: torch.nn.Module, device: torch.device) -> None:
    """Raises UserError for a model that computes something else of a row's samples than of each alone.

    Nothing is computed for the types whose attention is ours, which the tests hold to it.
    """
    config = causal.config
    if config.model_type in MODEL_TYPES and type(causal).__module__.startswith("transformers."):
        return
    tokens = np.random.default_rng(0).integers(config.vocab_size, size=PREFIX + FIRST + SECOND + OTHER)
    prefix, first, second, other = np.split(tokens.astype(np.int32), np.cumsum([PREFIX, FIRST, SECOND]))
    long, short = (np.concatenate([prefix, branch]) for branch in (first, second))
    training = causal.training
    causal.eval()  # dropout would make any two passes differ
    try:
        together_ND = _states(causal, device, (long, 0), (short, PREFIX), (other, 0))[len(long) - 1 :]
        alone_ND = torch.cat([_states(causal, device, (sample, 0)) for sample in (short, other)])
    except (torch.OutOfMemoryError, torch.distributed.DistError):
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{_refusal(causal)}: it fails on one: {first_line}; take a model of another type") from error
    finally:
        causal.train(training)
    differs = ((together_ND - alone_ND).norm() / alone_ND.norm()).item()
    if not differs < (TOLERANCE if causal.dtype == torch.float32 else TOLERANCE_OF_HALVES):
        raise UserError(
            f"{_refusal(causal)}: its samples' hidden states differ by {differs:.0%} from those of each alone "
            "(another mask, positions, or a state from token to token); take a model of another type"
        )


def _refusal(causal: torch.nn.Module) -> str:
    return (
        f"model type {causal.config.model_type} ({type(causal).__name__}) cannot be trained in rows of several samples"
    )


def _states(causal: torch.nn.Module, device: torch.device, *samples: tuple[np.ndarray, int]) -> torch.Tensor:
    """float32 [N, D]: the last hidden states of all tokens but each sample's last; samples are (tokens, shared)."""
    made = []
    for number, (tokens, shared) in enumerate(samples):
        weights = np.ones(len(tokens), np.float32)
        weights[0] = 0.0  # nothing is before it
        made.append(PackInput(str(number), tokens, weights, shared))
    pack = build_pack(made).to(device)
    inputs = model_inputs(pack, causal.config)
    output = causal(logits_to_keep=pack.sources, output_hidden_states=True, **inputs)  # as `read_targets` does
    return output.hidden_states[-1][0, pack.sources].float()
