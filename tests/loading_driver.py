"""What a rank comes to hold while it loads a model: loading_driver.py OUTPUT_FOLDER OVERRIDES..., in a torchrun world.

OUTPUT_FOLDER/RANK.json: {"held": bytes of its own memory at most, beyond what it had before, "parts": parameters' bytes
that it holds in the end}. Pages of the file with the weights are the system's to drop, and do not count.
"""

import json
import sys
import threading
from pathlib import Path

import torch
from transformers.models.llama import modeling_llama  # noqa: F401  loading imports it: code is not what is counted

from lam_train.phases.training import load_learner
from lam_train.recipe import compose_recipe
from lam_train.train.distributed import join_world, leave_world
from lam_train.train.engine import load_deepspeed


def own_memory() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) * 1024


def main(output: Path, overrides: list[str]) -> None:
    recipe = compose_recipe(overrides)
    world = join_world(recipe.launch)
    load_deepspeed()
    before, most, done = own_memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    model = load_learner(recipe)
    done.set()
    watcher.join()
    parts = sum(getattr(p, "ds_tensor", p).numel() * p.element_size() for p in model.parameters())
    torch.distributed.barrier()
    (output / f"{world.rank}.json").write_text(json.dumps({"held": most - before, "parts": parts}))
    leave_world()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
