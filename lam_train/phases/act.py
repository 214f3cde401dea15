"""Act in a document of the user's own."""

from pathlib import Path

from lam_train.agent.act import act, the_document
from lam_train.agent.open_policy import open_policy
from lam_train.apps.application import Application
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def check(recipe: Recipe) -> None:
    """Raises UserError for a request or document that cannot be acted on; before anything is written or loaded."""
    the_document(recipe.act, Path(recipe.run_dir).expanduser() if recipe.run_dir else None)


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Does `act.request` in Writer; the document goes to the run directory."""

    def open_writer(folder: Path) -> Application:
        from lam_train.apps.writer.environment import WriterEnvironment

        return WriterEnvironment(recipe.app, folder)

    policy = open_policy(recipe.policy, recipe.model, recipe.format, "writer")
    act(recipe.act, policy, open_writer, recipe.episode, run_dir.path)
