"""Runs several trainings in one world of real DeepSpeed processes: driver.py CASES.json, name -> overrides."""

import json
import sys
from pathlib import Path

from lam_train.__main__ import start_logging
from lam_train.phases.imitation import train
from lam_train.phases.run import check_sizes
from lam_train.recipe import compose_recipe
from lam_train.train.distributed import join_world, leader_does, leave_world
from lam_train.train.run_directory import RunDirectory


def main(cases: dict[str, list[str]]) -> None:
    start_logging()
    for overrides in cases.values():
        recipe = compose_recipe(overrides)
        check_sizes(recipe)
        world = join_world(recipe.launch, recipe.engine.sequence_parallel)
        run_dir = RunDirectory(Path(recipe.run_dir))
        leader_does(run_dir.open)
        train(recipe, run_dir, world, "a test")
        run_dir.close()
    leave_world()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
