"""The head in chunks gives the same as the whole one, and holds no more logits at once than it may."""

import numpy as np
import pytest
import torch

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.errors import UserError
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.model import head as head_module
from lam_train.model.head import BYTES_A_LOGIT, ChunkedHead
from lam_train.model.load import LoraSettings, ModelSettings, load_model
from lam_train.model.policy_value import PolicyValue
from lam_train.model.trainable import TrainableModel, add_lora
from lam_train.train.engine import EngineSettings
from lam_train.train.memory import estimate_memory

AT_ONCE = 7  # positions


def pack():
    random = np.random.default_rng(0)

    def tokens(length):
        return random.integers(5, 200, length).astype(np.int32)

    samples = [Sample(str(i), (Segment(tokens(10)), Segment(tokens(20), 1.0))) for i in range(3)]
    loader = Loader(Samples(samples), BatchingSettings(workers=0), batch_size=3, steps=1, seed=0)
    return loader.dataset[0].packs[0]


def settings(chunked: bool) -> ModelSettings:
    vocabulary = load_model(ModelSettings(source="tiny")).config.vocab_size
    return ModelSettings(source="tiny", **({"logits_budget": AT_ONCE * BYTES_A_LOGIT * vocabulary} if chunked else {}))


@pytest.mark.parametrize("wrap", [TrainableModel, PolicyValue])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_chunks_give_what_the_whole_head_gives(wrap, checkpointed):
    results = []
    for chunked in (False, True):
        model = wrap(load_model(settings(chunked))).train()
        if checkpointed:
            model.causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        outputs = model(pack())
        (outputs * torch.linspace(-1, 1, outputs.numel()).view_as(outputs)).sum().backward()
        results.append((outputs.detach(), {name: p.grad for name, p in model.named_parameters()}))
    (whole, gradients), (chunks, chunk_gradients) = results
    torch.testing.assert_close(chunks, whole, rtol=1e-6, atol=1e-6)
    for name, gradient in gradients.items():
        assert (chunk_gradients[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("learns", [False, True])
def test_no_more_logits_than_the_budget_are_held(monkeypatch, learns):
    seen = []
    monkeypatch.setattr(ChunkedHead, "_read", _recording(ChunkedHead._read, seen))
    model = TrainableModel(load_model(settings(chunked=True)))
    with torch.set_grad_enabled(learns):
        outputs = model(pack())
    assert max(seen) == AT_ONCE and sum(seen) == len(outputs) == 60
    if learns:
        outputs.sum().backward()
        assert max(seen) == AT_ONCE and sum(seen) == 2 * 60  # computed again, chunk by chunk


def _recording(read, seen):
    def reading(self, hidden, targets, readout):
        seen.append(len(hidden))
        return read(self, hidden, targets, readout)

    return reading


def test_one_position_is_the_least():
    assert head_module.rows_at_once(1000, 1) == 1
    assert head_module.rows_at_once(1000, 3 * BYTES_A_LOGIT * 1000 + 5) == 3


def test_the_model_still_gives_logits_and_keeps_its_names():
    plain, chunked = (load_model(settings(flag)) for flag in (False, True))
    assert plain.state_dict().keys() == chunked.state_dict().keys()
    tokens = torch.arange(5, 20)[None]
    assert torch.equal(plain(input_ids=tokens).logits, chunked(input_ids=tokens).logits)


def test_adapters_on_the_head_are_read_whole():
    """PEFT wraps the layer then; the adapter must not be passed over."""
    causal = load_model(settings(chunked=True))
    add_lora(causal, LoraSettings(rank=2, target_modules=["lm_head", "q_proj"]))
    with torch.no_grad():
        before = TrainableModel(causal)(pack())
        for name, parameter in causal.named_parameters():
            if "lm_head" in name and "lora_B" in name:
                parameter.normal_()
        after = TrainableModel(causal)(pack())
    assert not torch.allclose(before, after)


def test_a_model_that_changes_its_logits_keeps_its_own_head():
    """gemma2 caps its logits outside its output layer: reading the layer alone would lose that."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=1.0, attn_logit_softcapping=None,
    )  # fmt: skip
    torch.manual_seed(0)
    causal = Gemma2ForCausalLM(config)
    ChunkedHead.replace(causal, 1)
    assert not isinstance(causal.get_output_embeddings(), ChunkedHead)
    with torch.no_grad():
        assert TrainableModel(causal)(pack()).min() > -torch.tensor(300.0).log() - 2  # capped at one: no less likely


def test_the_estimate_of_memory_knows_the_budget():
    config = load_model(ModelSettings(source="tiny")).config
    engine = EngineSettings()
    small, large = (
        estimate_memory(config, ModelSettings(source="tiny", logits_budget=b), engine, 1, 4096)["together"]
        for b in (2**20, 2**40)
    )
    assert large - small == pytest.approx((BYTES_A_LOGIT * config.vocab_size * 4096 - 2**20) / 2**30)


def test_a_budget_below_one_is_refused():
    from lam_train.recipe import compose_recipe

    with pytest.raises(UserError, match="logits_budget"):
        compose_recipe(["+recipe=phase1", "model.logits_budget=0"])
