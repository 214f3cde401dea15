"""Counts what collectives carry in an optimizer step: traffic_driver.py CASES.json OUTPUT.json, in a torchrun world.

OUTPUT.json: name -> {"micro_batches", "parameters", "bytes": {collective: bytes of its whole tensor}, "rows": [(tokens,
targets)]} of the last step.
Small models are trained as large ones are: stage 3 keeps no weight between its uses.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import torch.distributed

BYTES: Counter[str] = Counter()
TENSOR = ("tensor", "output_tensor", "input", "output", "input_tensor")
COLLECTIVES = {  # what a ring sends for them, in units of tensor x (ranks - 1) / ranks; the argument with that tensor
    "all_reduce": "tensor", "all_gather_into_tensor": "output_tensor", "reduce_scatter_tensor": "input",
    "all_gather": "tensor_list", "reduce": "tensor", "all_to_all_single": "output",
}  # fmt: skip


def count(name: str, argument: str) -> None:
    """Wraps a collective of torch.distributed before DeepSpeed takes it."""
    original = getattr(torch.distributed, name)
    place = 1 if name == "reduce_scatter_tensor" else 0

    def counting(*args, **kwargs):
        tensor = args[place] if len(args) > place else kwargs[argument]
        for one in tensor if isinstance(tensor, list) else [tensor]:
            BYTES[name] += one.numel() * one.element_size()
        return original(*args, **kwargs)

    setattr(torch.distributed, name, counting)


for collective, named in COLLECTIVES.items():
    count(collective, named)

from lam_train.phases.imitation import train
from lam_train.recipe import compose_recipe
from lam_train.train import engine, trainer
from lam_train.train.distributed import join_world, leader_does, leave_world
from lam_train.train.run_directory import RunDirectory

KEPT = ("stage3_max_live_parameters", "stage3_max_reuse_distance", "stage3_param_persistence_threshold")


def main(cases: dict[str, list[str]], output: Path) -> None:
    found: dict[str, dict] = {}
    last: dict = {}
    step, config = trainer.Trainer._train_step, engine.deepspeed_config

    def counted_step(self, batch, begun):
        BYTES.clear()
        row = step(self, batch, begun)
        parameters = sum(getattr(p, "ds_numel", p.numel()) for p in self.engine.module.parameters())
        rows = [(len(pack.tokens), len(pack.targets)) for pack in batch.packs]
        last.update(micro_batches=len(batch.packs), parameters=parameters, bytes=dict(BYTES), rows=rows)
        return row

    def large(settings, clipping):
        made = config(settings, clipping)
        if made["zero_optimization"]["stage"] == 3:
            made["zero_optimization"] |= dict.fromkeys(KEPT, 0)
        return made

    trainer.Trainer._train_step, engine.deepspeed_config = counted_step, large
    for name, overrides in cases.items():
        recipe = compose_recipe(overrides)
        world = join_world(recipe.launch, recipe.engine.sequence_parallel)
        run_dir = RunDirectory(Path(recipe.run_dir))
        leader_does(run_dir.open)
        train(recipe, run_dir, world, "a test")
        run_dir.close()
        found[name] = dict(last)
    if world.leads:
        output.write_text(json.dumps(found))
    leave_world()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
