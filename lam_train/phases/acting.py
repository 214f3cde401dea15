"""What the evaluations of acting share: which policies a recipe compares."""

from collections.abc import Collection

from lam_train.agent.open_policy import PolicySettings, open_policy
from lam_train.errors import UserError
from lam_train.evaluate.acting import ActingSettings, LoadPolicy, model_identity
from lam_train.evaluate.online import EXPERT
from lam_train.model.load import ModelSettings, resolve_folder
from lam_train.recipe import Recipe
from lam_train.settings import Settings

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
    if expert:
        policies[EXPERT] = recipe.policy.model_copy(update={"kind": "expert"})
        identities[EXPERT] = "the embedded expert"
    for name, path in settings.models.items():
        if name in (EXPERT, ENDPOINT):
            raise UserError(f"models.{name}: the name is taken by another row; choose another")
        model = recipe.model if path is None else ModelSettings(path=path)
        policies[name] = recipe.policy.model_copy(update={"kind": "local", "path": path, "name": name})
        identities[name] = f"{model_identity(resolve_folder(model) or model.source)}{_answering(recipe)}"
    if recipe.policy.endpoint is not None:
        policies[ENDPOINT] = recipe.policy.model_copy(update={"kind": "endpoint", "name": ENDPOINT})
        identities[ENDPOINT] = f"{recipe.policy.endpoint.model} at {recipe.policy.endpoint.base_url}"

    if episodes:
        identities["every episode"] = _set(recipe.episode) or "the default settings"

    def load(policy: PolicySettings) -> LoadPolicy:
        return lambda: open_policy(policy, recipe.model, recipe.format, "writer")

    return {name: load(policy) for name, policy in policies.items()}, identities


def _answering(recipe: Recipe) -> str:
    """The settings that decide what a model answers, where they are not the defaults."""
    faster = {"batch_size", "prefix_cache_tokens", "device"}  # change no answer, but for rounding
    return "".join(f", {words}" for words in (_set(recipe.format), _set(recipe.policy.local, faster)) if words)


def _set(settings: Settings, without: Collection[str] = ()) -> str:
    """`kind=compact history=2`: what differs from the defaults."""
    defaults = type(settings)().model_dump()
    found = settings.model_dump().items()
    return " ".join(f"{name}={value}" for name, value in found if name not in without and value != defaults[name])
