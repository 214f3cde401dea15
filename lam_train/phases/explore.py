"""Let a model try the tasks that the expert failed (phase 3's data; the paper, section 4.3)."""

from lam_train.agent.open_policy import open_policy
from lam_train.agent.policy import Policy
from lam_train.agent.trained_format import trained_format
from lam_train.collect.exploration.explore import explore
from lam_train.errors import UserError
from lam_train.evaluate.acting import model_identity
from lam_train.model.load import ModelSettings, resolve_folder
from lam_train.phases.acting import answering
from lam_train.phases.collect import environments_of
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Explores into `explore.output`; the run directory holds recipe, versions and log."""
    sampling = recipe.policy.local
    if recipe.policy.kind == "local" and sampling.temperature == 0 and recipe.explore.rollouts > 1:
        raise UserError(
            f"policy.local.temperature=0 with explore.rollouts={recipe.explore.rollouts}: all attempts at a task would "
            "be the same; set a temperature above 0, or explore.rollouts=1"
        )

    def load_policy(made: int) -> Policy:
        local = sampling.model_copy(update={"seed": sampling.seed + made})
        policy = recipe.policy.model_copy(update={"local": local})
        return open_policy(policy, recipe.model, recipe.format, recipe.trajectories.application)

    explore(
        recipe.explore,
        load_policy,
        lambda: environments_of(recipe),
        recipe.episode,
        {"policy": who_acts(recipe)},
        {name: getattr(recipe, name).model_dump() for name in ("explore", "policy", "episode")},
    )


def who_acts(recipe: Recipe) -> str:
    """The policy of a recipe, so that a folder's episodes are by one: a local model with its digest and sampling."""
    policy = recipe.policy
    if policy.kind == "expert":
        return "the embedded expert"
    if policy.kind == "endpoint":
        return f"{policy.endpoint.model} at {policy.endpoint.base_url}"
    model = recipe.model if policy.path is None else ModelSettings(path=policy.path)
    folder = resolve_folder(model) or model.source
    return f"{model_identity(folder)}{answering(recipe, trained_format(folder) or recipe.format)}"
