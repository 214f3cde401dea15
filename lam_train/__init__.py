"""lam_train trains Large Action Models: language models that act in an application."""

import shlex
from pathlib import Path

__version__ = "0.1.0"


def run(*overrides: str, config_dir: str | Path | None = None) -> None:
    """Runs a recipe from Python, as in a notebook: `run("+recipe=phase1", "model=tiny", "run_dir=runs/try")`.

    What `python -m lam_train OVERRIDES` does, in this process where one is enough. Raises UserError for a mistake in
    settings, data or files, and Fault for what went wrong on the way, where the command ends with status 2 and 1; of
    Fault, Preempted where a signal ended a training behind a checkpoint, and the command with 75.
    """
    from lam_train.__main__ import config_folder, start_logging
    from lam_train.phases.run import run as run_recipe
    from lam_train.recipe import compose_recipe
    from lam_train.train.distributed import must_have_ended_well

    start_logging()
    folder = config_folder(config_dir)
    arguments = [*overrides, *(["--config-dir", str(folder)] if folder else [])]
    must_have_ended_well(run_recipe(compose_recipe(overrides, folder), arguments), shlex.join(arguments))
