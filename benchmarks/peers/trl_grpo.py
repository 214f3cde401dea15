"""TRL's GRPO update on given answers: trl_grpo.py MODEL_FOLDER ANSWERS.jsonl OUTPUT.json [settings]

A line of ANSWERS.jsonl is one optimizer step: a list of {"prompt": [...], "answer": [...], "advantage": a}, the answers
to a state next to each other. Everything is TRL's own but the generation, whose place the given answers take: the
reference's pass, the update's passes, the update. A step's seconds go from its batch to its end.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_args, **_kwargs) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


class GivenAnswers(GRPOTrainer):
    """Takes the next step's answers instead of generating some."""

    steps: list[list[dict]]

    def _generate_and_score_completions(self, inputs):
        self.begun.append(time.perf_counter())
        answers = self.steps[len(self.begun) - 1]
        device, pad = self.accelerator.device, self.processing_class.pad_token_id or 0
        prompts, prompt_mask = padded([answer["prompt"] for answer in answers], pad, left=True)
        written, written_mask = padded([answer["answer"] for answer in answers], pad, left=False)
        made = {
            "prompt_ids": prompts.to(device), "prompt_mask": prompt_mask.to(device),
            "completion_ids": written.to(device), "completion_mask": written_mask.to(device),
            "advantages": torch.tensor([answer["advantage"] for answer in answers], device=device),
            "num_items_in_batch": written_mask.sum().to(device),
        }  # fmt: skip
        with torch.no_grad():
            reference, _, _ = self._get_per_token_logps_and_entropies(
                self.ref_model, torch.cat([made["prompt_ids"], made["completion_ids"]], 1),
                torch.cat([made["prompt_mask"], made["completion_mask"]], 1), made["completion_ids"].shape[1],
                batch_size=self.args.per_device_train_batch_size,
            )  # fmt: skip
        made["ref_per_token_logps"] = reference
        self.logprobs.append(float((reference * made["completion_mask"]).sum()))
        self.tokens.append(
            {"physical": prompts.numel() + written.numel(), "supervised": int(written_mask.sum()),
             "logical": int(prompt_mask.sum() + written_mask.sum())}
        )  # fmt: skip
        return made


def padded(lists: list[list[int]], pad: int, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, lists))
    rows = [[pad] * (width - len(row)) + row if left else row + [pad] * (width - len(row)) for row in lists]
    places = torch.arange(width)[None]
    lengths = torch.tensor([[len(row)] for row in lists])
    return torch.tensor(rows), (places >= width - lengths if left else places < lengths).long()


def main() -> None:
    args = parsed()
    steps = [json.loads(line) for line in args.answers.read_text().splitlines()]
    size, group = len(steps[0]), args.group
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    dtype = torch.bfloat16 if args.precision == "pure" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype, attn_implementation=args.attention)
    config = GRPOConfig(
        output_dir=str(args.output) + ".trl", per_device_train_batch_size=args.batch, num_generations=group,
        gradient_accumulation_steps=size // args.batch, generation_batch_size=size, max_steps=len(steps), beta=0.2,
        learning_rate=1e-12, lr_scheduler_type="constant", save_strategy="no", report_to="none", disable_tqdm=True,
        bf16=args.precision == "autocast", use_cpu=not torch.cuda.is_available(), gradient_checkpointing=False,
        shuffle_dataset=False, optim="adamw_torch_fused", logging_steps=1, model_init_kwargs={"dtype": dtype}, seed=0,
    )  # fmt: skip
    prompts = Dataset.from_list([{"prompt": "x"} for _ in range(size * len(steps))])
    trainer = GivenAnswers(
        model, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=config, train_dataset=prompts,
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.steps, trainer.begun, trainer.logprobs, trainer.tokens = steps, [], [], []
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    told = zip(trainer.begun, clock.ends, trainer.logprobs, trainer.tokens, strict=True)
    rows = [{"seconds": end - begun, "logprobs": logprobs, **tokens} for begun, end, logprobs, tokens in told]
    gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    args.output.write_text(json.dumps({"steps": rows, "gpu_memory_gib": gpu}))


def parser_of(description: str) -> argparse.ArgumentParser:
    """The arguments that both updates of answers take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("answers", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch", type=int, default=4, help="answers in a micro-batch")
    parser.add_argument("--precision", choices=["autocast", "pure", "fp32"], default="autocast")
    parser.add_argument("--attention", default="sdpa")
    return parser


def parsed() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--group", type=int, default=4, help="answers to a state")
    return parser.parse_args()


if __name__ == "__main__":
    main()
