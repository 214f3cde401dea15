"""Model FLOPs: the formula against PyTorch's own count of matrix products, and Mistral-7B's by hand."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from lam_train.train.flops import ModelShape

SMALL = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4}


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL),
        LlamaConfig(**SMALL, tie_word_embeddings=True),
        MistralConfig(**SMALL, num_key_value_heads=2, head_dim=16),
    ],
    ids=["heads of their own", "tied", "shared keys, wide heads"],
)
def test_they_are_what_pytorch_counts(config):
    """Eager attention computes all T x T products, so `attended` is T x T here; of 40 tokens 25 are targets."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    tokens, targets = 40, 25
    with FlopCounterMode(display=False) as counter:
        ids = torch.randint(config.vocab_size, (1, tokens))
        hidden = model.model(ids).last_hidden_state[0, :targets]
        model.lm_head(hidden).logsumexp(-1).sum().backward()
    assert counter.get_total_flops() == ModelShape.of(model).flops(tokens, targets, tokens * tokens)


def test_mistral_7b_by_hand():
    """Both conventions of MFU at 4,096 tokens: causal, and each token with its whole document."""
    shape = ModelShape.of_config(MistralConfig(vocab_size=32768, sliding_window=None))
    layer = 4096 * 4096 * 2 + 4096 * 1024 * 2 + 3 * 4096 * 14336  # queries, output; keys, values; gate, up, down
    assert (shape.body, shape.head, shape.width) == (32 * layer, 32768 * 4096, 4096)
    tokens = 4096
    causal = shape.flops(tokens, tokens, tokens * (tokens + 1) // 2)
    whole = shape.flops(tokens, tokens, tokens * tokens)
    assert causal / tokens == pytest.approx(6 * (32 * layer + 32768 * 4096) + 12 * 32 * 4096 * 2048.5)
    assert (whole - causal) / tokens == pytest.approx(12 * 32 * 4096 * 2047.5)
