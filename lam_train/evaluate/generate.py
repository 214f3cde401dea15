"""Greedy answers of a loaded model to many prompts, in left-padded batches."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import GenerationConfig, PreTrainedModel

from lam_train.errors import Fault, UserError
from lam_train.evaluate.planner import Answer, Planner
from lam_train.language.plans import plan_prompt
from lam_train.records import TaskPlan

log = logging.getLogger(__name__)
_SAY_EVERY_S = 60


def model_planner(
    model: PreTrainedModel,
    encode: Callable[[list[dict[str, str]]], list[int]],
    decode: Callable[[list[int]], str],
    end_of_turn_ids: list[int],
    max_new_tokens: int,
    batch_size: int,
    name: str = "model",
) -> Planner:
    """A planner that shows `plan_prompt` to a model; the other parameters are those of `generate_answers`."""

    def plan(tasks: list[TaskPlan]) -> list[Answer]:
        prompts = [encode(plan_prompt(task.task, task.app)) for task in tasks]
        return generate_answers(model, prompts, decode, end_of_turn_ids, max_new_tokens, batch_size, name)

    return plan


def generate_answers(
    model: PreTrainedModel,
    prompts: list[list[int]],
    decode: Callable[[list[int]], str],
    end_of_turn_ids: list[int],
    max_new_tokens: int,
    batch_size: int,
    name: str = "model",
) -> list[Answer]:
    """The model's greedy (temperature 0) answers, in the order of `prompts` (token ids, each with at least one).

    Prompts are batched by length, longest first, so a batch that does not fit in memory fails at once. Padding is on
    the left and masked by length, never by id: in SmolLM2 the padding token is the end-of-turn token. The model's own
    generation settings (sampling, penalties) are not used. `decode` gets the answer's ids without the
    end-of-turn token. An answer is `cut` when it reached `max_new_tokens` without one.
    Raises UserError when a prompt and its answer exceed the model's context, Fault when memory runs out.
    """
    _check_context(model, prompts, max_new_tokens)
    by_length = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    answers: list[Answer | None] = [None] * len(prompts)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    started, said, tokens = time.perf_counter(), 0.0, 0
    with _greedy(model, end_of_turn_ids, max_new_tokens), Progress(*columns, TextColumn("{task.fields[speed]}")) as bar:
        progress = bar.add_task(f"{name} answers", total=len(prompts), speed="")
        for start in range(0, len(by_length), batch_size):
            batch = by_length[start : start + batch_size]
            try:
                generated = _generate_batch(model, [prompts[index] for index in batch], end_of_turn_ids[0])
            except torch.cuda.OutOfMemoryError as error:
                raise Fault(
                    f"out of memory with {len(batch)} answers at once: lower evaluate.batch_size ({error})"
                ) from None
            for index, ids in zip(batch, generated, strict=True):
                answers[index] = _answer(ids, decode, end_of_turn_ids)
                tokens += answers[index].tokens
            seconds = time.perf_counter() - started
            bar.update(progress, advance=len(batch), speed=f"{tokens / seconds:.0f} new tokens/s")
            if not bar.console.is_terminal and seconds > said + _SAY_EVERY_S:  # a bar does not move in a log file
                said = seconds
                done = min(start + batch_size, len(prompts))
                log.info("%s: %d/%d answers, %.0f new tokens/s", name, done, len(prompts), tokens / seconds)
    return answers


def _check_context(model: PreTrainedModel, prompts: list[list[int]], max_new_tokens: int) -> None:
    context = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, prompts), default=0)
    if context is not None and longest + max_new_tokens > context:
        raise UserError(
            f"the longest prompt ({longest} tokens) and evaluate.max_new_tokens={max_new_tokens} exceed the model's "
            f"context of {context} tokens; lower evaluate.max_new_tokens"
        )


@contextmanager
def _greedy(model: PreTrainedModel, end_of_turn_ids: list[int], max_new_tokens: int) -> Iterator[None]:
    """Greedy settings and eval mode for a while.

    The model's generation config is replaced rather than overridden: `generate` fills whatever a passed config leaves
    unset from the model's own (a repetition penalty, for one).
    """
    own, was_training = model.generation_config, model.training
    model.generation_config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        use_cache=True,
        max_new_tokens=max_new_tokens,
        eos_token_id=end_of_turn_ids,
        pad_token_id=end_of_turn_ids[0],
    )
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.generation_config = own
        model.train(was_training)


def _generate_batch(model: PreTrainedModel, prompts: list[list[int]], padding_id: int) -> list[list[int]]:
    """The new ids of each prompt, with what `generate` pads a finished answer with."""
    width = max(map(len, prompts))
    ids_BT = torch.full((len(prompts), width), padding_id)
    mask_BT = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids_BT[row, width - len(prompt) :] = torch.tensor(prompt)
        mask_BT[row, width - len(prompt) :] = 1
    answer_BT = model.generate(ids_BT.to(model.device), attention_mask=mask_BT.to(model.device))
    return answer_BT[:, width:].tolist()


def _answer(ids: list[int], decode: Callable[[list[int]], str], end_of_turn_ids: list[int]) -> Answer:
    """The answer up to the first end-of-turn token, which counts as a generated token."""
    ends = [place for place, token in enumerate(ids) if token in end_of_turn_ids]
    if not ends:
        return Answer(text=decode(ids), cut=True, tokens=len(ids))
    return Answer(text=decode(ids[: ends[0]]), cut=False, tokens=ends[0] + 1)
