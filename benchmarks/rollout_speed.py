"""Episodes an hour over a pool of Writers: our batched policy against `generate`, called once for each environment.

    python benchmarks/rollout_speed.py OUTPUT_FOLDER --model runs/laptop/phase2/model [--instances 8] [--tasks 32]

In each turn every side does the same test tasks, in alternating order, greedily, with the same model and format; no
task comes in two turns, so what a side keeps of a task it has seen does not count. The sides differ in what answers
alone; the pool is ours in all of them, so Writers act while others are decided:

  ours         all prompts that wait in one batch, which a Writer joins or leaves between any two passes; beginnings are
               kept from step to step
  unguessed    the same with policy.local.speculative_tokens=0
  plain        transformers' `generate` for one environment after the other, each prompt whole
  plain, one   the same with a single Writer
  endpoint     with --endpoint: the model behind an OpenAI-compatible server, such as `vllm serve FOLDER`; every Writer
               asks it at once, in the format that the model of --model was trained on

A first turn of a few tasks warms up. Writes rollouts.json and README.md.
"""

import argparse
import json
import statistics
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import torch
from command import run_command
from sides import faster, in_turn, told_faster
from training_facts import hardware

from lam_train.agent.endpoint_policy import EndpointPolicy
from lam_train.agent.generation import Written
from lam_train.agent.local_policy import LocalPolicy
from lam_train.agent.rollouts import rollouts
from lam_train.agent.trained_format import trained_format
from lam_train.apps.open import open_applications
from lam_train.endpoint import Endpoint, EndpointSettings
from lam_train.evaluate.acting import families_in_turn
from lam_train.model.load import ModelSettings
from lam_train.phases.evaluate_online import all_tasks
from lam_train.recipe import Recipe, compose_recipe
from lam_train.records import Task
from lam_train.report.markdown import table

OURS, UNGUESSED, PLAIN, ALONE, SERVED = "ours", "unguessed", "plain", "plain, one Writer", "endpoint"


class PlainGenerator:
    """`generate` for one prompt after the other: what a script does that has no pool in mind."""

    def __init__(self, model, end_ids: list[int], max_new_tokens: int) -> None:
        self.model, self.end_ids, self.max_new_tokens = model, end_ids, max_new_tokens

    def batch(self) -> "OneByOne":
        return OneByOne(self)

    @torch.inference_mode()
    def answer(self, prompt: list[int]) -> list[int]:
        """Greedy; it has no log-probabilities."""
        ids = torch.tensor([prompt], device=self.model.device)
        whole = self.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True, pad_token_id=0,
            max_new_tokens=self.max_new_tokens, eos_token_id=self.end_ids,
        )  # fmt: skip
        return whole[0, len(prompt) :].tolist()


class OneByOne:
    """In the place of a continuous batch: each answer is written whole before the next is begun."""

    def __init__(self, generator: PlainGenerator) -> None:
        self.generator = generator
        self.waiting: deque[tuple[list[int], Written]] = deque()

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, prompts: list[list[int]], grammars=None) -> list[Written]:
        answers = [Written() for _ in prompts]
        self.waiting += zip(prompts, answers, strict=True)
        return answers

    def write_tokens(self) -> list[Written]:
        if not self.waiting:
            return []
        prompt, written = self.waiting.popleft()
        written.tokens = self.generator.answer(prompt)
        written.ended = written.tokens[-1] in self.generator.end_ids
        return [written]


def policy_of(recipe: Recipe, side: str, args) -> LocalPolicy | EndpointPolicy:
    format = trained_format(args.model) or recipe.format
    if side == SERVED:
        settings = EndpointSettings(
            base_url=args.endpoint, model=args.served, api_key_env=None, max_tokens=args.answer, parallel=args.instances
        )
        return EndpointPolicy(Endpoint(settings, "--endpoint"), format, name=side)
    settings = recipe.policy.local
    if side == UNGUESSED:
        settings = settings.model_copy(update={"speculative_tokens": 0})
    policy = LocalPolicy.load(ModelSettings(path=args.model), format, settings, side)
    if side in (PLAIN, ALONE):
        policy.generator = PlainGenerator(policy.generator.model, policy.end_ids, recipe.policy.local.max_new_tokens)
    return policy


def turn(tasks: list[Task], policy: LocalPolicy | EndpointPolicy, environments, recipe: Recipe) -> dict:
    """All tasks once."""
    served = isinstance(policy, EndpointPolicy)
    before = policy.endpoint.usage if served else None
    begun = time.perf_counter()
    episodes = list(rollouts(tasks, policy, environments, recipe.episode))
    seconds = time.perf_counter() - begun
    steps = [step for episode in episodes for step in episode.steps]
    if served:  # as the server counts them
        after = policy.endpoint.usage
        tokens = [getattr(after, key) - getattr(before, key) for key in ("answer_tokens", "prompt_tokens")]
    else:
        tokens = [sum(len(getattr(step, key)) for step in steps) for key in ("answer_tokens", "prompt_tokens")]
    return {
        "seconds": seconds, "episodes": len(episodes), "steps": len(steps),
        "won": sum(episode.outcome == "success" for episode in episodes),
        "answer_tokens": tokens[0], "prompt_tokens": tokens[1],
    }  # fmt: skip


def main() -> None:
    args = parsed()
    args.output.mkdir(parents=True, exist_ok=True)
    recipe = compose_recipe(
        ["+recipe=evaluate_online", f"app.instances={args.instances}", "episode.max_steps=20",
         f"policy.local.max_new_tokens={args.answer}", *args.set]
    )  # fmt: skip
    settings = recipe.evaluate_online
    tasks = [task for task in all_tasks(recipe, settings) if task.split == settings.split]
    tasks = families_in_turn(tasks, settings.seed)
    needed = args.instances + args.repeats * args.tasks
    if len(tasks) < needed:
        raise SystemExit(f"{needed} tasks are needed, there are {len(tasks)}: take fewer --tasks or --repeats")
    warmup, tasks = tasks[: args.instances], tasks[args.instances :]
    policies = {side: policy_of(recipe, side, args) for side in args.sides}
    turns: dict[str, list[dict]] = {side: [] for side in args.sides}
    with ExitStack() as stack:
        environments = open_applications(recipe.app)
        for environment in environments:
            stack.callback(environment.close)
        for number, side in in_turn(args.sides, args.repeats + 1):
            pool = environments[:1] if side == ALONE else environments
            some = tasks[(number - 1) * args.tasks : number * args.tasks] if number else warmup
            made = turn(some, policies[side], pool, recipe)
            if number:
                turns[side].append(made)
                print(f"turn {number} of {args.repeats}  {side}: {told(made)}", flush=True)
    report = summary(turns, args)
    (args.output / "rollouts.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "README.md").write_text(page(report))
    print((args.output / "README.md").read_text())


def told(run: dict) -> str:
    hourly = 3600 * run["episodes"] / run["seconds"]
    return f"{hourly:.0f} episodes/h, {run['answer_tokens'] / run['seconds']:.0f} answer tokens/s, {run['won']} won"


def summary(turns: dict[str, list[dict]], args) -> dict:
    sides = {}
    for side, runs in turns.items():
        hourly = [3600 * run["episodes"] / run["seconds"] for run in runs]
        sides[side] = {
            "episodes_an_hour": statistics.median(hourly),
            "answer_tokens_per_s": statistics.median(run["answer_tokens"] / run["seconds"] for run in runs),
            "prompt_tokens_per_s": statistics.median(run["prompt_tokens"] / run["seconds"] for run in runs),
            "steps": statistics.mean(run["steps"] for run in runs),
            "won": [run["won"] for run in runs],
            "seconds": [run["seconds"] for run in runs],
        }
        if OURS in turns and side != OURS:
            pair = ([run["seconds"] for run in made] for made in (turns[OURS], runs))
            sides[side]["ours_is_faster"] = faster(*pair)
    return {
        "date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "instances": args.instances, "tasks": args.tasks, "repeats": args.repeats,
        "max_new_tokens": args.answer, "sides": sides,
    }  # fmt: skip


def page(report: dict) -> str:
    head = ["", "episodes an hour", "answer tokens/s", "prompt tokens/s", "steps", "won", "ours is faster by"]
    body = []
    for side, found in report["sides"].items():
        body.append(
            [
                side, *(f"{found[key]:,.0f}" for key in ("episodes_an_hour", "answer_tokens_per_s",
                "prompt_tokens_per_s", "steps")), ", ".join(map(str, found["won"])),
                told_faster(found.get("ours_is_faster")),
            ]
        )  # fmt: skip
    facts = [
        f"- {report['date']}, {report['hardware']}, {report['threads']} threads, torch {report['torch']}",
        f"- {report['repeats']} turns of {report['tasks']} test tasks each, {report['instances']} Writers; "
        f"answers of at most {report['max_new_tokens']} tokens; medians, in brackets the range",
        "- prompt tokens are those of the prompts as written, whether they were computed or kept",
    ]
    return "\n".join(["# Rollouts", "", *facts, "", *table(head, body)]) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", required=True, help="the folder that a phase left")
    parser.add_argument("--instances", type=int, default=8, help="Writers")
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--answer", type=int, default=80, help="most tokens of an answer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--sides", nargs="+", choices=[OURS, UNGUESSED, PLAIN, ALONE, SERVED], help="default: all that can run"
    )
    parser.add_argument("--endpoint", help="a server's base URL, such as http://127.0.0.1:8000/v1")
    parser.add_argument("--served", default="default", help="the model's name there")
    parser.add_argument("--set", nargs="+", default=[], help="more settings, KEY=VALUE")
    args = parser.parse_args()
    args.sides = args.sides or [OURS, UNGUESSED, PLAIN, ALONE, *([SERVED] if args.endpoint else [])]
    if SERVED in args.sides and not args.endpoint:
        parser.error(f"--sides {SERVED}: where is it? give --endpoint")
    return args


if __name__ == "__main__":
    run_command(main)
