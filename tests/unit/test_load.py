"""A model whose weights are not those that its configuration describes is refused, not filled up at random."""

import json
from pathlib import Path

import pytest
import torch

from lam_train.errors import UserError
from lam_train.model.load import ModelSettings, load_config, load_model, load_tokenizer


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


def test_random_weights_are_those_of_the_seed_and_of_the_dtype():
    one, again, other = (load_model(ModelSettings(source="tiny"), seed=seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert load_model(ModelSettings(source="tiny"), torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize(("path", "said"), [("", "the folder has no config.json"), ("/nowhere", "no such folder")])
def test_a_folder_without_a_model_is_refused(tmp_path, path, said):
    with pytest.raises(UserError, match=f"model.path={tmp_path}{path}: {said}"):
        load_model(ModelSettings(path=f"{tmp_path}{path}"))


def test_missing_tensors_are_named(tmp_path):
    with pytest.raises(UserError, match=r"9 tensors of the model .* are missing: model\.layers\.4\..*, …"):
        load_model(saved_with(tmp_path, num_hidden_layers=5))


def test_another_shape_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"model.path={tmp_path}: the model cannot be loaded"):
        load_model(saved_with(tmp_path, intermediate_size=64))


@pytest.mark.parametrize("load", [load_config, load_model])
def test_a_package_that_the_models_own_code_needs_is_named(tmp_path, load):
    saved = saved_with(tmp_path, auto_map={"AutoConfig": "own.OwnConfig"}, model_type="own")
    (tmp_path / "own.py").write_text("import package_of_theirs\n")
    with pytest.raises(
        UserError, match=f"model.path={tmp_path}: the configuration cannot be loaded: .*package_of_theirs"
    ):
        load(saved.model_copy(update={"trust_remote_code": True}))


LOADERS = [load_tokenizer, load_config, load_model]


@pytest.mark.parametrize("load", LOADERS)
def test_a_path_that_is_no_hub_id_is_refused(load):
    with pytest.raises(UserError, match=r"model.path=my model: no such local folder, and the hub gave no "):
        load(ModelSettings(path="my model"))


@pytest.fixture
def hub_says(monkeypatch):
    """Makes the hub answer with an error."""
    from httpx import Request, Response
    from huggingface_hub import errors

    def say(name: str) -> None:
        response = Response(404, request=Request("GET", "https://huggingface.co/some-one/model"))

        def answers(*_, **__):
            raise getattr(errors, name)("404 Client Error", response=response)

        monkeypatch.setattr("transformers.utils.hub.hf_hub_download", answers)

    return say


@pytest.mark.parametrize("load", LOADERS)
def test_a_repository_that_is_missing_or_private_is_refused(hub_says, load):
    hub_says("RepositoryNotFoundError")
    with pytest.raises(UserError, match=r"model.path=some-one/model: .* is not a valid model identifier"):
        load(ModelSettings(path="some-one/model"))


@pytest.mark.parametrize("load", LOADERS)
def test_a_revision_that_is_missing_is_refused(hub_says, load):
    hub_says("RevisionNotFoundError")
    with pytest.raises(UserError, match=r"model.path=some-one/model: .* v9 is not a valid git identifier"):
        load(ModelSettings(path="some-one/model", revision="v9"))
