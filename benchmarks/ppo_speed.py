"""How fast a PPO update is against TRL's GRPO and PPO: the same model, answers and steps, sides in turn in one run.

    python benchmarks/ppo_speed.py OUTPUT_FOLDER --answers RUN/experience/answers-000.jsonl --model LAM3 \\
        --reward-model RUN4A/model --data DATA [--steps 3] [--repeats 3]

ANSWERS are those that a run of phase 4b with ppo.actions=sampled left: several to a state, whose prompt they share.
Both sides pass over a step's answers without learning (the log-probabilities of the model they stay near: at the first
iteration ours are the policy's own), then forward and backward, then update; no side generates or rewards. The mean
log-probability of the answers' tokens must be the same. The first step warms up; ours goes through the same answers in
two iterations, of which the first warms up: on a GPU kernels are made in its pass. From its second iteration on ours
also passes over the starting model, which is loaded for it: what that adds is told apart. Writes ppo.json, README.md.

TRL's PPOTrainer, which also passes and updates a value model of its own, is in no version after 1.12.0: it takes part
where `--trl-with-ppo` names the folder of `pip install --no-deps --target FOLDER trl==1.12.0`.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from command import run_command
from sides import faster, in_turn, told_faster
from train_speed import measured, version
from training_facts import hardware

from lam_train.agent.answers import Answered
from lam_train.batching.loader import EpochPlan
from lam_train.language.sample import Samples
from lam_train.objectives.experience import Experience
from lam_train.recipe import compose_recipe
from lam_train.records import read_jsonl, write_jsonl
from lam_train.report.markdown import table

HERE = Path(__file__).resolve().parent
OURS = "lam_train"
SIDES = {
    "TRL GRPO, 1": ["--batch=1"],
    "TRL GRPO, 4": ["--batch=4"],
    "TRL GRPO, 8": ["--batch=8"],
    "TRL GRPO, 4, pure bf16": ["--batch=4", "--precision=pure"],
    "TRL PPO, 4": ["--batch=4"],
    "TRL PPO, 4, pure bf16": ["--batch=4", "--precision=pure"],
}
ON_A_GPU = {  # instead of those above
    "TRL GRPO, 32": ["--batch=32"],
    "TRL GRPO, 8, pure bf16": ["--batch=8", "--precision=pure"],
    "TRL GRPO, 32, pure bf16": ["--batch=32", "--precision=pure"],
    "TRL PPO, 32, pure bf16": ["--batch=32", "--precision=pure"],
}


def main() -> None:
    args = parsed()
    args.output.mkdir(parents=True, exist_ok=True)
    answers = list(read_jsonl(args.answers, Answered))[: args.batch * (args.steps + 1)]
    if len(answers) < args.batch * (args.steps + 1):
        raise SystemExit(f"{args.answers}: {len(answers)} answers, {args.batch * (args.steps + 1)} are needed")
    overrides = [
        f"+recipe={args.recipe}", f"model.path={args.model}", f"data.train=[{args.data}]", "ppo.actions=sampled",
        f"ppo.reward_model={args.reward_model}", "ppo.iterations=2", f"trainer.batch_size={args.batch}",
        "trainer.epochs=1", "trainer.lr=1e-12", "ppo.probe_states=0", "checkpoint.every_steps=null",
        "export.at_end=false", *args.set,
    ]  # fmt: skip
    write_steps(overrides, answers, args.output / "answers.jsonl")
    theirs = ON_A_GPU if torch.cuda.is_available() else SIDES
    sides = args.sides or [OURS, *(name for name in theirs if args.trl_with_ppo or "PPO" not in name)]
    turns: dict[str, list[dict]] = {name: [] for name in sides}
    for turn, name in in_turn(sides, args.repeats):
        work = args.output / "work" / f"{turn}-{sides.index(name)}"
        work.mkdir(parents=True, exist_ok=True)
        run = run_ours(overrides, answers, work) if name == OURS else run_trl(name, args, work)
        turns[name].append(run)
        told = f"{run['seconds']:.1f} s, log-probability {run['logprob']:.4f} a token, {run['peak_gib']:.1f} GiB"
        print(f"turn {turn + 1} of {args.repeats}  {name}: {told}", flush=True)
        if all(len(runs) == turn + 1 for runs in turns.values()):  # told after every turn: a long run may be ended
            check_same(turns, args.tolerance)
            report = summary(turns, args)
            (args.output / "ppo.json").write_text(json.dumps(report, indent=1) + "\n")
            (args.output / "README.md").write_text(page(report))
    print((args.output / "README.md").read_text())


def write_steps(overrides: list[str], answers: list[Answered], path: Path) -> None:
    """One line a step, as our loader draws them; the advantages do not matter to time."""
    recipe = compose_recipe(overrides)
    samples = Samples([answer.sample() for answer in answers])
    plan = EpochPlan(samples, recipe.trainer.batch_size, recipe.trainer.seed, recipe.batching.group_by)
    with path.open("w") as file:
        for step in range(plan.steps_per_epoch):
            chosen = [answers[place] for place in plan.step_samples(step)]
            line = [
                {"prompt": a.prompt_tokens, "answer": a.answer_tokens, "advantage": 1.0 if n % 2 else -1.0}
                for n, a in enumerate(chosen)
            ]
            file.write(json.dumps(line) + "\n")


def run_ours(overrides: list[str], answers: list[Answered], work: Path) -> dict:
    for iteration in range(2):
        write_jsonl(work / "experience" / f"answers-{iteration:03d}.jsonl", answers)
    command = [sys.executable, "-m", "lam_train", *overrides, f"run_dir={work}", "resume=never"]
    peak = measured(command, work / "out.log")
    shutil.rmtree(work / "checkpoints", ignore_errors=True)  # gigabytes a turn
    rows = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    steps = steps[len(steps) // 2 :]
    _, before = [row for row in rows if row["kind"] == "experience"]
    made = Experience.load(work / "experience" / "iteration-001.npz")
    if torch.cuda.is_available():
        peak = max(row["memory_gib"] for row in steps)
    return {
        # the pass over all answers, of which the timed steps' share is counted, and the steps
        "seconds": before["seconds"] * (len(steps) - 1) / len(steps) + sum(row["seconds"] for row in steps[1:]),
        "reference_seconds": before["reference_seconds"] * (len(steps) - 1) / len(steps),
        "logprob": float(np.mean(made.old_logprobs)),
        "physical": sum(row["tokens_physical"] for row in steps[1:]),
        "logical": sum(row["tokens_logical"] for row in steps[1:]), "peak_gib": peak,
    }  # fmt: skip


def run_trl(name: str, args, work: Path) -> dict:
    script, environment = "trl_grpo.py", None
    if "PPO" in name:
        path = os.pathsep.join(filter(None, [str(args.trl_with_ppo), os.environ.get("PYTHONPATH")]))
        script, environment = "trl_ppo.py", {**os.environ, "PYTHONPATH": path}
    answers = str(args.output / "answers.jsonl")
    command = [sys.executable, str(HERE / "peers" / script), args.model, answers, str(work / "trl.json")]
    command += (SIDES | ON_A_GPU)[name]
    peak = measured(command, work / "out.log", environment)
    found = json.loads((work / "trl.json").read_text())
    steps = found["steps"]
    supervised = sum(step["supervised"] for step in steps)
    return {
        "logprob": sum(step["logprobs"] for step in steps) / supervised,
        "peak_gib": found["gpu_memory_gib"] or peak,
        **{key: sum(step[key] for step in steps[1:]) for key in ("seconds", "physical", "logical")},
    }  # fmt: skip


def check_same(turns: dict[str, list[dict]], tolerance: float) -> None:
    first = {name: runs[0]["logprob"] for name, runs in turns.items()}
    reference = first.get(OURS, next(iter(first.values())))
    for name, found in first.items():
        if abs(found - reference) > tolerance:
            raise SystemExit(f"{name} does not read the same: {found:.4f} nats a token, {reference:.4f}")


def summary(turns: dict[str, list[dict]], args) -> dict:
    sides = {}
    for name, runs in turns.items():
        sides[name] = {
            "seconds": [run["seconds"] for run in runs], "peak_gib": max(run["peak_gib"] for run in runs),
            "logical_tokens_per_s": statistics.median(run["logical"] / run["seconds"] for run in runs),
            "physical": runs[0]["physical"], "logical": runs[0]["logical"], "logprob": runs[0]["logprob"],
        }  # fmt: skip
        if name == OURS:
            sides[name]["reference_seconds"] = [run["reference_seconds"] for run in runs]
        elif OURS in turns:
            # a token: our second iteration draws other steps from the answers than the first, which are TRL's
            theirs = [run["seconds"] / run["logical"] for run in runs]
            ours = [run["seconds"] / run["logical"] for run in turns[OURS]]
            more = [run["reference_seconds"] / run["logical"] for run in turns[OURS]]
            sides[name]["ours_is_faster"] = faster(ours, theirs)
            sides[name]["ours_is_faster_later"] = faster([sum(pair) for pair in zip(ours, more, strict=True)], theirs)
    return {
        "date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "deepspeed")},
        "set": args.set, "answers_a_step": args.batch, "timed_steps": args.steps,
        "repeats": min(map(len, turns.values())), "sides": sides,
    }  # fmt: skip


def page(report: dict) -> str:
    head = ["", "seconds", "logical tokens/s", "physical tokens", "peak GiB", "log-probability", "ours is faster by",
            "in later iterations"]  # fmt: skip
    body = []
    for name, side in report["sides"].items():
        body.append(
            [
                name, f"{statistics.median(side['seconds']):.1f}", f"{side['logical_tokens_per_s']:,.0f}",
                f"{side['physical']:,}", f"{side['peak_gib']:.1f}", f"{side['logprob']:.4f}",
                told_faster(side.get("ours_is_faster")), told_faster(side.get("ours_is_faster_later")),
            ]
        )  # fmt: skip
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    facts = [
        f"- {report['date']}, {report['hardware']}, {report['threads']} threads; {versions}",
        f"- {report['answers_a_step']} answers a step, {report['timed_steps']} timed steps, {report['repeats']} turns "
        "of all sides; medians, in brackets the range",
        "- a pass without learning, forward and backward, update; no generation, no reward; in later iterations ours "
        "loads the starting model and passes over it too",
    ]
    return "\n".join(["# PPO's update against TRL's", "", *facts, "", *table(head, body)]) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--model", required=True, help="the folder of the policy")
    parser.add_argument("--reward-model", required=True)
    parser.add_argument("--data", required=True, help="trajectories with failures, as the run of the answers had them")
    parser.add_argument("--recipe", default="phase4b_small")
    parser.add_argument("--batch", type=int, default=32, help="answers in a step")
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tolerance", type=float, default=0.01, help="nats a token")
    parser.add_argument("--sides", nargs="+", choices=[OURS, *SIDES, *ON_A_GPU])
    parser.add_argument("--trl-with-ppo", type=Path, help="folder of a TRL that has a PPOTrainer")
    parser.add_argument("--set", nargs="+", default=[], help="more settings of ours, KEY=VALUE")
    args = parser.parse_args()
    args.output = args.output.absolute()
    return args


if __name__ == "__main__":
    run_command(main)
