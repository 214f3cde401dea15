"""What the evaluations of acting share: which policies a recipe compares."""

import logging
from collections.abc import Collection

from lam_train.agent.open_policy import PolicySettings, open_policy
from lam_train.agent.trained_format import trained_format
from lam_train.errors import UserError
from lam_train.evaluate.acting import ActingSettings, LoadPolicy, model_identity
from lam_train.evaluate.online_scores import EXPERT
from lam_train.language.step_format import StepFormat
from lam_train.model.load import ModelSettings, resolve_folder
from lam_train.recipe import Recipe
from lam_train.settings import Settings

log = logging.getLogger(__name__)

ENDPOINT = "endpoint"


def policies_of(
    recipe: Recipe, settings: ActingSettings, *, expert: bool, episodes: bool
) -> tuple[dict[str, LoadPolicy], dict[str, str]]:
    """(name -> what loads the policy, name -> who that is and how it answers, for the folder's memory).

    `expert`: with a row of its own; `episodes`: how episodes end matters too. The expert comes first, then the models
    in their order, then the endpoint of `policy.endpoint`, if any. Raises UserError for a model's folder that is not
    there, before anything is loaded.
    """
    policies: dict[str, PolicySettings] = {}
    identities: dict[str, str] = {}
    formats = formats_of(recipe, settings)
    if expert:
        policies[EXPERT] = recipe.policy.model_copy(update={"kind": "expert"})
        identities[EXPERT] = "the embedded expert"
    for name, path in settings.models.items():
        if name in (EXPERT, ENDPOINT):
            raise UserError(f"models.{name}: the name is taken by another row; choose another")
        model = recipe.model if path is None else ModelSettings(path=path)
        policies[name] = recipe.policy.model_copy(update={"kind": "local", "path": path, "name": name})
        folder = folder_of(f"evaluate_{'online' if episodes else 'offline'}.models.{name}", model)
        identities[name] = f"{model_identity(folder or model.source)}{answering(recipe, formats[name])}"
    if recipe.policy.endpoint is not None:
        policies[ENDPOINT] = recipe.policy.model_copy(update={"kind": "endpoint", "name": ENDPOINT})
        identities[ENDPOINT] = f"{recipe.policy.endpoint.model} at {recipe.policy.endpoint.base_url}"
    if episodes:
        identities["every episode"] = _set(recipe.episode) or "the default settings"

    def load(name: str) -> LoadPolicy:
        return lambda: open_policy(policies[name], recipe.model, formats.get(name, recipe.format), "writer")

    return {name: load(name) for name in policies}, identities


def folder_of(row: str, model: ModelSettings) -> str | None:
    """`resolve_folder` of an evaluation's row; where it is missing, the row is told, and how to do without it."""
    try:
        return resolve_folder(model)
    except UserError as error:
        raise UserError(f"{row}: {error}; '~{row}' leaves the row out") from None


def formats_of(recipe: Recipe, settings: ActingSettings) -> dict[str, StepFormat]:
    """Name of a model -> how steps are written for it: as in its training, where its folder says how.

    For the others it is the recipe's `format`; where that has nothing but defaults, the first trained model's, so that
    all are shown the same.
    """
    trained = {name: trained_format(path) for name, path in settings.models.items()}
    known = {name: found for name, found in trained.items() if found is not None}
    default = next(iter(known.values()), recipe.format) if recipe.format == StepFormat() else recipe.format
    for name, found in known.items():
        if found != default:
            log.warning("%s is shown steps as in its training (%s), not as the others", name, _set(found) or "paper")
    return {name: known.get(name, default) for name in settings.models}


def answering(recipe: Recipe, format: StepFormat) -> str:
    """The settings that decide what a model answers, where they are not the defaults."""
    # these change no answer, but for rounding
    faster = {"batch_size", "prefix_cache_tokens", "speculative_tokens", "cuda_graphs", "device"}
    best = recipe.policy
    chosen = f"best of {best.best_of} by {model_identity(best.reward_model)}" if best.best_of > 1 else ""
    return "".join(f", {words}" for words in (_set(format), _set(recipe.policy.local, faster), chosen) if words)


def _set(settings: Settings, without: Collection[str] = ()) -> str:
    """`kind=compact history=2`: what differs from the defaults."""
    defaults = type(settings)().model_dump()
    found = settings.model_dump().items()
    return " ".join(f"{name}={value}" for name, value in found if name not in without and value != defaults[name])
