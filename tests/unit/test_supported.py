"""What a model computes of a row's samples is what it computes of each alone, or it is refused by its type."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM

from lam_train.batching.pack import PackInput, build_pack
from lam_train.errors import UserError
from lam_train.model.attention import model_inputs
from lam_train.model.load import ModelSettings, load_config, load_model
from lam_train.model.policy_value import PolicyValue
from lam_train.model.reward import RewardModel
from lam_train.model.rope import check_positions, most_positions
from lam_train.model.supported import check_config, check_rows
from lam_train.model.trainable import TrainableModel
from lam_train.model.tree_attention import FLEX, NAME, tree_attention

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "pad_token_id": 0,
}  # fmt: skip
GROUPED = SIZES | {"num_key_value_heads": 2}
EXACT = {
    "llama": GROUPED, "mistral": GROUPED, "qwen2": GROUPED, "qwen3": GROUPED, "smollm3": GROUPED, "phi3": GROUPED,
    "granite": GROUPED, "olmo2": GROUPED, "starcoder2": GROUPED, "cohere": GROUPED, "stablelm": GROUPED,
    "gemma": GROUPED | {"head_dim": 8}, "gemma3_text": GROUPED | {"head_dim": 8, "sliding_window": 16},
    "mixtral": GROUPED, "falcon": SIZES, "gpt2": SIZES, "gpt_neox": SIZES, "opt": SIZES | {"ffn_dim": 64},
}  # fmt: skip
WITHOUT_SDPA = {
    "gpt_oss": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}, "bloom": SIZES,
    "gpt_neo": SIZES | {"num_layers": 2, "attention_types": [[["global", "local"], 1]]}, "gemma2": GROUPED,
}  # fmt: skip
BY_VERSION = ("codegen", "gptj")  # with SDPA since transformers 5.24


def made(folder: Path, kind: str, sizes: dict) -> ModelSettings:
    """A random model of a type, in a folder."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)
    return ModelSettings(path=str(folder))


def row(*lengths: int):
    """A row of samples that share nothing."""
    random = np.random.default_rng(0)
    samples = [random.integers(5, 200, length).astype(np.int32) for length in lengths]
    return build_pack(
        [PackInput(str(n), s, np.r_[0.0, np.ones(len(s) - 1)].astype(np.float32), 0) for n, s in enumerate(samples)]
    )


@pytest.mark.parametrize("kind", EXACT)
def test_a_type_whose_attention_takes_masks_is_served_exactly(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("lam_train.model.supported.MODEL_TYPES", ())  # looks at those too that need no look
    settings = made(tmp_path, kind, EXACT[kind])
    load_config(settings)
    model = TrainableModel(load_model(settings))
    with torch.no_grad():
        together = model(row(9, 40, 7))
        alone = torch.cat([model(pack) for pack in alone_of(9, 40, 7)])
    assert torch.allclose(together, alone, atol=1e-5)
    RewardModel(load_model(settings, torch.bfloat16))(row(9, 7))  # whose rounding is no reason


def alone_of(*lengths: int):
    """The samples of `row`, each in its own."""
    tokens = np.split(row(*lengths).tokens.numpy().astype(np.int32), np.cumsum(lengths)[:-1])
    return [
        build_pack([PackInput("0", sample, np.r_[0.0, np.ones(len(sample) - 1)].astype(np.float32), 0)])
        for sample in tokens
    ]


@pytest.mark.parametrize("attention", ["auto", "dense", "flex"])
@pytest.mark.parametrize("kind", WITHOUT_SDPA)
def test_a_type_whose_attention_takes_no_masks_is_refused_at_loading(kind, attention, tmp_path):
    settings = made(tmp_path, kind, WITHOUT_SDPA[kind]).model_copy(update={"attention": attention})
    for load in (load_config, load_model):
        with pytest.raises(UserError, match=kind) as refused:
            load(settings)
        assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("attention", ["auto", "dense", "flex"])
@pytest.mark.parametrize("kind", BY_VERSION)
def test_a_type_is_served_exactly_from_the_version_on_that_takes_masks(kind, attention, tmp_path):
    settings = made(tmp_path, kind, SIZES | {"rotary_dim": 4}).model_copy(update={"attention": attention})
    if attention == "flex" or not MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.for_model(kind))]._supports_sdpa:
        for load in (load_config, load_model):
            with pytest.raises(UserError, match=kind):
                load(settings)
        return
    model = TrainableModel(load_model(settings))
    with torch.no_grad():
        together, alone = model(row(9, 40, 7)), torch.cat([model(pack) for pack in alone_of(9, 40, 7)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_flex_is_refused_at_loading_for_types_it_is_not_right_for(tmp_path):
    settings = made(tmp_path, "falcon", SIZES).model_copy(update={"attention": "flex"})
    with pytest.raises(UserError, match=r"model.attention=flex is for models of types llama, .*, not falcon; set auto"):
        load_model(settings)


def test_our_attention_goes_to_the_types_whose_attention_it_is(tmp_path):
    for kind, expected in (("llama", NAME), ("granite", "sdpa")):
        assert load_model(made(tmp_path / kind, kind, GROUPED)).config._attn_implementation == expected


@pytest.mark.parametrize("extra", ["s_aux", "softcap", "position_bias"])
def test_what_changes_the_scores_is_refused_by_our_attention(extra):
    module = SimpleNamespace(config=SimpleNamespace(model_type="llama"))
    with pytest.raises(UserError, match=f"model type llama: its attention takes {extra}"):
        tree_attention(module, *torch.ones(3, 1, 2, 4, 8), None, **{extra: torch.ones(1)})


def test_layers_that_carry_a_state_are_refused_by_their_kinds():
    sizes = GROUPED | {"layer_types": ["linear_attention", "full_attention"], "head_dim": 8}
    config = AutoConfig.for_model("qwen3_next", **sizes)
    with pytest.raises(UserError, match="model type qwen3_next: layers of kinds full_attention, linear_attention"):
        check_config(config)


def test_a_model_of_images_and_text_is_refused(tmp_path):
    from transformers import Gemma3Config

    config = Gemma3Config(
        text_config=GROUPED | {"head_dim": 8},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    config.save_pretrained(tmp_path)
    message = r"model type gemma3: .* no num_hidden_layers, .*save its language part \(model type gemma3_text\)"
    with pytest.raises(UserError, match=message):
        load_config(ModelSettings(path=str(tmp_path)))
    with pytest.raises(UserError, match=message):
        TrainableModel(AutoModelForCausalLM.from_config(config))


def test_a_model_that_counts_rows_and_not_positions_is_refused_at_its_first_row():
    """Transformers' flags do not tell: bart's decoder takes masks, and finds positions by itself."""
    sizes = {
        "vocab_size": 300, "d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64,
        "is_decoder": True, "is_encoder_decoder": False,
    }  # fmt: skip
    torch.manual_seed(0)
    causal = AutoModelForCausalLM.from_config(AutoConfig.for_model("bart", **sizes), attn_implementation="sdpa")
    with pytest.raises(UserError, match=r"model type bart \(BartForCausalLM\).* hidden states differ by \d+%"):
        check_rows(causal, CPU)


class Own(transformers.LlamaForCausalLM):
    """A model as code of its own may have it."""

    blind = False

    def forward(self, attention_mask=None, **inputs):
        if not self.blind:
            raise TypeError("four dimensions?\nno")
        return super().forward(**inputs)


@pytest.mark.parametrize(
    ("blind", "message"), [(True, r"hidden states differ by \d+%"), (False, r"it fails on one: four dimensions\?;")]
)
def test_code_of_its_own_is_held_to_the_same(blind, message):
    torch.manual_seed(0)
    causal = Own._from_config(AutoConfig.for_model("llama", **GROUPED), attn_implementation="sdpa").train()
    causal.blind = blind
    with pytest.raises(UserError, match=rf"model type llama \(Own\) cannot .*{message}"):
        check_rows(causal, CPU)
    assert causal.training


def test_numbers_that_are_none_are_refused():
    causal = AutoModelForCausalLM.from_config(AutoConfig.for_model("granite", **GROUPED), attn_implementation="sdpa")
    torch.nn.init.constant_(causal.model.norm.weight, float("nan"))
    with pytest.raises(UserError, match="model type granite"):
        check_rows(causal, CPU)


def test_the_look_is_taken_without_dropout():
    causal = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", **SIZES), attn_implementation="sdpa").train()
    assert causal.config.resid_pdrop == 0.1
    check_rows(causal, CPU)
    assert causal.training


def test_a_full_gpu_is_no_fault_of_the_model(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    causal = AutoModelForCausalLM.from_config(AutoConfig.for_model("granite", **GROUPED), attn_implementation="sdpa")
    monkeypatch.setattr(causal.model, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        check_rows(causal, CPU)


@pytest.mark.parametrize("kind", [TrainableModel, RewardModel, PolicyValue])
def test_the_first_pack_alone_is_preceded_by_a_look(kind, tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr("lam_train.model.sequence_parallel.check_rows", lambda causal, device: looked.append(device))
    model = kind(load_model(made(tmp_path, "granite", GROUPED)))
    for _ in range(3):
        model(row(9, 7))
    assert looked == [CPU]


LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [8.0] * 4,
    "original_max_position_embeddings": 16, "factor": 4.0,
}  # fmt: skip
RESCALED = {
    "dynamic": ("llama", 16, {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}),
    "longrope": ("phi3", 64, LONGROPE),
}


@pytest.mark.parametrize("rope", RESCALED)
def test_rope_that_looks_at_the_whole_row_is_refused_where_it_would(rope, tmp_path):
    kind, most, parameters = RESCALED[rope]
    sizes = GROUPED | {"max_position_embeddings": most, "rope_parameters": parameters, "initializer_range": 0.2}
    if rope == "longrope":
        sizes["original_max_position_embeddings"] = 16  # phi3 says it itself too
    causal = load_model(made(tmp_path, kind, sizes).model_copy(update={"attention": "dense"})).eval()

    def states(pack, asked=causal.config):
        with torch.no_grad():
            return causal.base_model(**model_inputs(pack, asked)).last_hidden_state[0]

    assert most_positions(causal.config) == 16
    assert torch.allclose(
        states(row(16, 9))[:16], states(alone_of(16, 9)[0]), atol=1e-5
    )  # up to there it cannot matter
    message = rf"model type {kind}: beyond 16 tokens .*set batching.max_tokens=16 "
    with pytest.raises(UserError, match=message):
        states(row(9, 17))
    with pytest.raises(UserError, match=message):
        check_positions(causal.config, 17)
    unchecked = AutoConfig.for_model(kind, **GROUPED)
    unchecked._attn_implementation = "sdpa"
    together, alone = states(row(9, 40), unchecked)[:9], states(alone_of(9, 40)[0], unchecked)
    assert not torch.allclose(together, alone, atol=1e-3)  # the reason


def test_other_rope_takes_any_number_of_positions():
    for parameters in (None, {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}):
        config = AutoConfig.for_model("llama", **GROUPED, rope_parameters=parameters)
        assert most_positions(config) is None
        check_positions(config, 10**6)
    by_layer = AutoConfig.for_model("gemma3_text", **GROUPED)
    assert most_positions(by_layer) is None
    by_layer.rope_parameters["full_attention"] |= {"rope_type": "dynamic", "factor": 2.0}
    assert most_positions(by_layer) == by_layer.max_position_embeddings


def test_remote_code_gets_no_attention_of_ours(tmp_path):
    settings = made(tmp_path, "llama", GROUPED).model_copy(update={"trust_remote_code": True})
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"auto_map": {"AutoModelForCausalLM": "own.Own"}}))
    (tmp_path / "own.py").write_text(
        "from transformers import LlamaForCausalLM\nclass Own(LlamaForCausalLM):\n    pass\n"
    )
    causal = load_model(settings)
    assert type(causal).__name__ == "Own" and causal.config._attn_implementation == "sdpa"
    check_rows(causal, CPU)
    with pytest.raises(UserError, match="not llama with code of its own"):
        load_model(settings.model_copy(update={"attention": FLEX.removeprefix("lam_")}))
