"""What a model gives where all ranks share its rows: sequence_driver.py OUTPUT.pt, in a torchrun world.

OUTPUT.pt: case -> what `tests.sequence_cases.learned` gives, the gradients summed over the ranks.
"""

import os
import sys

import torch

from lam_train.train.distributed import LaunchSettings, join_world, leave_world
from lam_train.train.engine import share_rows
from tests.sequence_cases import CASES, learned, made


def main(output: str) -> None:
    world = join_world(LaunchSettings(threads=1), sequence_parallel=int(os.environ["WORLD_SIZE"]))
    found = {}
    for name, case in CASES.items():
        outputs, gradients = learned(share_rows(made(case), world), case)
        for gradient in gradients.values():
            torch.distributed.all_reduce(gradient)
        found[name] = outputs, gradients
    if world.leads:
        torch.save(found, output)
    leave_world()


if __name__ == "__main__":
    main(sys.argv[1])
