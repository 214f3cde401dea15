"""Recipes: all that ship compose; what is misspelt, of a wrong type or impossible ends with status 2 and its key."""

import logging
import math
from pathlib import Path

import pytest
import yaml

from lam_train import recipe as recipe_module
from lam_train.__main__ import main
from lam_train.errors import UserError
from lam_train.phases import imitation, inspection, training
from lam_train.recipe import GROUPS, compose_recipe, description, known_keys, recipe_files, shipped_folder

RECIPES = recipe_files()
OPTIONS = [
    f"{group}={file.stem}" for group in GROUPS for file in sorted((shipped_folder("conf") / group).glob("*.yaml"))
]


@pytest.fixture
def refused(monkeypatch, caplog, tmp_path):
    """Runs a command line that must be refused before anything is loaded or written; returns what was said."""

    def loads(*_, **__):
        raise AssertionError("something was loaded")

    for module in (imitation, inspection):
        monkeypatch.setattr(module, "load_tokenizer", loads)
    monkeypatch.setattr(training, "load_model", loads)
    monkeypatch.setattr("lam_train.train.distributed.relaunch", loads)
    monkeypatch.setattr("lam_train.train.distributed.join_world", loads)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        caplog.clear()
        before = sorted(tmp_path.rglob("*"))
        with caplog.at_level(logging.INFO, logger="lam_train"):
            assert main(list(arguments)) == 2, caplog.text
        assert sorted(tmp_path.rglob("*")) == before
        assert "Traceback" not in caplog.text
        return caplog.text

    return run


def write_config(folder: Path, **files: str) -> Path:
    """A --config-dir; `model__mine` is written to model/mine.yaml."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


MINE = """\
# A recipe of my own
defaults:
  - override /model: mine
  - override /engine: zero2
run: task_plan
trainer:
  lr: 1e-4
  max_steps: 7
"""


# What ships ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_composes_and_says_in_its_first_line_what_it_does(name):
    recipe = compose_recipe([f"+recipe={name}"])
    assert recipe.name == name
    assert len(description(RECIPES[name])) > 20
    again = recipe_module.Recipe.model_validate(yaml.safe_load(recipe.yaml()))  # what a run directory keeps
    assert again == recipe


@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.startswith("size=")])
def test_every_group_option_composes_and_is_what_its_file_says(option):
    group, _, name = option.partition("=")
    given = yaml.safe_load((shipped_folder("conf") / group / f"{name}.yaml").read_text()) or {}
    composed = compose_recipe(["+recipe=phase1", option]).model_dump()[group]
    assert given and _holds(composed, given)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("size=")])
def test_a_size_is_a_curriculums_and_what_its_file_says(option):
    given = yaml.safe_load((shipped_folder("conf") / "size" / f"{option.partition('=')[2]}.yaml").read_text()) or {}
    if option == "size=none":
        assert not given and not compose_recipe(["+recipe=phase1", option]).stages
        return
    composed = compose_recipe(["+recipe=curriculum", option]).model_dump()
    said = {name: stage for name, stage in given["stages"].items() if stage}
    assert composed["curriculum"]["model"] == given["curriculum"]["model"] and _holds(composed["stages"], said)
    with pytest.raises(UserError, match=f"{option}: phase1 is no curriculum"):
        compose_recipe(["+recipe=phase1", option])


def _holds(composed: dict, given: dict) -> bool:
    """Whether every value of the file is in the recipe, also in a section within the section."""
    return all(
        _holds(composed[key], value) if isinstance(value, dict) and value else composed[key] == value
        for key, value in given.items()
    )


def test_every_group_in_conf_is_known():
    assert sorted(GROUPS) == sorted(folder.name for folder in shipped_folder("conf").iterdir() if folder.is_dir())
    assert {name for name in GROUPS} == {option.partition("=")[0] for option in OPTIONS}


def test_phase_1_has_the_papers_settings():
    recipe = compose_recipe(["+recipe=phase1"])
    trainer = recipe.trainer
    assert (recipe.run, trainer.batch_size, trainer.epochs, trainer.lr) == ("task_plan", 16, 3, 2e-5)
    assert (trainer.schedule, trainer.warmup_steps) == ("cosine", 2)


SCRIPTED = {  # the names that scripts rely on, and a value each
    "run_dir": "runs/x",
    "data.train": "a.jsonl",
    "data.validation": "b.jsonl",
    "trainer.max_steps": 3,
    "trainer.batch_size": 4,
    "trainer.lr": 1e-4,
    "trainer.seed": 5,
    "batching.max_tokens": 512,
    "batching.share_prefixes": False,
    "checkpoint.every_steps": 10,
    "resume": "never",
    "inspect": True,
    "model.path": "some/model",
    "engine.dtype": "bf16",
}


@pytest.mark.parametrize("key", SCRIPTED)
def test_the_names_that_scripts_rely_on_exist(key):
    value = SCRIPTED[key]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    composed = compose_recipe(["+recipe=phase1", f"{key}={text}"]).model_dump()
    for part in key.split("."):
        composed = composed[part]
    assert composed == value and type(composed) is type(value)


@pytest.mark.parametrize("option", ["model=tiny", "model=smollm2-135m", "model=mistral-7b", "engine=zero3-offload"])
def test_the_options_that_scripts_rely_on_exist(option):
    assert option in OPTIONS
    assert [f"engine=zero{stage}" in OPTIONS for stage in range(4)] == [True] * 4


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", "0.0001", "+trainer.lr", "1"])
def test_numbers_are_written_as_one_likes(text):
    override = "++trainer.lr=1e-4" if text.startswith("+") else f"trainer.lr={text}"
    lr = compose_recipe(["+recipe=phase1", override]).trainer.lr
    assert isinstance(lr, float) and math.isclose(lr, 1.0 if text == "1" else 1e-4)


def test_lora_is_off_until_one_of_its_settings_is_given():
    assert compose_recipe(["+recipe=phase1"]).model.lora is None
    assert compose_recipe(["+recipe=phase1", "model.lora={}"]).model.lora.rank == 8
    lora = compose_recipe(["+recipe=phase1", "model=tiny", "model.lora.rank=4", "model.lora.dropout=0.1"]).model.lora
    assert (lora.rank, lora.alpha, lora.dropout) == (4, 32, 0.1)
    assert compose_recipe(["+recipe=phase1", "model.lora.rank=4", "model.lora=null"]).model.lora is None


def test_the_command_line_wins_over_the_recipe_and_the_recipe_over_the_defaults():
    assert compose_recipe(["+recipe=phase1_small"]).data.train == "collected/plans/train.jsonl"
    recipe = compose_recipe(["+recipe=phase1_small", "data=shipped", "model=tiny", "trainer.epochs=1"])
    assert (recipe.model.source, recipe.trainer.epochs, recipe.trainer.lr) == ("tiny", 1, 3e-4)
    assert recipe.data.train.startswith("shipped:")


def test_one_composition_leaves_nothing_behind_for_the_next(tmp_path):
    first = compose_recipe(["+recipe=phase1"])
    compose_recipe(["+recipe=phase1", "trainer.lr=1", "model.lora.rank=3", "engine=zero3"])
    write_config(tmp_path, phase1=MINE, model__mine="source: tiny\n")
    assert compose_recipe(["+recipe=phase1"], tmp_path).trainer.max_steps == 7
    assert compose_recipe(["+recipe=phase1"]) == first


# What is misspelt ---------------------------------------------------------------------------------------------------

MISSPELT = {
    "trainer.lrr=1e-4": ("trainer.lrr", "trainer.lr"),
    "trainer.max_step=3": ("trainer.max_step", "trainer.max_steps"),
    "batchin.max_tokens=512": ("batchin.max_tokens", "batching.max_tokens"),
    "engine.dtpe=bf16": ("engine.dtpe", "engine.dtype"),
    "max_steps=3": ("max_steps", "trainer.max_steps, collect.limits.max_steps, app.max_steps or episode.max_steps"),
    "+trainer.lrr=1": ("trainer.lrr", "trainer.lr"),
    "++trainer.lrr=1": ("trainer.lrr", "trainer.lr"),
    "~trainer.lrr": ("trainer.lrr", "trainer.lr"),
    "model.lora.rnk=4": ("model.lora.rnk", "model.lora.rank"),
    "model.lora={rnk: 4}": ("model.lora.rnk", "model.lora.rank"),
    "trainer={lrr: 1}": ("trainer.lrr", "trainer.lr"),
    "evaluate.resample=5": ("evaluate.resample", "evaluate.resamples"),
    "rundir=x": ("rundir", "run_dir"),
    "sise=laptop": ("sise", "size"),
    "hydr=1": ("hydr", ""),
    "hydraulics=1": ("hydraulics", ""),
}


@pytest.mark.parametrize("override", MISSPELT)
def test_a_misspelt_key_on_the_command_line_is_refused_with_the_nearest_one(override, refused):
    key, nearest = MISSPELT[override]
    said = refused("+recipe=phase1", "model=tiny", override)
    assert f"unknown setting {key}" in said
    assert not nearest or said.rstrip().endswith(f"unknown setting {key}; did you mean {nearest}?")


@pytest.mark.parametrize(
    ("override", "nearest"),
    [("model=tinny", "tiny"), ("engine=zero9", "zero"), ("tracker=wandbb", "wandb"), ("data=colected", "collected")],
)
def test_a_misspelt_option_is_refused_with_the_nearest_one_and_all_there_are(override, nearest, refused):
    said = refused("+recipe=phase1", override)
    assert f"{override}: no such option. Did you mean {nearest}" in said
    group = override.partition("=")[0]
    assert all(option.partition("=")[2] in said for option in OPTIONS if option.startswith(f"{group}="))


def test_a_misspelt_recipe_is_refused_with_the_nearest_one_and_all_there_are(refused):
    said = refused("+recipe=phase_1")
    assert "recipe=phase_1: no such recipe; did you mean phase1?" in said
    assert all(name in said for name in RECIPES)
    assert "no recipe: add +recipe=NAME" in refused("model=tiny")


@pytest.mark.parametrize(
    ("files", "key", "nearest"),
    [
        ({"mine": MINE.replace("  lr:", "  lrr:")}, "trainer.lrr", "trainer.lr"),
        ({"mine": MINE + "batchin:\n  max_tokens: 5\n"}, "batchin.max_tokens", "batching.max_tokens"),
        ({"mine": MINE + "model:\n  lora:\n    rnk: 4\n"}, "model.lora.rnk", "model.lora.rank"),
        ({"mine": MINE + "inspct: true\n"}, "inspct", "inspect"),
        ({"mine": MINE, "model__mine": "source: tiny\npaht: x\n"}, "model.paht", "model.path"),
    ],
)
def test_a_misspelt_key_in_a_yaml_is_refused_with_the_nearest_one(files, key, nearest, refused, tmp_path):
    folder = write_config(tmp_path, **{"model__mine": "source: tiny\n", **files})
    said = refused("+recipe=mine", "--config-dir", str(folder))
    assert said.rstrip().endswith(f"unknown setting {key}; did you mean {nearest}?")


def test_a_dotted_key_in_a_yaml_is_refused_not_ignored(refused, tmp_path):
    folder = write_config(tmp_path, mine="run: task_plan\ntrainer.lr: 3\n")
    assert "trainer.lr=3: extra inputs are not permitted" in refused("+recipe=mine", "--config-dir", str(folder))


def test_every_key_is_known_by_its_own_name():
    keys = list(known_keys())
    assert len(keys) == len(set(keys)) > 40
    assert {"model.lora.rank", "trainer.lr", "evaluate.limit"} <= set(keys)


# What is of a wrong type, or impossible -----------------------------------------------------------------------------

IMPOSSIBLE = {
    "trainer.batch_size=abc": "trainer.batch_size=abc: input should be a valid integer",
    "trainer.batch_size=1.5": "trainer.batch_size=1.5: input should be a valid integer",
    "trainer.batch_size=true": "trainer.batch_size=True: input should be a valid integer",
    "trainer.batch_size=0": "trainer.batch_size=0: input should be greater than 0",
    "trainer.lr=fast": "trainer.lr=fast: input should be a valid number",
    "trainer.lr=-1": "trainer.lr=-1: input should be greater than 0",
    "trainer.lr=nan": "trainer.lr=nan: input should be a finite number",
    "trainer.lr=inf": "trainer.lr=inf: input should be a finite number",
    "trainer.lr=null": "trainer.lr=None: input should be a valid number",
    "trainer.lr='1e-4'": "trainer.lr=1e-4: input should be a valid number",
    "trainer.lr=1e-4,1e-5": "Ambiguous value for argument '++trainer.lr=1e-4,1e-5'",
    "batching.max_tokens=-5": "batching.max_tokens=-5: input should be greater than 0",
    "engine.dtype=fp8": "engine.dtype=fp8: input should be 'auto', 'fp32' or 'bf16'",
    "engine.zero_stage=7": "engine.zero_stage=7: input should be less than or equal to 3",
    "engine.offload=cpu": "engine.offload=cpu needs zero_stage 2 or 3",
    "engine.sequence_parallel=2": "engine.sequence_parallel=2: so many processes share each row, and 1 cannot be dealt",
    "data.on_bad_record=ignore": "data.on_bad_record=ignore: input should be 'refuse' or 'skip'",
    "data.train=[a, 3]": "data.train=['a', 3]: input should be a valid string",
    "launch.processes=many": "launch.processes=many: input should be a valid integer",
    "launch.processes=0": "launch.processes=0: input should be greater than 0",
    "model.lora.rank=0": "model.lora.rank=0: input should be greater than 0",
    "model.lora.dropout=1": "model.lora.dropout=1: input should be less than 1",
    "inspect=maybe": "inspect=maybe: input should be a valid boolean",
    "trainer=5": "trainer=5: input should be a valid dictionary",
    "run=phase1": "run=phase1: input should be 'task_plan'",
    "resume=runs/nothing": "resume=runs/nothing: no such path; give a checkpoint, a run directory, auto or never",
    "data.train=???": "data.train",
    "data.train=${nothing}": "Interpolation key 'nothing' not found",
    "trainer.lr": "'trainer.lr' is not KEY=VALUE",
    "data.train=Bücher.jsonl": """goes in quotes of its own, e.g. 'data.train="/data/Bücher/x.jsonl"'""",
}


@pytest.mark.parametrize("override", IMPOSSIBLE)
def test_a_wrong_value_is_refused_with_its_full_key_before_anything_is_loaded(override, refused):
    assert IMPOSSIBLE[override] in refused("+recipe=phase1", "model=tiny", "engine=zero0", override)


def test_a_batch_that_does_not_divide_by_the_processes_is_refused_before_they_are_started(refused, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    said = refused("+recipe=phase1", "model=tiny", "trainer.batch_size=3", "launch.processes=2")
    assert "trainer.batch_size=3: not divisible by 2 processes" in said


def test_the_guard_of_these_tests_is_real(refused):
    """A recipe without a mistake does get as far as loading."""
    with pytest.raises(AssertionError, match="something was loaded"):
        refused("+recipe=phase1", "model=tiny", "launch.processes=1")


def test_what_must_be_quoted_can_be_quoted():
    assert compose_recipe(["+recipe=phase1", 'data.train="/tmp/Bücher, [1]=a.jsonl"']).data.train == (
        "/tmp/Bücher, [1]=a.jsonl"
    )
    assert compose_recipe(["+recipe=phase1", "data.train=hf:someone/plans:dev"]).data.train == "hf:someone/plans:dev"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: [\n", "mine.yaml: while parsing"),
        ("- a\n- b\n", "mine.yaml: a recipe holds KEY: VALUE lines, not a list"),
        ("run: task_plan\nrun: export\n", "duplicate key run"),
        ("", "run: field required"),
        ("trainer: {lr: 1e-4}\n", "run: field required"),
        ("run: task_plan\ntrainer: {lr: fast}\n", "trainer.lr=fast: input should be a valid number"),
        ("defaults:\n  - override /model: tinny\nrun: task_plan\n", "model=tinny: no such option. Did you mean tiny?"),
    ],
)
def test_a_recipe_of_ones_own_that_is_no_recipe_is_refused(text, said, refused, tmp_path):
    assert said in refused("+recipe=mine", "--config-dir", str(write_config(tmp_path, mine=text)))


# One's own folder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conf", "my conf", "a,b=c", "a(b)[c]{d}", "Bücher", "it's"])
def test_a_folder_of_ones_own_brings_recipes_and_group_options(name, tmp_path):
    folder = write_config(tmp_path / name, mine=MINE, model__mine="source: tiny\nlora: null\n")
    recipe = compose_recipe(["+recipe=mine"], folder)
    assert (recipe.name, recipe.model.source, recipe.engine.zero_stage) == ("mine", "tiny", 2)
    assert (recipe.trainer.lr, recipe.trainer.max_steps, recipe.trainer.epochs) == (1e-4, 7, 3)
    recipe = compose_recipe(["+recipe=mine", "engine=zero3", "trainer.lr=5e-5", "model.lora.rank=4"], folder)
    assert (recipe.engine.zero_stage, recipe.trainer.lr, recipe.model.lora.rank) == (3, 5e-5, 4)
    assert compose_recipe(["+recipe=phase1", "model=mine"], folder).model.source == "tiny"


def test_a_recipe_of_ones_own_can_stand_on_a_shipped_one(tmp_path):
    text = "defaults:\n  - /recipe@_global_: phase1_small\n  - _self_\ntrainer:\n  epochs: 9\n"
    recipe = compose_recipe(["+recipe=mine"], write_config(tmp_path, mine=text))
    assert (recipe.name, recipe.run, recipe.trainer.epochs, recipe.trainer.lr) == ("mine", "task_plan", 9, 3e-4)


def test_a_missing_folder_is_refused(refused):
    assert "--config-dir nowhere: no such folder" in refused("+recipe=phase1", "--config-dir", "nowhere")


# Help ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_each_recipe_with_its_line_and_each_option(flag, capsys):
    assert main([flag]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for name, file in RECIPES.items():
        assert f"{name} {description(file)}" in lines
    assert all(option.partition("=")[2] in " ".join(lines) for option in OPTIONS)


def test_help_lists_recipes_of_ones_own(tmp_path, capsys):
    assert main(["--help", "--config-dir", str(write_config(tmp_path, mine=MINE))]) == 0
    assert "A recipe of my own" in capsys.readouterr().out


def test_no_arguments_show_the_help_and_end_with_status_2(capsys):
    assert main([]) == 2
    assert "usage: python -m lam_train +recipe=NAME" in capsys.readouterr().out


def test_an_error_is_a_user_error_with_status_2():
    with pytest.raises(UserError) as error:
        compose_recipe(["+recipe=phase1", "trainer.lrr=1"])
    assert error.value.exit_status == 2
