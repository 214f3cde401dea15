"""A chat endpoint that speaks OpenAI's protocol: retries, a rate limit, and counts of requests, tokens and cost.

What judges, collects or acts through a large model behind an API asks through this. Needs the extra `endpoint`.
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import Field, JsonValue

from lam_train.errors import UserError
from lam_train.records import Record
from lam_train.settings import Settings

Conversation = Sequence[dict[str, Any]]
"""Messages as the protocol has them: {"role": …, "content": text, or a list of text and image parts}."""


class EndpointSettings(Settings):
    """A model behind an OpenAI-compatible endpoint (needs the extra `endpoint`)."""

    base_url: str
    """the endpoint up to its version, such as http://127.0.0.1:8000/v1"""
    model: str
    """the model's name at the endpoint"""
    api_key_env: str | None = "OPENAI_API_KEY"
    """the environment variable that holds the key; null for an endpoint that asks for none"""
    temperature: float | None = Field(0.0, ge=0)
    """of the sampling; null leaves it to the endpoint (some models take none)"""
    max_tokens: int | None = Field(2000, gt=0)
    """the most tokens of an answer; null leaves it to the endpoint"""
    extra: dict[str, JsonValue] = {}
    """more fields of the request, as the endpoint names them (`top_p`, `max_completion_tokens`, …)"""
    timeout_s: float = Field(120.0, gt=0)
    """seconds to wait for one answer"""
    retries: int = Field(4, ge=0)
    """how often a request is sent again after a timeout, a lost connection, a rate limit or a server's error"""
    parallel: int = Field(4, gt=0)
    """requests under way at once"""
    requests_per_minute: float | None = Field(None, gt=0)
    """no more are sent, those sent again among them; null: no limit of ours"""
    price_per_million_prompt_tokens: float | None = Field(None, ge=0)
    """for the cost count; null: the cost is not counted"""
    price_per_million_answer_tokens: float | None = Field(None, ge=0)
    """for the cost count; null: the cost is not counted"""


class Reply(Record):
    """An answer of the endpoint."""

    text: str
    prompt_tokens: int | None = None  # as the endpoint counts them; None where it does not
    answer_tokens: int | None = None
    cut: bool = False  # it reached max_tokens
    seconds: float = 0.0  # with retries and waiting for the rate limit


class Usage(Record):
    """What was asked and what it cost, since the Endpoint was made."""

    requests: int = 0  # sent, retries among them
    answers: int = 0
    failed: int = 0  # questions without an answer, after all retries
    prompt_tokens: int = 0
    answer_tokens: int = 0
    uncounted: int = 0  # answers whose tokens the endpoint did not count
    cost: float | None = None  # in the unit of the prices; None without prices


class EndpointFailure(Exception):
    """No usable answer after all retries: a timeout, a lost connection, a server's error, a body that is no answer."""


class Endpoint:
    """A client of one endpoint, for any number of threads. Use it in a `with`, or close it.

    `where` is the settings' place in the recipe ("evaluate.judge"), which errors name.
    Raises UserError when `openai` is missing or the key is not set.
    """

    def __init__(self, settings: EndpointSettings, where: str) -> None:
        try:
            import openai
        except ImportError:
            raise UserError(f"{where} needs the package openai: pip install 'lam_train[endpoint]'") from None
        self.settings = settings
        self._where = where
        self._openai = openai
        self._lock = threading.Lock()
        self._usage = Usage(cost=None if _prices(settings) is None else 0.0)
        self._next_request = 0.0  # monotonic time before which the rate limit allows none
        self._client = openai.OpenAI(
            base_url=settings.base_url,
            api_key=_key(settings.api_key_env, where),
            timeout=settings.timeout_s,
            max_retries=settings.retries,  # with growing pauses, or the endpoint's own Retry-After
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._before_request]}),
        )

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. May be called twice."""
        self._client.close()

    @property
    def usage(self) -> Usage:
        """The counts so far."""
        return self._usage

    def ask(self, messages: Conversation) -> Reply:
        """The answer to one conversation.

        Raises EndpointFailure without one, and UserError when the endpoint refuses the request itself
        (status 400, 401, 403, 404): asking again would not help.
        """
        started = time.perf_counter()
        openai, settings = self._openai, self.settings
        given = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
        try:
            completion = self._client.chat.completions.create(
                model=settings.model,
                messages=messages,
                extra_body=settings.extra or None,
                **{name: value for name, value in given.items() if value is not None},
            )
            reply = _reply(completion, time.perf_counter() - started)
        except (
            openai.AuthenticationError,
            openai.PermissionDeniedError,
            openai.NotFoundError,
            openai.BadRequestError,
        ) as error:
            raise UserError(f"{self._where}: {settings.base_url} refused the request: {error}") from None
        except (openai.OpenAIError, ValueError, EndpointFailure) as error:  # ValueError: a body that is not JSON
            with self._lock:
                self._usage = self._usage.model_copy(update={"failed": self._usage.failed + 1})
            raise EndpointFailure(str(error)) from None
        self._count(reply)
        return reply

    def ask_all(self, conversations: Iterable[Conversation]) -> Iterator[Reply | EndpointFailure]:
        """The answers in order, `parallel` requests at once; a failure stands in an answer's place.

        Raises UserError as `ask` does; then, or when the iterator is closed, what was not yet sent is not sent.
        """

        def ask(messages: Conversation) -> Reply | EndpointFailure:
            try:
                return self.ask(messages)
            except EndpointFailure as failure:
                return failure

        with ThreadPoolExecutor(self.settings.parallel) as pool:
            waiting = [pool.submit(ask, messages) for messages in conversations]
            try:
                for future in waiting:
                    yield future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _before_request(self, _request: object) -> None:
        """Counts a request and waits until the rate limit allows it; called for every one, those sent again too."""
        with self._lock:
            self._usage = self._usage.model_copy(update={"requests": self._usage.requests + 1})
            if self.settings.requests_per_minute is None:
                return
            at = max(time.monotonic(), self._next_request)
            self._next_request = at + 60 / self.settings.requests_per_minute
        time.sleep(max(0.0, at - time.monotonic()))

    def _count(self, reply: Reply) -> None:
        counted = reply.prompt_tokens is not None and reply.answer_tokens is not None
        prompt, answer = (reply.prompt_tokens, reply.answer_tokens) if counted else (0, 0)
        prices = _prices(self.settings)
        with self._lock:
            usage = self._usage
            cost = None if prices is None else usage.cost + (prompt * prices[0] + answer * prices[1]) / 1e6
            self._usage = usage.model_copy(
                update={
                    "answers": usage.answers + 1,
                    "prompt_tokens": usage.prompt_tokens + prompt,
                    "answer_tokens": usage.answer_tokens + answer,
                    "uncounted": usage.uncounted + (not counted),
                    "cost": cost,
                }
            )


def _prices(settings: EndpointSettings) -> tuple[float, float] | None:
    prices = settings.price_per_million_prompt_tokens, settings.price_per_million_answer_tokens
    return None if None in prices else prices


def _key(variable: str | None, where: str) -> str:
    if variable is None:
        return "none"  # the client insists on one
    key = os.environ.get(variable)
    if not key:
        raise UserError(
            f"{where}.api_key_env: the environment variable {variable} is not set; "
            f"set it, or {where}.api_key_env=null for an endpoint without keys"
        )
    return key


def _reply(completion: Any, seconds: float) -> Reply:
    """The first choice; an endpoint may leave out whatever it likes, and a proxy may send something else entirely."""
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list):
        raise EndpointFailure(f"the endpoint sent no chat completion: {str(completion)[:200]!r}")
    message = getattr(choices[0], "message", None) if choices else None
    text = getattr(message, "content", None)
    usage = getattr(completion, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    prompt, answer = (count if isinstance(count, int) else None for count in counts)
    return Reply(
        text=text.encode("utf-8", "replace").decode() if isinstance(text, str) else "",  # half a surrogate pair: "?"
        prompt_tokens=prompt,
        answer_tokens=answer,
        cut=bool(choices) and getattr(choices[0], "finish_reason", None) == "length",
        seconds=seconds,
    )
