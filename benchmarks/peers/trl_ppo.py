"""TRL's PPOTrainer on given answers: trl_ppo.py MODEL_FOLDER ANSWERS.jsonl OUTPUT.json [settings]

Needs a TRL that still has a PPOTrainer, of which 1.12.0 is the last. ANSWERS.jsonl is as trl_grpo.py takes it. The
given answers take the place of the generation and of what it gives for free (their log-probabilities), zeros that of
the reward model; everything else is TRL's own: the passes of reference and value model, advantages, the update of
policy and value model, which it keeps apart. A step's seconds go from the answers to its end.
"""

import json
import time

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer
from trl_grpo import Clock, padded, parser_of


class GivenAnswers:
    """In the place of `batch_generation`: a call is a step's."""

    def __init__(self, steps: list[list[dict]], pad: int) -> None:
        self.steps, self.pad = steps, pad
        self.begun: list[float] = []
        self.logprobs: list[float] = []
        self.tokens: list[dict] = []

    def prompts(self) -> list[dict]:
        """The trainer's batches."""
        return [{"input_ids": self._padded(step)[0]} for step in self.steps]

    def _padded(self, step: list[dict]):
        prompts, prompt_mask = padded([answer["prompt"] for answer in step], self.pad, left=True)
        written, written_mask = padded([answer["answer"] for answer in step], self.pad, left=False)
        return prompts, prompt_mask, written, written_mask

    @torch.no_grad()
    def __call__(self, model, queries, batch: int, pad: int, _config):
        prompts, prompt_mask, written, written_mask = self._padded(self.steps[len(self.begun)])
        assert torch.equal(prompts, queries.cpu())
        whole = torch.cat([prompts, written], 1).to(queries.device)
        first = prompts.shape[1] - 1
        logits = torch.cat(
            [
                ppo_trainer.forward(model, whole[start : start + batch], pad).logits[:, first:-1]
                for start in range(0, len(whole), batch)
            ]
        )
        chosen = logits.float().log_softmax(-1).gather(-1, written[..., None].to(logits.device))[..., 0]
        self.logprobs.append(float((chosen.cpu() * written_mask).sum()))
        self.tokens.append(
            {"physical": whole.numel(), "supervised": int(written_mask.sum()),
             "logical": int(prompt_mask.sum() + written_mask.sum())}
        )  # fmt: skip
        self.begun.append(time.perf_counter())
        return whole, logits


def main() -> None:
    args = parser_of(__doc__).parse_args()
    steps = [json.loads(line) for line in args.answers.read_text().splitlines()]
    size = len(steps[0])
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    used = {token for step in steps for answer in step for part in ("prompt", "answer") for token in answer[part]}
    pad = min(set(tokenizer.get_vocab().values()) - used)  # TRL tells padding by its id
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    dtype = torch.bfloat16 if args.precision == "pure" else torch.float32
    held = {"dtype": dtype, "attn_implementation": args.attention}
    policy, reference = (AutoModelForCausalLM.from_pretrained(args.model, **held) for _ in range(2))
    value = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=1, **held)
    config = PPOConfig(
        output_dir=str(args.output) + ".trl", per_device_train_batch_size=args.batch, num_ppo_epochs=1,
        gradient_accumulation_steps=size // args.batch, num_mini_batches=1, total_episodes=size * len(steps),
        local_rollout_forward_batch_size=args.batch, num_sample_generations=0, temperature=1.0, kl_coef=0.2,
        learning_rate=1e-12, lr_scheduler_type="constant", save_strategy="no", report_to="none", disable_tqdm=True,
        bf16=args.precision == "autocast", use_cpu=not torch.cuda.is_available(), gradient_checkpointing=False,
        optim="adamw_torch_fused", seed=0,
    )  # fmt: skip
    given, clock = GivenAnswers(steps, pad), Clock()
    trainer = PPOTrainer(
        args=config, processing_class=tokenizer, model=policy, ref_model=reference, reward_model=torch.nn.Identity(),
        value_model=value, train_dataset=Dataset.from_list([{"input_ids": [1]}] * size * len(steps)),
        callbacks=[clock],
    )  # fmt: skip
    trainer.dataloader = given.prompts()
    ppo_trainer.batch_generation = given
    valued = ppo_trainer.get_reward

    def reward(model, responses, *rest):
        if isinstance(model, torch.nn.Identity):
            return None, torch.zeros(len(responses), device=responses.device), None
        return valued(model, responses, *rest)

    ppo_trainer.get_reward = reward
    trainer.train()
    told = zip(given.begun, clock.ends, given.logprobs, given.tokens, strict=True)
    rows = [{"seconds": end - begun, "logprobs": logprobs, **tokens} for begun, end, logprobs, tokens in told]
    gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    args.output.write_text(json.dumps({"steps": rows, "gpu_memory_gib": gpu}))


if __name__ == "__main__":
    main()
