"""TRL's SFTTrainer on given samples: trl_sft.py MODEL_FOLDER SAMPLES.jsonl OUTPUT.json [settings]

A line of SAMPLES.jsonl is one optimizer step: a list of {"input_ids": [...], "labels": [...]}. Everything is TRL's own,
its packing and its loss too; the learning rate is so small that no weight moves, so that losses can be compared. Every
sample is learned once; packed rows do not end where steps do, so the last step may have fewer (`whole`: false).
A step's seconds go from the end of the step before to its own end: loading, forward, backward, update.
"""

import argparse
import json
import os
import socket
import time
from pathlib import Path

import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_begin(self, *_args, **_kwargs) -> None:
        self.ends.append(time.perf_counter())

    def on_step_end(self, *_args, **_kwargs) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


class Counting:
    """A collator that counts what it hands over, micro-batch by micro-batch."""

    def __init__(self, collator) -> None:
        self.collator, self.counts = collator, []

    def __call__(self, examples):
        batch = self.collator(examples)
        read = sum(len(example["input_ids"]) for example in examples)
        supervised = int((batch["labels"][..., 1:] != -100).sum())
        documents = [n for example in examples for n in example.get("seq_lengths", [len(example["input_ids"])])]
        attended = sum(n * (n + 1) // 2 for n in documents)
        physical = batch["input_ids"].numel()
        self.counts.append({"logical": read, "physical": physical, "supervised": supervised, "attended": attended})
        return batch


class InOrder(SFTTrainer):
    """The samples in the order of the file."""

    def _get_train_sampler(self, *_args, **_kwargs):
        return SequentialSampler(self.train_dataset)


DEEPSPEED = {
    "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto", "gradient_clipping": "auto",
    "bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}, "zero_optimization": {"stage": 1},
    "zero_force_ds_cpu_optimizer": False, "zero_allow_untested_optimizer": True,
}  # fmt: skip


def main() -> None:
    args = parsed()
    if args.deepspeed:
        alone()
    steps = [json.loads(line) for line in args.samples.read_text().splitlines()]
    if args.sorted and not args.packing:
        steps = [sorted(step, key=lambda sample: len(sample["input_ids"])) for step in steps]
    dataset = Dataset.from_list([sample for step in steps for sample in step])
    dtype = torch.bfloat16 if args.precision == "pure" or args.deepspeed else torch.float32
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype, attn_implementation=args.attention)
    tokenizer = AutoTokenizer.from_pretrained(args.model)

    def trainer_of(accumulation: int) -> InOrder:
        config = config_of(args, accumulation)
        made = InOrder(model, config, train_dataset=dataset, processing_class=tokenizer)
        made.data_collator = Counting(made.data_collator)
        return made

    accumulation = -(-len(steps[0]) // args.batch)
    if args.packing:  # so many rows a step that there are no more steps
        rows = len(trainer_of(1).train_dataset)
        accumulation = -(-rows // (len(steps) * args.batch))
    trainer, clock = trainer_of(accumulation), Clock()
    trainer.add_callback(clock)
    trainer.train()
    gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    args.output.write_text(json.dumps({"steps": rows_of(trainer, clock, accumulation), "gpu_memory_gib": gpu}))


def alone() -> None:
    """What a launcher tells a world of one: without it DeepSpeed asks for MPI."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in world.items()})


def config_of(args, accumulation: int) -> SFTConfig:
    return SFTConfig(
        output_dir=str(args.output) + ".trl", per_device_train_batch_size=args.batch,
        gradient_accumulation_steps=accumulation, num_train_epochs=1, learning_rate=1e-12,
        lr_scheduler_type="constant", warmup_steps=0, logging_steps=1, save_strategy="no", report_to="none",
        disable_tqdm=True, packing=bool(args.packing), packing_strategy=args.packing or "bfd",
        max_length=args.length, bf16=args.precision == "autocast" or args.deepspeed, shuffle_dataset=False,
        use_cpu=not torch.cuda.is_available(), gradient_checkpointing=False, max_grad_norm=1.0,
        use_liger_kernel=args.liger, deepspeed=DEEPSPEED if args.deepspeed else None,
        optim="adamw_torch_fused", seed=0,
    )  # fmt: skip


def rows_of(trainer: SFTTrainer, clock: Clock, accumulation: int) -> list[dict]:
    """One row an optimizer step: seconds, loss, tokens."""
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    counts, found = trainer.data_collator.counts, []
    for place, loss in enumerate(losses):
        mine = counts[place * accumulation : (place + 1) * accumulation]
        sums = {key: sum(count[key] for count in mine) for key in counts[0]}
        seconds, whole = clock.ends[place + 1] - clock.ends[place], len(mine) == accumulation
        found.append({"seconds": seconds, "loss": loss, "whole": whole, **sums})
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("samples", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch", type=int, default=1, help="samples, or packed rows, in a micro-batch")
    parser.add_argument("--sorted", action="store_true", help="neighbours of like length within a step: less padding")
    parser.add_argument("--packing", default="", help="bfd: rows of --length tokens; else padded")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--precision", choices=["autocast", "pure", "fp32"], default="autocast")
    parser.add_argument("--deepspeed", action="store_true", help="ZeRO-1, bf16 with fp32 master weights")
    parser.add_argument("--liger", action="store_true")
    parser.add_argument("--attention", default="sdpa")
    return parser.parse_args()


if __name__ == "__main__":
    main()
