"""A local model as a policy: states to prompts, answers in batches, answers to actions."""

import time
from collections.abc import Callable, Sequence

import torch

from lam_train.agent.generation import Generator, Sampling, Written
from lam_train.agent.policy import Decision
from lam_train.agent.policy_settings import LocalPolicySettings
from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.shortening import Shown, fit
from lam_train.language.step_format import AnswerError, StepFormat
from lam_train.language.steps import parse_answer, step_prompt
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.records import State
from lam_train.train.engine import DTYPES


class LocalPolicy:
    """A Hugging Face model that decides. Used by one thread.

    Each decision holds the token ids of prompt and answer, and the log-probability of each answer token under the
    model's whole distribution: before temperature, top-p and constraints, which only choose among it.
    """

    def __init__(
        self, model, language: Language, format: StepFormat, settings: LocalPolicySettings, name: str = "model"
    ) -> None:
        self.name = name
        self.device = model.device
        self._language = language
        self._format = format
        self._limit = _prompt_limit(model, settings)
        self.end_ids = sorted({language.end_of_turn_id, language.tokenizer.eos_token_id} - {None})
        self.generator = Generator(
            model,
            self.end_ids,
            max_new_tokens=settings.max_new_tokens,
            batch_size=settings.batch_size,
            cache_tokens=settings.prefix_cache_tokens,
            sampling=Sampling(settings.temperature, settings.top_p, settings.seed),
        )
        self._grammars = None
        if settings.constrained:
            from lam_train.agent.constrained import AnswerGrammars

            self._grammars = AnswerGrammars(language.tokenizer, self.end_ids, format)

    @classmethod
    def load(
        cls, model: ModelSettings, format: StepFormat, settings: LocalPolicySettings, name: str = "model"
    ) -> "LocalPolicy":
        """The policy of a model on disk; raises UserError where it cannot be loaded."""
        language = Language(load_tokenizer(model))
        causal = load_model(model, DTYPES[settings.dtype]).to(_device(settings.device))
        return cls(causal, language, format, settings, name)

    def decide(self, states: Sequence[State], advance: Callable[[int], None] = lambda count: None) -> list[Decision]:
        """One decision a state; `seconds` is what the state waited for: the whole call.

        `advance` is told of so many more answers whenever a batch is written.
        """
        started = time.perf_counter()
        shown = [self._shown(state) for state in states]
        prompts = [self._prompt(one) for one in shown]
        fitting = [index for index, prompt in enumerate(prompts) if len(prompt) <= self._limit]
        grammars = None
        if self._grammars is not None:
            grammars = [self._grammars.of(shown[index].state.observation) for index in fitting]
        written = self.generator.write([prompts[index] for index in fitting], grammars, advance)
        answers = dict(zip(fitting, written, strict=True))
        seconds = time.perf_counter() - started
        return [self._decision(shown[n], prompts[n], answers.get(n), seconds) for n in range(len(states))]

    def _shown(self, state: State) -> Shown:
        return fit(state, self._format, lambda shown: len(self._prompt(shown)), self._limit)

    def _prompt(self, shown: Shown) -> list[int]:
        return self._language.prompt_tokens(step_prompt(shown.state, shown.format))

    def _decision(self, shown: Shown, prompt: list[int], written: Written | None, seconds: float) -> Decision:
        if written is None:
            problem = f"bad format: no answer, the shortest prompt has {len(prompt)} tokens of {self._limit}"
            return Decision(action=None, problem=problem, seconds=seconds)
        tokens = written.tokens[:-1] if written.ended else written.tokens
        answer = self._language.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        action, problem = None, ""
        try:
            action = parse_answer(answer, shown.state.observation, shown.format)
        except AnswerError as error:
            problem = error.problem if written.ended else f"{error.problem} (cut at max_new_tokens)"
        return Decision(
            action=action,
            answer=answer,
            problem=problem,
            prompt_tokens=prompt,
            answer_tokens=written.tokens,
            logprobs=written.logprobs,
            seconds=seconds,
        )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"policy.local.device={name}: {str(error).splitlines()[0]}") from None
    return name


def _prompt_limit(model, settings: LocalPolicySettings) -> int:
    """The most tokens of a prompt; raises UserError where an answer would not fit beside it."""
    context = getattr(model.config, "max_position_embeddings", None)
    wanted = settings.max_prompt_tokens
    if context is None:
        return wanted if wanted is not None else 1 << 30
    room = context - settings.max_new_tokens
    if room < 2 or (wanted is not None and wanted > room):
        prompt = "" if wanted is None else f"policy.local.max_prompt_tokens={wanted} and "
        raise UserError(
            f"{prompt}policy.local.max_new_tokens={settings.max_new_tokens}: the model's context has {context} tokens"
        )
    return room if wanted is None else wanted
