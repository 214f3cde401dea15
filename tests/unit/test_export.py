"""A training that is done ends with a model folder, or with one line that says why not and leaves nothing half made."""

import json
import resource
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from lam_train.errors import Fault
from lam_train.model.load import ModelSettings, load_model
from lam_train.train.export import export

TINY = ModelSettings(source="tiny")


def exported(target: Path, base: dict) -> GenerationConfig:
    """The generation config of an exported model whose base has this one in its folder."""
    folder = target.with_name("base")
    load_model(TINY).save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(base))
    causal = load_model(ModelSettings(path=str(folder)))
    export(causal, TINY, target, torch.float32, "a card")
    return GenerationConfig.from_pretrained(target)


@pytest.mark.parametrize("name, value", [("temperature", 0.6), ("top_p", 0.9), ("top_k", 20), ("min_p", 0.1)])
def test_a_base_that_tells_how_to_sample_and_not_whether_to_is_exported_as_one_that_samples(tmp_path, name, value):
    found = exported(tmp_path / "model", {name: value})
    assert found.do_sample is True and getattr(found, name) == value
    assert found.eos_token_id == [2]


def test_a_base_that_samples_stays_as_it_is(tmp_path):
    found = exported(tmp_path / "model", {"do_sample": True, "temperature": 0.6, "top_p": 0.95})
    assert (found.do_sample, found.temperature, found.top_p) == (True, 0.6, 0.95)


@pytest.mark.parametrize("base", [{"do_sample": False, "temperature": 0.6, "top_p": 0.9}, {"temperature": 0.0}])
def test_a_base_that_is_greedy_stays_so(tmp_path, base):
    found = exported(tmp_path / "model", base)
    assert not found.do_sample and found.temperature is None and found.top_p is None


def test_a_base_that_says_nothing_of_sampling_stays_as_it_is(tmp_path):
    found = exported(tmp_path / "model", {"temperature": 1.0, "eos_token_id": 2})
    assert not found.do_sample and found.temperature == 1.0


def test_other_settings_that_cannot_be_saved_are_a_fault(tmp_path):
    with pytest.raises(Fault, match=r"model: the model could not be written: .*length_penalty.*are untouched"):
        exported(tmp_path / "model", {"length_penalty": 2.0})
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_full_disk_is_a_fault_and_leaves_nothing_behind(tmp_path):
    """A file may not grow beyond 100 KB: safetensors then fails as on a full disk, with an error of its own."""
    causal = load_model(TINY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Fault, match=r"model: the model could not be written: .*; the checkpoints are untouched"):
            export(causal, TINY, tmp_path / "model", torch.float32, "a card")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
