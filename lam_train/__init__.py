"""lam_train trains Large Action Models: language models that act in an application."""

from pathlib import Path

__version__ = "0.1.0"


def run(*overrides: str, config_dir: str | Path | None = None) -> None:
    """Runs a recipe from Python, as in a notebook: `run("+recipe=phase1", "model=tiny", "run_dir=runs/try")`.

    What `python -m lam_train OVERRIDES` does, in this process where one is enough. Raises UserError for a mistake in
    settings, data or files, and Fault for what went wrong on the way, where the command ends with status 2 and 1.
    """
    from lam_train.__main__ import start_logging
    from lam_train.errors import Fault
    from lam_train.phases.run import run as run_recipe
    from lam_train.recipe import compose_recipe

    start_logging()
    folder = Path(config_dir) if config_dir is not None else None
    arguments = [*overrides, *(["--config-dir", str(folder)] if folder else [])]
    if run_recipe(compose_recipe(overrides, folder), arguments):
        raise Fault(f"{' '.join(arguments)}: a process of it failed; what it said is above")
