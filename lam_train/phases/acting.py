"""What the evaluations of acting share: which policies a recipe compares."""

from lam_train.agent.open_policy import PolicySettings, open_policy
from lam_train.errors import UserError
from lam_train.evaluate.acting import ActingSettings, LoadPolicy, model_identity
from lam_train.evaluate.online import EXPERT
from lam_train.model.load import ModelSettings, resolve_folder
from lam_train.recipe import Recipe

ENDPOINT = "endpoint"


def policies_of(recipe: Recipe, settings: ActingSettings, expert: bool) -> tuple[dict[str, LoadPolicy], dict[str, str]]:
    """(name -> what loads the policy, name -> who that is, for the folder's memory).

    The expert first, then the models in their order, then the endpoint of `policy.endpoint`, if any. Raises UserError
    for a model's folder that is not there, before anything is loaded.
    """
    policies: dict[str, PolicySettings] = {}
    identities: dict[str, str] = {}
    if expert:
        policies[EXPERT] = recipe.policy.model_copy(update={"kind": "expert"})
        identities[EXPERT] = "the embedded expert"
    for name, path in settings.models.items():
        if name in (EXPERT, ENDPOINT):
            raise UserError(f"models.{name}: the name is taken by another row; choose another")
        resolve_folder(recipe.model if path is None else ModelSettings(path=path))
        policies[name] = recipe.policy.model_copy(update={"kind": "local", "path": path, "name": name})
        identities[name] = model_identity(path)
    if recipe.policy.endpoint is not None:
        policies[ENDPOINT] = recipe.policy.model_copy(update={"kind": "endpoint", "name": ENDPOINT})
        identities[ENDPOINT] = f"{recipe.policy.endpoint.model} at {recipe.policy.endpoint.base_url}"

    def load(policy: PolicySettings) -> LoadPolicy:
        return lambda: open_policy(policy, recipe.model, recipe.format, "writer")

    return {name: load(policy) for name, policy in policies.items()}, identities
