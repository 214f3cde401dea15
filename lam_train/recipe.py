"""A recipe: its typed schema, how Hydra composes it, and what is said when it is wrong."""

import difflib
import re
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from lam_train.agent.act import ActSettings
from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy_settings import PolicySettings
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.generate import TaskSettings
from lam_train.apps.writer.walk.settings import EvolveWalkSettings, WalkSettings
from lam_train.batching.layout import BatchingSettings
from lam_train.collect.evolve.evolve_plans import EvolvePlansSettings
from lam_train.collect.evolve.validated import EvolveTasksSettings
from lam_train.collect.exploration.completable import CompletableSettings
from lam_train.collect.exploration.explore import ExploreSettings
from lam_train.collect.pipeline import CollectSettings
from lam_train.collect.trajectories.experts import ExpertSettings
from lam_train.collect.trajectories.pipeline import CollectTrajectoriesSettings
from lam_train.errors import UserError
from lam_train.evaluate.offline import EvaluateOfflineSettings
from lam_train.evaluate.online import EvaluateOnlineSettings
from lam_train.evaluate.plans import EvaluateSettings
from lam_train.evaluate.reward_scores import EvaluateRewardSettings
from lam_train.language.data import DataSettings
from lam_train.language.step_format import StepFormat
from lam_train.model.load import ModelSettings
from lam_train.objectives.credit import RewardSettings
from lam_train.objectives.ppo_settings import PpoSettings
from lam_train.phases.rounds_settings import RoundsSettings
from lam_train.phases.stage_settings import CurriculumSettings, StageSettings
from lam_train.report.ladder_settings import LadderSettings
from lam_train.settings import Settings
from lam_train.train.checkpoint import CheckpointSettings
from lam_train.train.distributed import LaunchSettings
from lam_train.train.engine import EngineSettings
from lam_train.train.export import ExportSettings
from lam_train.train.trackers import TrackerSettings
from lam_train.train.trainer import TrainerSettings

Run = Literal[
    "task_plan",
    "expert_imitation",
    "self_boosting",
    "reward_model",
    "offline_ppo",
    "collect_plans",
    "collect_application_plans",
    "evolve_application_plans",
    "make_tasks",
    "collect",
    "evolve_tasks",
    "evolve_plans",
    "explore",
    "replay_failures",
    "evaluate_plans",
    "evaluate_offline",
    "evaluate_online",
    "evaluate_reward",
    "act",
    "export",
    "rounds",
    "stages",
    "ladder",
]
GROUPS = ("model", "engine", "data", "tracker", "launch", "app", "expert", "policy", "size")


class Recipe(Settings):
    """Everything that a run is told. A section is read by the component whose class it has."""

    run: Run
    """what is run"""
    name: str = ""
    """the recipe's name, set from `+recipe=NAME`"""
    run_dir: Annotated[str, Field(min_length=1)] | None = None
    """where the run writes; null: runs/NAME/TIME"""
    resume: str = "auto"
    """`auto`: go on from the newest checkpoint in run_dir, if any; `never`; or a checkpoint's or run's path"""
    inspect: bool = False
    """print what would be trained, and stop"""
    model: ModelSettings = Field(default_factory=ModelSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    data: DataSettings = Field(default_factory=DataSettings)
    format: StepFormat = Field(default_factory=StepFormat)
    tracker: TrackerSettings = Field(default_factory=TrackerSettings)
    launch: LaunchSettings = Field(default_factory=LaunchSettings)
    trainer: TrainerSettings = Field(default_factory=TrainerSettings)
    batching: BatchingSettings = Field(default_factory=BatchingSettings)
    checkpoint: CheckpointSettings = Field(default_factory=CheckpointSettings)
    export: ExportSettings = Field(default_factory=ExportSettings)
    collect: CollectSettings = Field(default_factory=CollectSettings)
    app: WriterSettings = Field(default_factory=WriterSettings)
    walk: WalkSettings = Field(default_factory=WalkSettings)
    evolve_walk: EvolveWalkSettings = Field(default_factory=EvolveWalkSettings)
    tasks: TaskSettings = Field(default_factory=TaskSettings)
    trajectories: CollectTrajectoriesSettings = Field(default_factory=CollectTrajectoriesSettings)
    evolve_tasks: EvolveTasksSettings = Field(default_factory=EvolveTasksSettings)
    evolve_plans: EvolvePlansSettings = Field(default_factory=EvolvePlansSettings)
    explore: ExploreSettings = Field(default_factory=ExploreSettings)
    completable: CompletableSettings = Field(default_factory=CompletableSettings)
    reward: RewardSettings = Field(default_factory=RewardSettings)
    ppo: PpoSettings = Field(default_factory=PpoSettings)
    expert: ExpertSettings = Field(default_factory=ExpertSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    episode: EpisodeSettings = Field(default_factory=EpisodeSettings)
    act: ActSettings = Field(default_factory=ActSettings)
    evaluate: EvaluateSettings | None = None
    stages: dict[str, StageSettings] = Field(default_factory=dict)
    """name -> recipe, in their order; each runs in run_dir/NAME"""
    results: dict[str, str] = Field(default_factory=dict)
    """path in run_dir -> what it is, said at the end"""
    rounds: RoundsSettings = Field(default_factory=RoundsSettings)
    curriculum: CurriculumSettings = Field(default_factory=CurriculumSettings)
    ladder: LadderSettings = Field(default_factory=LadderSettings)
    evaluate_offline: EvaluateOfflineSettings = Field(default_factory=EvaluateOfflineSettings)
    evaluate_online: EvaluateOnlineSettings = Field(default_factory=EvaluateOnlineSettings)
    evaluate_reward: EvaluateRewardSettings = Field(default_factory=EvaluateRewardSettings)

    _config_dir: Path | None = PrivateAttr(None)

    @property
    def config_dir(self) -> Path | None:
        """The user's folder that it was composed with, for the recipes that it runs; absolute."""
        return self._config_dir

    def yaml(self) -> str:
        """The resolved recipe."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def shipped_folder(name: str) -> Path:
    """`conf/` or `recipes/`: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def recipe_files(config_dir: Path | None = None) -> dict[str, Path]:
    """Name -> YAML of every recipe: the shipped ones, and a user's, which win."""
    folders = [shipped_folder("recipes"), *([config_dir] if config_dir else [])]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def description(file: Path) -> str:
    """The first line of a recipe, a comment that says what it does."""
    first = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def known_keys(kind: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    """The full path of every setting."""
    for name, field in kind.model_fields.items():
        yield prefix + name
        nested = settings_class(field.annotation)
        if nested is not None:
            yield from known_keys(nested, f"{prefix}{name}.")


def settings_class(annotation) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next(filter(None, map(settings_class, typing.get_args(annotation))), None)
    return None


def _is_open(path: str) -> bool:
    """Whether a key lies inside a setting that takes names of the user's own (`evaluate.models.LAM1`)."""
    kind: type[BaseModel] | None = Recipe
    for part in path.split("."):
        if kind is None:
            return True
        if part not in kind.model_fields:
            return False
        annotation = kind.model_fields[part].annotation
        kind = settings_class(annotation)
        if kind is None and typing.get_origin(annotation) is not dict:
            kind = type("Leaf", (BaseModel,), {})
    return False


def unknown_key(path: str) -> UserError:
    """The error for a key that no component reads, with the nearest one that some component does."""
    groups = [folder.name for folder in sorted(shipped_folder("conf").iterdir()) if folder.is_dir()]
    keys = list(dict.fromkeys([*known_keys(), *groups]))
    leaf = path.rpartition(".")[2]
    near = [key for key in keys if "." in key and key.endswith(f".{leaf}")] if "." not in path else []
    if len(near) > 1:  # a name without its section, which several sections have
        return UserError(f"unknown setting {path}; did you mean {', '.join(near[:-1])} or {near[-1]}?")
    near = near or difflib.get_close_matches(path, keys, n=1, cutoff=0.5)
    if not near:  # the right name in the wrong section
        leaves = {key.rpartition(".")[2]: key for key in keys}
        near = [leaves[name] for name in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.6)]
    hint = f"; did you mean {near[0]}?" if near else ""
    return UserError(f"unknown setting {path}{hint}")


def _check_override_keys(overrides: Sequence[str]) -> None:
    for override in overrides:
        try:
            parsed = OverridesParser.create().parse_override(override)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{override!r} is not KEY=VALUE: {reason}. A value with letters beyond ASCII, brackets, commas or = "
                "goes in quotes of its own, e.g. 'data.train=\"/data/Bücher/x.jsonl\"'"
            ) from None
        key = parsed.key_or_group
        if key in (*GROUPS, "recipe") or key.partition(".")[0] == "hydra":
            continue
        if key not in set(known_keys()) and not _is_open(key):
            raise unknown_key(key)


def _store_recipes(files: dict[str, Path]) -> None:
    store = ConfigStore.instance()
    for name, file in files.items():
        try:
            content = OmegaConf.load(file)
        except (yaml.YAMLError, OSError) as error:
            raise UserError(f"{file}: {error}") from None
        if not isinstance(content, DictConfig):
            raise UserError(f"{file}: a recipe holds KEY: VALUE lines, not a list")
        content = OmegaConf.merge({"name": name}, content)
        store.store(group="recipe", name=name, node=content, package="_global_")


def _flat_keys(node: dict, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict) and value and not _is_open(f"{prefix}{key}.x"):
            yield from _flat_keys(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key)


def _checked(values: dict) -> Recipe:
    """The typed recipe; the first thing that is wrong is said with its full key."""
    known = set(known_keys())
    for key in _flat_keys(values):
        if key not in known and not _is_open(key):
            raise unknown_key(key)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        while where and ".".join(where) not in known and not _is_open(".".join(where)):
            where.pop()  # pydantic adds the branch of a union to the path
        given = "" if isinstance(first["input"], dict) else f"={first['input']}"
        message = first["msg"].removeprefix("Value error, ")
        named = ".".join([*where, message.partition("=")[0]])
        if named in known:  # a check of several settings names the one that is wrong: "offload=cpu needs ..."
            raise UserError(f"{named.rpartition('.')[0]}.{message}") from None
        raise UserError(f"{'.'.join(where) or 'recipe'}{given}: {message[0].lower()}{message[1:]}") from None


def compose_recipe(overrides: Sequence[str], config_dir: Path | None = None) -> Recipe:
    """The recipe that `+recipe=NAME` and Hydra overrides give; raises UserError with key and remedy."""
    files = recipe_files(config_dir)
    chosen = [o.split("=", 1)[1] for o in overrides if o.startswith(("+recipe=", "recipe="))]
    if not chosen:
        raise UserError(f"no recipe: add +recipe=NAME, with one of {', '.join(files)}")
    if chosen[0] not in files:
        near = difflib.get_close_matches(chosen[0], files, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"recipe={chosen[0]}: no such recipe; {hint}There are {', '.join(files)}")
    _check_override_keys(overrides)
    sized = [o for o in overrides if o.startswith("size=") and o != "size=none"]
    if sized and "override /size" not in files[chosen[0]].read_text(encoding="utf-8"):
        raise UserError(f"{sized[0]}: {chosen[0]} is no curriculum; a size goes with +recipe=curriculum")
    overrides = [f"+{o}" if o.startswith("recipe=") else o for o in overrides]
    GlobalHydra.instance().clear()
    _store_recipes(files)
    search = f"hydra.searchpath=[{_quoted(f'file://{config_dir.resolve()}')}]" if config_dir else "hydra.searchpath=[]"
    try:
        with initialize_config_dir(str(shipped_folder("conf")), version_base="1.3"):
            composed = compose("config", [*map(_upsert, overrides), search])
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_hydra_message(error)) from None
    recipe = _checked(values)
    recipe._config_dir = config_dir and config_dir.absolute()
    return recipe


def _upsert(override: str) -> str:
    """A plain `a.b=c` as Hydra's add-or-override: settings that no YAML mentions have defaults in their classes."""
    key = override.split("=", 1)[0]
    if key in GROUPS or override.startswith(("+", "~")) or key.startswith("hydra"):
        return override
    return f"++{override}"


def quoted(value: str) -> str:
    """`value` as Hydra's grammar reads it: as it is where it may be, else in quotes."""
    return value if re.fullmatch(r"[A-Za-z0-9_./-]+", value) else _quoted(value)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "\\'") + "'"


def _hydra_message(error: Exception) -> str:
    """Hydra's complaint in one line; for a group's option that does not exist, the nearest and those that do."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        near = difflib.get_close_matches(option, error.options, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}? " if near else ""
        return f"{group.lstrip('/')}={option}: no such option. {hint}There are {', '.join(error.options)}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__
    if cause is not None and str(cause) not in lines[0]:
        lines.append(str(cause).splitlines()[0])
    return " ".join(lines)
