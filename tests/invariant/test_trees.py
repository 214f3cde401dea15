"""A packed forest learns what its samples learn one by one, and its trees never see each other."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.torch_version import TorchVersion

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.batching.pack import PackInput, build_pack
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.model.attention import by_causal_kernels, masks_by_layer, model_inputs, tree_mask
from lam_train.model.load import LoraSettings, ModelSettings, load_model
from lam_train.model.trainable import TrainableModel, add_lora
from lam_train.model.tree_attention import (
    FLEX,
    FLEX_BLOCK,
    LONG,
    NAME,
    flex_masks,
    layer_window,
    query_blocks,
    register,
    tree_attention,
)
from lam_train.objectives.imitation import imitation_loss

VOCABULARY = 259


def path(*spans: tuple[int, int]) -> tuple[Segment, ...]:
    """Segments from (seed, length) each; the last is the target. The same seed and length give the same tokens."""
    made = [np.random.default_rng(seed).integers(3, VOCABULARY, length).astype(np.int32) for seed, length in spans]
    return tuple(Segment(tokens, float(i == len(made) - 1)) for i, tokens in enumerate(made))


FORESTS = {
    "no sharing": [[(1, 9), (2, 5)], [(3, 14), (4, 2)], [(5, 3), (6, 30)]],
    "one level": [[(1, 20), (n, 6)] for n in range(10, 16)],
    "two levels": [[(1, 20), (2 + n % 2, 11), (n, 6)] for n in range(10, 16)],
    "three levels": [[(1, 20), (2 + n % 2, 11), (4 + n % 4, 7), (n, 5)] for n in range(10, 18)],
    "uneven branches": [[(1, 20), (n, 1 + 4 * (n - 10))] for n in range(10, 16)],
    "single-token branches": [[(1, 17), (n, 1)] for n in range(10, 15)],
    "branches of one token that lead on": [[(1, 17), (n % 3, 1), (n, 4)] for n in range(10, 16)],
    "several trees in a row": [[(1 + n % 3, 13), (n, 5)] for n in range(10, 19)],
    "one sample is the prefix of another": [[(1, 12), (7, 8)], [(1, 12), (7, 8), (8, 5)], [(1, 12), (9, 3)]],
    "equal samples": [[(1, 12), (7, 8)], [(1, 12), (7, 8)], [(1, 12), (9, 3)]],
}
ALONE = BatchingSettings(share_prefixes=False, micro_batch_size=1, workers=0)


def samples_of(name: str) -> Samples:
    return Samples([Sample(str(i), path(*spans)) for i, spans in enumerate(FORESTS[name])])


def tiny(lora: bool = False, **config) -> TrainableModel:
    causal = load_model(ModelSettings(source="tiny"))
    for key, value in config.items():
        setattr(causal.config, key, value)
    if lora:
        torch.manual_seed(1)
        add_lora(causal, LoraSettings(rank=4))
        for name, parameter in causal.named_parameters():
            if "lora_B" in name:  # zero at the start: half of the gradients would be zero too
                torch.nn.init.normal_(parameter, std=0.02)
    return TrainableModel(causal)


def loss_and_gradients(model: TrainableModel, samples: Samples, settings: BatchingSettings, ranks: int = 1):
    """The step's loss, all gradients, and the physical tokens."""
    model.zero_grad()
    total = 0.0
    for rank in range(ranks):
        loader = Loader(samples, settings, batch_size=len(samples), steps=1, seed=0, rank=rank, ranks=ranks)
        batch = loader.dataset[0]
        for pack in batch.packs:
            loss = imitation_loss(model(pack), pack.weights) / batch.weight
            loss.backward()
            total += loss.item()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return total, gradients, batch


def assert_same(model: TrainableModel, samples: Samples, settings: BatchingSettings, ranks: int = 1):
    expected, expected_gradients, _ = loss_and_gradients(model, samples, ALONE)
    loss, gradients, batch = loss_and_gradients(model, samples, settings, ranks)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert gradients.keys() == expected_gradients.keys() and gradients
    for name, gradient in gradients.items():
        error = (gradient - expected_gradients[name]).norm() / expected_gradients[name].norm()
        assert error < 1e-5, f"{name}: {error}"
    return batch


@pytest.mark.parametrize("name", FORESTS)
def test_forest_equals_samples_one_by_one(name):
    samples = samples_of(name)
    batch = assert_same(tiny(), samples, BatchingSettings(workers=0))
    shares = name != "no sharing"
    assert (batch.physical_tokens < batch.logical_tokens) == shares


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_tree_that_is_split_over_rows_and_ranks_equals_samples_one_by_one(ranks):
    samples = samples_of("three levels")
    batch = assert_same(tiny(), samples, BatchingSettings(max_tokens=70, workers=0), ranks)
    assert len(batch.packs) * ranks > 1
    assert all(len(pack.tokens) <= 70 for pack in batch.packs)


def test_lora_forest_equals_samples_one_by_one():
    model = tiny(lora=True)
    assert_same(model, samples_of("two levels"), BatchingSettings(workers=0))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and all("lora" in name for name in trained)


@pytest.mark.parametrize("name", ["three levels", "several trees in a row"])
def test_sliding_window_forest_equals_samples_one_by_one(name):
    """A window is measured along a sample's own path, as the model does on the sample alone."""
    windowed = tiny(sliding_window=16)
    assert_same(windowed, samples_of(name), BatchingSettings(workers=0))
    wide = loss_and_gradients(tiny(), samples_of(name), ALONE)[0]
    assert loss_and_gradients(windowed, samples_of(name), ALONE)[0] != pytest.approx(wide, rel=1e-6)


@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("attention", ["auto", "dense"])
def test_alone_is_what_transformers_computes(attention, window):
    """The reference itself: one sample in a row against transformers' own loss on the plain sample."""
    causal = load_model(ModelSettings(source="tiny", attention=attention))
    causal.config.sliding_window = window
    model, samples = TrainableModel(causal), samples_of("uneven branches")
    for index in range(len(samples)):
        tokens = torch.from_numpy(samples.tokens(index).astype(np.int64))
        labels = torch.where(torch.from_numpy(samples.weights(index)) != 0, tokens, -100)
        expected = model.causal(input_ids=tokens[None], labels=labels[None], use_cache=False).loss.item()
        pack = build_pack([PackInput("x", samples.tokens(index), samples.weights(index), 0)])
        assert -model(pack).mean().item() == pytest.approx(expected, rel=1e-5)


KINDS = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "mistral with a window": {"sliding_window": 7},
    "qwen2 with a window in half of its layers": {
        "sliding_window": 7, "use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"] * 2
    },
    "qwen3": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_attention_by_paths_is_attention_with_a_dense_mask(kind):
    """Loss and every gradient, on all forests, for each kind of model that takes the faster way."""
    from transformers import AutoConfig, AutoModelForCausalLM

    small = {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 2,
    }  # fmt: skip
    config = AutoConfig.for_model(kind.split()[0], **small, **KINDS[kind])
    register()
    models = []
    for attention in ("sdpa", NAME, FLEX):
        torch.manual_seed(0)
        causal = AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation=attention)
        models.append(TrainableModel(causal))
    dense, by_paths, flex = models
    for name in FORESTS:
        samples = samples_of(name)
        loss, gradients, batch = loss_and_gradients(dense, samples, BatchingSettings(workers=0))
        other_loss, other_gradients, _ = loss_and_gradients(by_paths, samples, BatchingSettings(workers=0))
        (pack,) = batch.packs
        assert ["tree" in model_inputs(pack, model.causal.config) for model in models] == [False, True, True]
        assert other_loss == pytest.approx(loss, rel=1e-5)
        for key, gradient in gradients.items():
            error = (gradient - other_gradients[key]).norm() / gradient.norm()
            assert error < 1e-5, f"{name}, {key}: {error}"
        with torch.no_grad():  # FlexAttention has no backward pass on a CPU: tests/gpu has it
            torch.testing.assert_close(flex(pack), dense(pack), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [None, 100, 300])
@pytest.mark.parametrize("seed", range(4))
def test_the_blocks_of_a_flex_mask_are_those_of_all_its_pairs(seed, window):
    """Rows of many blocks: what is seen, which blocks are skipped, and which need no mask inside."""
    rng = np.random.default_rng(seed)
    tokens = [rng.integers(5, 60, 700)]
    for _ in range(12):  # each sample goes on from a place of another's path, from its second half or from its start
        start = tokens[rng.integers(len(tokens))]
        kept = rng.integers(len(start) // 2, len(start) + 1) if rng.random() < 0.8 else 0
        tokens.append(np.concatenate([start[:kept], rng.integers(5, 60, rng.integers(2, 400))]))
    tokens = [walked.astype(np.int32) for walked in tokens]
    samples = Samples([Sample(str(i), (Segment(t[:-1]), Segment(t[-1:], 1.0))) for i, t in enumerate(tokens)])
    loader = Loader(samples, BatchingSettings(max_tokens=8192, workers=0), batch_size=len(tokens), steps=1, seed=0)
    (pack,) = loader.dataset[0].packs
    pack = pack.padded(FLEX_BLOCK)
    assert len(pack.tokens) > 8 * FLEX_BLOCK
    pairs = tree_mask(pack.subtree_end, pack.positions, window)
    blocks = pairs.unflatten(0, (-1, FLEX_BLOCK)).unflatten(2, (-1, FLEX_BLOCK)).transpose(1, 2).flatten(2)
    mask = flex_masks(pack, [window])[window]
    query, key = torch.meshgrid(torch.arange(len(pairs)), torch.arange(len(pairs)), indexing="ij")
    assert torch.equal(mask.mask_mod(0, 0, query, key), pairs)
    partial, full = (
        listed(counts[0, 0], indices[0, 0])
        for counts, indices in (
            (mask.kv_num_blocks, mask.kv_indices), (mask.full_kv_num_blocks, mask.full_kv_indices)
        )
    )  # fmt: skip
    assert not (partial & full).any()
    assert torch.equal(full, blocks.all(-1)) and not (blocks.any(-1) & ~(partial | full)).any()
    if window is None:
        assert torch.equal(partial | full, blocks.any(-1))
    assert bool(full.any()) == (window != 100) and not (partial | full).all()


@pytest.mark.parametrize("window", [None, 4096])
def test_a_row_that_is_one_long_sample_needs_no_mask(window, monkeypatch):
    """Loss and every gradient, with padding behind it, as a GPU computes it: that kernel is on a CPU too."""
    monkeypatch.setattr("lam_train.model.attention.by_causal_kernels", lambda *_: True)
    tokens = np.random.default_rng(0).integers(5, 60, LONG + 7).astype(np.int32)
    samples = Samples([Sample("0", (Segment(tokens[:9]), Segment(tokens[9:], 1.0)))])
    settings = BatchingSettings(max_tokens=4096, workers=0)
    results = []
    for attention in ("dense", "flex"):
        model = TrainableModel(load_model(ModelSettings(source="tiny", attention=attention)))
        model.causal.config.sliding_window = window
        results.append(loss_and_gradients(model, samples, settings))
    (loss, gradients, _), (other_loss, other_gradients, batch) = results
    inputs = model_inputs(batch.packs[0], model.causal.config)
    assert inputs["tree"] == {window: None} and inputs["input_ids"].shape == (1, LONG + FLEX_BLOCK)
    assert other_loss == pytest.approx(loss, rel=1e-5)
    for key, gradient in gradients.items():
        assert (gradient - other_gradients[key]).norm() < 1e-5 * gradient.norm(), key


@pytest.mark.parametrize(
    ("lengths", "window", "alone"),
    [((LONG,), None, True), ((LONG,), LONG, True), ((LONG,), LONG - 1, False), ((LONG - 200,), None, False),
     ((LONG, 9), None, False)],
)  # fmt: skip
def test_only_a_row_whose_tokens_see_all_before_them_needs_no_mask(lengths, window, alone):
    pack = build_pack([PackInput(str(n), *_arrays([(n, 1), (9, length - 1)]), 0) for n, length in enumerate(lengths)])
    masks = flex_masks(pack.padded(FLEX_BLOCK), [window], causal_kernels=True)
    assert (masks[window] is None) == alone
    assert flex_masks(pack.padded(FLEX_BLOCK), [window])[window] is not None


@pytest.mark.parametrize(
    ("changed", "taken"),
    [({}, True), ({"attention": FLEX}, False), ({"device": "cpu"}, False), ({"capability": (7, 5)}, False),
     ({"version": "2.8.0+cu126"}, False), ({"hip": "6.3"}, False)],
    ids=str,
)  # fmt: skip
def test_causal_kernels_are_taken_where_they_are(changed, taken, monkeypatch):
    facts = {"attention": NAME, "device": "cuda", "capability": (8, 0), "version": "2.11.0+cu130", "hip": None}
    facts |= changed
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: facts["capability"])
    monkeypatch.setattr(torch, "__version__", TorchVersion(facts["version"]))
    monkeypatch.setattr(torch.version, "hip", facts["hip"])
    config = SimpleNamespace(_attn_implementation=facts["attention"])
    assert by_causal_kernels(torch.device(facts["device"]), config) == taken


def listed(counts: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """bool [Q, K]: the first so many of each row's indices."""
    chosen = torch.zeros(indices.shape, dtype=torch.bool)
    for row, (count, places) in enumerate(zip(counts.tolist(), indices.long(), strict=True)):
        chosen[row, places[:count]] = True
    return chosen


def test_padding_changes_nothing_that_a_pack_says_of_its_samples():
    pack = build_pack([PackInput("a", *_arrays([(1, 13), (2, 5)]), 0), PackInput("b", *_arrays([(1, 13), (3, 6)]), 13)])
    wide = pack.padded(16)
    assert len(pack.tokens) == 24 and len(wide.tokens) == 32 and wide.padded(16) is wide
    seen = tree_mask(wide.subtree_end, wide.positions)
    assert torch.equal(seen[:24, :24], tree_mask(pack.subtree_end, pack.positions))
    assert not seen[:24, 24:].any() and not seen[24:, :24].any() and seen.any(1).all()
    assert torch.equal(wide.sources, pack.sources) and torch.equal(wide.targets, pack.targets)


def test_layers_that_all_see_everything_have_no_window():
    config = SimpleNamespace(layer_types=["full_attention"] * 2, sliding_window=7)
    assert masks_by_layer(config, lambda window: window) is None and layer_window(config, 1) is None
    config.layer_types = None  # as mistral says it
    assert masks_by_layer(config, lambda window: window) == layer_window(config, 1) == 7


def test_dropout_of_attention_is_left_to_a_mask():
    pack = build_pack([PackInput("a", *_arrays([(1, 13), (2, 5)]), 0)])
    config = load_model(ModelSettings(source="tiny")).config
    assert "tree" in model_inputs(pack, config)
    config.attention_dropout = 0.1
    assert "tree" not in model_inputs(pack, config)
    with pytest.raises(ValueError, match="tree attention has no dropout"):
        tree_attention(None, *torch.ones(3, 1, 2, 4, 8), None, dropout=0.1, tree=query_blocks(torch.full((4,), 4)))


def test_scores_of_bf16_are_as_exact_as_fp32_holds_them():
    """Large ones, which bf16 would round to quarters: the weights would be wrong by a tenth."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 40, 16).bfloat16() for _ in range(3))
    exact = torch.nn.functional.scaled_dot_product_attention(
        *(x.double() for x in (query, key, value)), is_causal=True, scale=3.0
    )
    found, _ = tree_attention(None, query, key, value, None, scaling=3.0, tree=query_blocks(torch.full((40,), 40)))
    assert (found.transpose(1, 2).double() - exact).norm() < 5e-3 * exact.norm()


def test_flex_refuses_a_model_whose_attention_it_would_change():
    pack = build_pack([PackInput("a", *_arrays([(1, 13), (2, 5)]), 0)])
    config = load_model(ModelSettings(source="tiny", attention="flex")).config
    assert "tree" in model_inputs(pack, config)
    config.model_type = "gemma2"
    with pytest.raises(ValueError, match="not gemma2"):
        model_inputs(pack, config)


def test_first_token_of_every_branch_is_learned():
    """The branch point: each sample's first target is predicted from the last token of the shared prefix."""
    samples = samples_of("one level")
    pack = Loader(samples, BatchingSettings(workers=0), batch_size=6, steps=1, seed=0).dataset[0].packs[0]
    firsts = [int(pack.targets[pack.owners == owner][0]) for owner in range(6)]
    by_id = [int(samples.tokens(int(id))[20]) for id in pack.samples]
    assert firsts == by_id
    assert pack.sources[pack.sources == 19].numel() == 6


def test_the_head_runs_on_source_positions_only():
    model, seen = tiny(), []
    model.causal.lm_head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2]))
    pack = (
        Loader(samples_of("one level"), BatchingSettings(workers=0), batch_size=6, steps=1, seed=0).dataset[0].packs[0]
    )
    model(pack)
    assert seen == [len(pack.sources)] and seen[0] < len(pack.tokens)


@pytest.mark.parametrize("training", [True, False])
def test_changing_one_tree_leaves_the_others_bit_equal(training):
    """Isolation, also in eval mode and with the cache on in the model's config, where transformers loses it."""
    model = tiny(use_cache=True)
    model.train(training)
    first = [PackInput("a", *_arrays([(1, 13), (2, 5)]), 0), PackInput("b", *_arrays([(1, 13), (3, 6)]), 13)]
    other = [PackInput("c", *_arrays([(4, 11), (5, 5)]), 0)]
    changed = [PackInput("c", *_arrays([(6, 11), (7, 5)]), 0)]
    before, after = (_hidden(model, build_pack(first + tree)) for tree in (other, changed))
    of_first = 13 + 5 + 6
    assert torch.equal(before[:of_first], after[:of_first])
    assert not torch.equal(before[of_first:], after[of_first:])
    # And a branch does not see its sibling.
    sibling = [first[0], PackInput("b", *_arrays([(1, 13), (8, 6)]), 13)]
    moved = _hidden(model, build_pack(sibling + other))
    assert torch.equal(before[:18], moved[:18])
    assert not torch.equal(before[18:24], moved[18:24])


def _arrays(spans) -> tuple[np.ndarray, np.ndarray]:
    sample = Sample("x", path(*spans))
    return sample.tokens, sample.weights


def _hidden(model: TrainableModel, pack) -> torch.Tensor:
    with torch.no_grad():
        inputs = model_inputs(pack, model.causal.config)
        return model.causal.model(**inputs).last_hidden_state[0]


def test_the_mask_is_the_ancestors_by_brute_force():
    """Not left to what transformers detects in positions: the explicit mask, against every pair of tokens' paths."""
    for name in FORESTS:
        samples = samples_of(name)
        loader = Loader(samples, BatchingSettings(workers=0), batch_size=len(samples), steps=1, seed=0)
        pack = loader.dataset[0].packs[0]
        paths: dict[int, tuple] = {}  # row index -> the tokens from the root to it
        expected = torch.zeros(len(pack.tokens), len(pack.tokens), dtype=torch.bool)
        last: list[int] = []  # row indices of the path that the previous row was on
        for row, depth in enumerate(pack.positions.tolist()):
            last = [*last[:depth], row]
            paths[row] = tuple(pack.tokens[last].tolist())
            expected[row, last] = True
        inputs = model_inputs(pack, load_model(ModelSettings(source="tiny", attention="dense")).config)
        assert torch.equal(inputs["attention_mask"][0, 0], expected), name
        assert inputs["use_cache"] is False
        seen = torch.zeros_like(expected)
        for most in (1, 3, 128):
            blocks = query_blocks(pack.subtree_end, most)
            assert [row for b in blocks for row in range(b.start, b.stop)] == list(range(len(pack.tokens)))
            for block in blocks:
                keys = [row for first, last in block.keys for row in range(first, last)]
                assert len(keys) == block.path and keys[-block.size :] == list(range(block.start, block.stop))
                for place, row in enumerate(range(block.start, block.stop)):
                    seen[row] = False
                    seen[row, keys[: block.path - block.size + place + 1]] = True
            assert torch.equal(seen, expected), name
        whole = {tuple(samples.tokens(i).tolist()) for i in range(len(samples))}
        assert {path for path in paths.values() if path in whole} == whole
