"""Decoder layers: which compute again, that neither this nor compiling changes what they compute, what is proposed."""

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lam_train.batching.pack import PackInput, build_pack
from lam_train.errors import UserError
from lam_train.model.head import DEFAULT_BUDGET, ChunkedHead
from lam_train.model.layers import checkpoint_layers, compile_layers
from lam_train.model.load import ModelSettings, load_config, load_model
from lam_train.model.trainable import TrainableModel
from lam_train.model.tree_attention import FLEX, register
from lam_train.phases.training import load_learner
from lam_train.recipe import compose_recipe
from lam_train.train.engine import EngineSettings
from lam_train.train.memory import estimate_memory, fewest_checkpointed

MODEL = ModelSettings(source="tiny")


def gradients(setting) -> tuple[dict[str, torch.Tensor], list[int]]:
    """(gradients of a loss by name, how often each layer computed)."""
    causal = load_model(MODEL).train()
    checkpoint_layers(causal, setting)
    calls = Counter()
    for number, layer in enumerate(causal.model.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, number=number: calls.update([number]))
    tokens = torch.arange(5, 25)[None]
    causal(input_ids=tokens, labels=tokens).loss.backward()
    return {name: p.grad for name, p in causal.named_parameters()}, [calls[n] for n in range(len(causal.model.layers))]


@pytest.mark.parametrize(
    ("setting", "times"), [(False, [1, 1, 1, 1]), (1, [2, 1, 1, 1]), (3, [2, 2, 2, 1]), (True, [2, 2, 2, 2])]
)
def test_so_many_layers_compute_again_and_the_gradients_stay(setting, times):
    plain, _ = gradients(False)
    found, calls = gradients(setting)
    assert calls == times
    for name, gradient in plain.items():
        assert torch.equal(found[name], gradient), name


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(UserError, match=r"gradient_checkpointing=5: the model has 4 layers"):
        checkpoint_layers(load_model(MODEL), 5)


class Plain(LlamaForCausalLM):
    """A model with layers of its own kind, as code from the hub has them."""

    def __init__(self, config):
        super().__init__(config)
        self.model.layers = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda causal: checkpoint_layers(causal, True),
            r"model.gradient_checkpointing=true: Plain \(model type llama\)",
        ),
        (lambda causal: checkpoint_layers(causal, 2), r"model.gradient_checkpointing=2: Plain .*checkpointing=false"),
        (compile_layers, r"model.compile=true: Plain \(model type llama\) .* set model.compile=false"),
    ],
)
def test_what_would_do_nothing_is_refused(change, message):
    sizes = {"vocab_size": 20, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    with pytest.raises(UserError, match=message):
        change(Plain(LlamaConfig(**sizes, num_hidden_layers=1)))


@pytest.mark.parametrize(("text", "read"), [("true", True), ("false", False), ("1", 1), ("12", 12)])
def test_the_setting_is_all_none_or_a_number(text, read):
    found = compose_recipe(["+recipe=phase1", f"model.gradient_checkpointing={text}"]).model.gradient_checkpointing
    assert found == read and type(found) is type(read)


def test_the_fewest_layers_that_fit_are_proposed():
    config, engine = load_config(MODEL), EngineSettings()

    def together(setting) -> float:
        model = MODEL.model_copy(update={"gradient_checkpointing": setting})
        return estimate_memory(config, model, engine, 1, 4096)["together"]

    assert together(False) > together(1) > together(2) > together(True)
    between = (together(False) + together(1)) / 2
    assert fewest_checkpointed(config, MODEL, engine, 1, 4096, between) == 1
    assert fewest_checkpointed(config, MODEL, engine, 1, 4096, together(False) * 1.01) == 0
    assert fewest_checkpointed(config, MODEL, engine, 1, 4096, together(True) / 2) is None


def test_compiled_layers_learn_the_same_and_keep_their_names():
    settings = MODEL.model_copy(update={"attention": "dense"})
    plain, compiled = (load_model(settings).train() for _ in range(2))
    compile_layers(compiled)
    for length in (20, 31):  # one graph for both
        tokens = torch.arange(5, 5 + length)[None]
        losses = [model(input_ids=tokens, labels=tokens).loss for model in (plain, compiled)]
        assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-5)
        for loss in losses:
            loss.backward()
    found = dict(compiled.named_parameters())
    assert found.keys() == dict(plain.named_parameters()).keys() and compiled.model.layers[0]._compiled_call_impl
    for name, parameter in plain.named_parameters():
        assert (found[name].grad - parameter.grad).norm() <= 1e-5 * parameter.grad.norm(), name


@pytest.mark.parametrize(("more", "words"), [(["engine=zero3"], "zero_stage=3"), ([], "model.attention=dense")])
def test_what_cannot_be_compiled_is_refused(more, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = compose_recipe(["+recipe=phase1", "model=tiny", "model.compile=true", *more])
    with pytest.raises(UserError, match=words):
        load_learner(recipe)


def test_layers_that_differ_in_their_number_alone_are_compiled_once(monkeypatch):
    """Of a model that lists its layers' kinds: PyTorch gives up compiling after eight versions of a layer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    compiled = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda layer, **how: compiled(layer, backend="eager", **how))
    register()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = AutoConfig.for_model("qwen3", num_hidden_layers=10, head_dim=16, vocab_size=64, **small)
    assert len(config.layer_types) == 10
    model = TrainableModel(AutoModelForCausalLM.from_config(config, attn_implementation=FLEX))
    ChunkedHead.replace(model.causal, DEFAULT_BUDGET)
    compile_layers(model.causal)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for length in (600, 900):  # blocks unlike any size of the model: PyTorch takes equal sizes for the same one
        tokens = np.arange(length, dtype=np.int32) % 60 + 3
        pack = build_pack([PackInput("a", tokens, np.ones(length, np.float32) * (tokens != 3), 0)])
        with torch.no_grad():  # FlexAttention has no backward pass on a CPU
            assert torch.isfinite(model(pack)).all()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
