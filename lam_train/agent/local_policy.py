"""A local model as a policy: states to prompts, answers in batches, answers to actions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
        self.language, self.format = language, format
        self.limit = _prompt_limit(model, settings)  # tokens of a prompt
        self.end_ids = sorted({language.end_of_turn_id, language.tokenizer.eos_token_id} - {None})
        self.generator = Generator(
            model,
            self.end_ids,
            max_new_tokens=settings.max_new_tokens,
            batch_size=settings.batch_size,
            cache_tokens=settings.prefix_cache_tokens,
            sampling=Sampling(settings.temperature, settings.top_p, settings.seed),
            speculative_tokens=settings.speculative_tokens,
            cuda_graphs=settings.cuda_graphs,
        )
        self.grammars = None
        if settings.constrained:
            from lam_train.agent.constrained import AnswerGrammars

            self.grammars = AnswerGrammars(language.tokenizer, self.end_ids, format)

    @classmethod
    def load(
        cls, model: ModelSettings, format: StepFormat, settings: LocalPolicySettings, name: str = "model"
    ) -> "LocalPolicy":
        """The policy of a model on disk; raises UserError where it cannot be loaded."""
        language = Language(load_tokenizer(model))
        causal = load_model(model, DTYPES[settings.dtype]).to(_device(settings.device))
        return cls(causal, language, format, settings, name)

    def decide(self, states: Sequence[State], advance: Callable[[int], None] = lambda count: None) -> list[Decision]:
        """One decision a state; `advance` is told of so many more whenever some are made."""
        deciding = self.deciding()
        numbers = deciding.ask(states)
        found: dict[int, Decision] = {}
        while len(deciding):
            made = deciding.advance()
            found.update(made)
            if made:
                advance(len(made))
        return [found[number] for number in numbers]

    def deciding(self) -> "LocalDeciding":
        """Decisions under way, which states may join at any time (protocol: `lam_train.agent.policy.Deciding`)."""
        return LocalDeciding(self)


@dataclass(frozen=True)
class _Asked:
    """A state that waits for its answer."""

    number: int
    shown: Shown
    prompt: list[int]
    since: float  # on time.perf_counter's clock


class LocalDeciding:
    """Decisions of a LocalPolicy under way, in a batch of their own."""

    def __init__(self, policy: LocalPolicy) -> None:
        self._policy = policy
        self._batch = policy.generator.batch()
        self._asked: dict[int, _Asked] = {}  # by the id of the answer that is written
        self._decided: list[tuple[int, Decision]] = []  # without asking the model
        self._count = 0

    def __len__(self) -> int:
        return len(self._asked) + len(self._decided)

    def ask(self, states: Sequence[State]) -> list[int]:
        """A number for each state. A prompt that does not fit, however short, is decided without the model."""
        policy, fitting = self._policy, []
        first, self._count = self._count, self._count + len(states)
        for number, state in enumerate(states, first):
            since = time.perf_counter()
            shown = fit(state, policy.format, lambda shown: len(self._prompt(shown)), policy.limit)
            asked = _Asked(number, shown, self._prompt(shown), since)
            if len(asked.prompt) <= policy.limit:
                fitting.append(asked)
            else:
                problem = f"bad format: no answer, the shortest prompt has {len(asked.prompt)} tokens of {policy.limit}"
                self._decided.append((number, Decision(action=None, problem=problem)))
        grammars = None
        if policy.grammars is not None:
            grammars = [policy.grammars.of(asked.shown.state.observation) for asked in fitting]
        answers = self._batch.add([asked.prompt for asked in fitting], grammars)
        self._asked |= {id(answer): asked for answer, asked in zip(answers, fitting, strict=True)}
        return list(range(first, self._count))

    def advance(self) -> list[tuple[int, Decision]]:
        """Writes on at every answer; the decisions that are made with it, by their states' numbers."""
        made, self._decided = self._decided, []
        for written in self._batch.write_tokens():
            asked = self._asked.pop(id(written))
            made.append((asked.number, self._decision(asked, written)))
        return made

    def _prompt(self, shown: Shown) -> list[int]:
        return self._policy.language.prompt_tokens(step_prompt(shown.state, shown.format))

    def _decision(self, asked: _Asked, written: Written) -> Decision:
        tokens = written.tokens[:-1] if written.ended else written.tokens
        tokenizer = self._policy.language.tokenizer
        answer = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        action, problem = None, ""
        try:
            action = parse_answer(answer, asked.shown.state.observation, asked.shown.format)
        except AnswerError as error:
            problem = error.problem if written.ended else f"{error.problem} (cut at max_new_tokens)"
        return Decision(
            action=action,
            answer=answer,
            problem=problem,
            prompt_tokens=asked.prompt,
            answer_tokens=written.tokens,
            logprobs=written.logprobs,
            seconds=time.perf_counter() - asked.since,
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
