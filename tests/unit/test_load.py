"""A model whose weights are not those that its configuration describes is refused, not filled up at random."""

import json
from pathlib import Path

import pytest
import torch

from lam_train.errors import UserError
from lam_train.model.load import ModelSettings, load_model


def saved_with(folder: Path, **config) -> ModelSettings:
    """The tiny model in a folder, whose config.json then says something else."""
    load_model(ModelSettings(source="tiny")).save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return ModelSettings(path=str(folder))


def test_a_folder_gives_back_the_weights(tmp_path):
    found = load_model(saved_with(tmp_path)).state_dict()
    for name, tensor in load_model(ModelSettings(source="tiny")).state_dict().items():
        assert torch.equal(found[name], tensor), name


def test_missing_tensors_are_named(tmp_path):
    with pytest.raises(UserError, match=r"9 tensors of the model .* are missing: model\.layers\.4\..*, …"):
        load_model(saved_with(tmp_path, num_hidden_layers=5))


def test_another_shape_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"model.path={tmp_path}: the model cannot be loaded"):
        load_model(saved_with(tmp_path, intermediate_size=64))
