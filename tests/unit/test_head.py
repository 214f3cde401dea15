"""The head in chunks gives the same as the whole one, and holds no more logits at once than it may."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.errors import UserError
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.model import head as head_module
from lam_train.model.attention import model_inputs
from lam_train.model.head import BYTES_IN_WORK, ChunkedHead, chunk_sizes, log_probabilities, most_bytes
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


def vocabulary() -> int:
    return load_model(ModelSettings(source="tiny")).config.vocab_size


def settings(chunked: bool) -> ModelSettings:
    """Chunked: of the pack's 60 targets 7 at once, and the slopes of 21 are kept."""
    budget = 2 * AT_ONCE * BYTES_IN_WORK * vocabulary()
    return ModelSettings(source="tiny", **({"logits_budget": budget} if chunked else {}))


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
    computed = head_module._logprobs_of_all
    monkeypatch.setattr(head_module, "_logprobs_of_all", lambda *given: seen.append(len(given[0])) or computed(*given))
    sloped = []
    slopes_of = head_module._slopes
    monkeypatch.setattr(head_module, "_slopes", lambda *given: sloped.append(len(given[0])) or slopes_of(*given))
    model = TrainableModel(load_model(settings(chunked=True)))
    saved = []
    with (
        torch.set_grad_enabled(learns),
        torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor),
    ):
        outputs = model(pack())
    assert max(seen) == AT_ONCE and sum(seen) == len(outputs) == 60
    slopes = [len(tensor) for tensor in saved if tensor.ndim == 2 and tensor.shape[1] == vocabulary()]
    assert slopes == ([3 * AT_ONCE] if learns else []) and sum(sloped) == sum(slopes)
    if learns:
        outputs.sum().backward()
        assert max(seen) == AT_ONCE and sum(seen) == 60 + 39  # those whose slopes were not kept, computed again


def test_a_frozen_head_has_no_gradient_and_passes_it_on():
    head = torch.nn.Linear(8, 50, bias=False)
    head.__class__, head.logits_budget = ChunkedHead, 2**20
    head.requires_grad_(False)
    hidden = torch.randn(5, 8, requires_grad=True)
    head(hidden, torch.arange(5)).sum().backward()
    assert head.weight.grad is None
    mine, hidden.grad = hidden.grad, None
    torch.nn.functional.linear(hidden, head.weight).log_softmax(-1)[torch.arange(5), torch.arange(5)].sum().backward()
    torch.testing.assert_close(mine, hidden.grad)


@pytest.mark.parametrize("entropies", [False, True])
def test_improbable_targets_and_bf16(entropies):
    """Log-probabilities far below what fp32's probabilities can hold, and targets that are all but certain."""
    torch.manual_seed(0)
    weight = torch.randn(40, 16) * 20
    hidden = torch.randn(30, 16)
    targets = torch.cat([(hidden @ weight.T).argmax(-1)[:15], (hidden @ weight.T).argmin(-1)[15:]])
    found = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        head = torch.nn.Linear(16, 40, bias=False, dtype=dtype)
        head.__class__, head.logits_budget = ChunkedHead, 2**12
        with torch.no_grad():
            head.weight.copy_(weight.bfloat16())
        given = hidden.bfloat16().to(dtype).requires_grad_()
        if dtype == torch.float64:
            outputs = log_probabilities(torch.nn.functional.linear(given, head.weight), targets, entropies)
        else:
            outputs = head(given, targets, entropies)
        logprobs = outputs[0] if entropies else outputs
        (logprobs * torch.linspace(-1, 1, 30)).sum().backward()
        found[dtype] = (outputs.detach().double(), head.weight.grad.double(), given.grad.double())
    assert found[torch.float64][0].min() < -110
    for exact, mine, rounded in zip(*found.values(), strict=True):
        assert (mine - exact).norm() < 1e-5 * exact.norm()
        assert (rounded - exact).norm() < 2e-2 * exact.norm()


def test_log_probabilities_of_bf16_logits_are_fp32():
    torch.manual_seed(0)
    head = torch.nn.Linear(16, 40, bias=False, dtype=torch.bfloat16)
    head.__class__, head.logits_budget = ChunkedHead, 2**12
    hidden, targets = torch.randn(30, 16).bfloat16(), torch.arange(30)
    with torch.no_grad():
        expected = torch.nn.functional.linear(hidden, head.weight).float().log_softmax(-1)[torch.arange(30), targets]
        torch.testing.assert_close(head(hidden, targets), expected)


def test_a_layer_with_a_bias_keeps_its_own_way():
    causal = load_model(ModelSettings(source="tiny"))
    causal.set_output_embeddings(torch.nn.Linear(64, vocabulary()))
    ChunkedHead.replace(causal, 2**20)
    assert type(causal.get_output_embeddings()) is torch.nn.Linear


def test_the_entropy_is_that_of_the_distribution_and_carries_no_gradient():
    torch.manual_seed(0)
    logits, targets = torch.randn(6, 9, requires_grad=True), torch.arange(6)
    found = log_probabilities(logits, targets, entropies=True)
    torch.testing.assert_close(found[1], torch.distributions.Categorical(logits=logits).entropy())
    (gradient,) = torch.autograd.grad(found[1].sum(), logits)
    assert not gradient.any()


@pytest.mark.parametrize("kind", ["llama", "granite"])
def test_policy_and_value_read_the_last_state_whichever_head_the_model_has(kind):
    """Ours, and one of its own; the value learns from the body and the entropy teaches nothing."""
    sizes = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **sizes, num_attention_heads=4, pad_token_id=None, initializer_range=0.2)
    causal = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    ChunkedHead.replace(causal, 2**20)
    assert isinstance(causal.get_output_embeddings(), ChunkedHead) == (kind == "llama")
    model = PolicyValue(causal)
    torch.nn.init.normal_(model.value_head.weight)
    row = pack()
    found = model(row)
    inputs = model_inputs(row, causal.config)
    hidden = causal.base_model(**inputs).last_hidden_state[0, row.sources]
    torch.testing.assert_close(found[1], model.value_head(hidden))
    distribution = torch.distributions.Categorical(logits=causal(**inputs).logits[0, row.sources])
    torch.testing.assert_close(found[0], distribution.log_prob(row.targets))
    torch.testing.assert_close(found[2], distribution.entropy())
    body = list(causal.base_model.parameters())
    of_values = torch.autograd.grad(found[1].sum(), body, retain_graph=True)
    of_entropies = torch.autograd.grad(found[2].sum(), body, allow_unused=True)
    assert all(gradient.any() for gradient in of_values)
    assert not any(gradient is not None and gradient.any() for gradient in of_entropies)
    assert PolicyValue(causal.bfloat16())(row).dtype == TrainableModel(causal)(row).dtype == torch.float32


def test_adapters_are_what_the_settings_say():
    asked = LoraSettings(rank=3, alpha=12, dropout=0.25, target_modules=["q_proj"])
    made = add_lora(load_model(ModelSettings(source="tiny")), asked)
    adapters = [module for name, module in made.named_modules() if name.endswith("q_proj")]
    assert len(adapters) == 4 and not any("lora" in name for name, _ in made.named_modules() if "v_proj" in name)
    for adapter in adapters:
        assert adapter.r["default"] == 3 and adapter.scaling["default"] == 4
        assert adapter.lora_dropout["default"].p == 0.25
    with pytest.raises(UserError, match=r"model\.lora\.target_modules=\['nothing'\]"):
        add_lora(load_model(ModelSettings(source="tiny")), LoraSettings(target_modules=["nothing"]))


def test_a_model_whose_head_cannot_be_given_positions_is_refused():
    class Whole(LlamaForCausalLM):
        def forward(self, input_ids=None, attention_mask=None):
            return super().forward(input_ids, attention_mask)

    sizes = {"vocab_size": 20, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    with pytest.raises(UserError, match="Whole has no logits_to_keep"):
        TrainableModel(Whole(LlamaConfig(**sizes, num_hidden_layers=1)))


def test_a_chunk_has_one_target_at_least():
    assert chunk_sizes(1000, 2, 1) == (1, 0)
    assert chunk_sizes(1000, 2, 2 * (3 * BYTES_IN_WORK * 1000 + 5)) == (3, 18)


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
    """gemma3 may cap its logits outside its output layer: reading the layer alone would lose that."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=1.0, attn_logit_softcapping=None,
    )  # fmt: skip
    torch.manual_seed(0)
    causal = Gemma3ForCausalLM(config)
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
    assert most_bytes(config.vocab_size, 4, 2**20, 4096) <= 2**20
    whole = (BYTES_IN_WORK + 4) * config.vocab_size * 4096
    rows, kept = chunk_sizes(config.vocab_size, 4, 2**20)
    assert large - small == pytest.approx((whole - (BYTES_IN_WORK * rows + 4 * kept) * config.vocab_size) / 2**30)


def test_a_budget_below_one_is_refused():
    from lam_train.recipe import compose_recipe

    with pytest.raises(UserError, match="logits_budget"):
        compose_recipe(["+recipe=phase1", "model.logits_budget=0"])
