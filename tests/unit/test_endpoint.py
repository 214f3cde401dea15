"""The endpoint's client against a real HTTP server: retries, limits, counts, and bodies that are no answers."""

import threading
import time

import pytest
from chat_server import completion, endpoint

from lam_train.endpoint import Endpoint, EndpointFailure, EndpointSettings, Reply
from lam_train.errors import UserError

ASKED = [{"role": "user", "content": "hello"}]
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}


def client(url, **changes) -> Endpoint:
    given = {"base_url": url, "model": "m", "api_key_env": None, "retries": 0, **changes}
    return Endpoint(EndpointSettings(**given), "test.endpoint")


def in_turn(*replies):
    """Answers with each reply in turn, the last one again and again."""
    left = list(replies)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


def test_an_answer_with_its_counts_and_cost():
    prices = {"price_per_million_prompt_tokens": 2.0, "price_per_million_answer_tokens": 10.0}
    with endpoint(lambda body: "hi", usage=TOKENS) as (url, requests), client(url, **prices) as asked:
        reply = asked.ask(ASKED)
        asked.ask(ASKED)
        usage = asked.usage
    assert (reply.text, reply.prompt_tokens, reply.answer_tokens, reply.cut) == ("hi", 1000, 200, False)
    assert reply.seconds > 0
    assert (usage.requests, usage.answers, usage.prompt_tokens, usage.answer_tokens) == (2, 2, 2000, 400)
    assert usage.cost == pytest.approx(2 * (1000 * 2 + 200 * 10) / 1e6)
    assert requests[0]["body"] == {"model": "m", "messages": ASKED, "temperature": 0.0, "max_tokens": 2000}


def test_the_request_says_what_the_settings_say():
    changes = {"temperature": None, "max_tokens": None, "extra": {"max_completion_tokens": 5, "seed": 1}}
    with endpoint(lambda body: "hi") as (url, requests), client(url, **changes) as asked:
        asked.ask(ASKED)
    assert requests[0]["body"] == {"model": "m", "messages": ASKED, "max_completion_tokens": 5, "seed": 1}


def test_without_prices_there_is_no_cost_and_uncounted_answers_are_counted():
    with endpoint(lambda body: "hi") as (url, _), client(url, price_per_million_prompt_tokens=1.0) as asked:
        reply = asked.ask(ASKED)
        assert (asked.usage.cost, asked.usage.uncounted, asked.usage.prompt_tokens) == (None, 1, 0)
    assert (reply.prompt_tokens, reply.answer_tokens) == (None, None)


def test_an_answer_that_was_cut_says_so():
    with endpoint(lambda body: (200, completion("hi", "length"))) as (url, _), client(url) as asked:
        assert asked.ask(ASKED).cut


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_or_broken_server_is_asked_again(status):
    wait = (status, {"error": {"message": "later"}}, {"Retry-After-Ms": "20"})
    with endpoint(in_turn(wait, wait, "hi")) as (url, requests), client(url, retries=2) as asked:
        assert asked.ask(ASKED).text == "hi"
        assert (asked.usage.requests, asked.usage.answers, asked.usage.failed) == (3, 1, 0)
    assert len(requests) == 3


def test_it_gives_up_after_the_retries():
    broken = (500, {"error": {"message": "broken"}}, {"Retry-After-Ms": "5"})
    with endpoint(lambda body: broken) as (url, requests), client(url, retries=2) as asked:
        with pytest.raises(EndpointFailure, match="broken"):
            asked.ask(ASKED)
        assert (asked.usage.requests, asked.usage.answers, asked.usage.failed) == (3, 0, 1)
    assert len(requests) == 3


def test_the_pauses_grow():
    broken = (500, {"error": {"message": "broken"}})
    with endpoint(in_turn(broken, broken, "hi")) as (url, requests), client(url, retries=2) as asked:
        asked.ask(ASKED)
    first, second = (requests[n + 1]["time"] - requests[n]["time"] for n in range(2))
    assert first > 0.37 and second > 0.74  # half a second and a second, each up to a quarter shorter


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_the_users_mistake_and_is_not_repeated(status):
    refusal = (status, {"error": {"message": "no such model"}})
    said = pytest.raises(UserError, match=r"^test\.endpoint: http.* refused the request: .*no such model")
    with endpoint(lambda body: refusal) as (url, requests), client(url, retries=3) as asked, said:
        asked.ask(ASKED)
    assert len(requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices": [',
        b"<html>Bad gateway</html>",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"choices": "x"}',
        b'{"choices": null, "error": {"message": "overloaded"}}',
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_body_that_is_no_answer_is_a_failure(body, kind):
    with endpoint(lambda _: (200, body, {"Content-Type": kind})) as (url, _), client(url) as asked:
        with pytest.raises(EndpointFailure):
            asked.ask(ASKED)
        assert (asked.usage.answers, asked.usage.failed) == (0, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": 3}}], "usage": {"prompt_tokens": "many"}},
        {"choices": [{"message": None}], "usage": 5},
    ],
)
def test_an_answer_without_text_is_empty(body):
    with endpoint(lambda _: (200, body)) as (url, _), client(url) as asked:
        reply = asked.ask(ASKED)
    assert (reply.text, reply.prompt_tokens, reply.answer_tokens) == ("", None, None)


def test_half_a_surrogate_pair_in_an_answer_is_replaced():
    """It could not be written into a trajectory."""
    with endpoint(lambda _: (200, completion("a \ud83d b"))) as (url, _), client(url) as asked:
        assert asked.ask(ASKED).text == "a ? b"


def test_a_slow_answer_is_a_failure():
    release = threading.Event()
    with endpoint(lambda body: release.wait(10) and "") as (url, _), client(url, timeout_s=0.2) as asked:
        try:
            with pytest.raises(EndpointFailure, match="timed out"):
                asked.ask(ASKED)
        finally:
            release.set()


def test_nobody_listens():
    with endpoint(lambda body: "") as (url, _):
        pass
    with client(url) as asked, pytest.raises(EndpointFailure, match="Connection"):
        asked.ask(ASKED)


def test_the_rate_limit_holds_over_threads_and_retries():
    """600 a minute: 100 ms between any two requests, whoever sends them and however often."""
    busy = (429, {"error": {"message": "later"}}, {"Retry-After-Ms": "1"})
    limited = {"requests_per_minute": 600.0, "retries": 1, "parallel": 4}
    with endpoint(in_turn(busy, "a")) as (url, requests), client(url, **limited) as asked:
        started = time.monotonic()
        replies = list(asked.ask_all([ASKED] * 5))
        took = time.monotonic() - started
    assert [reply.text for reply in replies] == ["a"] * 5
    assert len(requests) == 6 and took > 0.5


def test_many_are_answered_in_order_and_at_once():
    at_once = threading.Barrier(6, timeout=30)

    def reply(body):
        text = body["messages"][0]["content"]
        at_once.wait()  # passes when six requests are under way
        time.sleep(0.1 if text == "0" else 0)
        return (500, {"error": {"message": "broken"}}) if text == "3" else f"answer {text}"

    conversations = [[{"role": "user", "content": str(number)}] for number in range(12)]
    with endpoint(reply) as (url, _), client(url, parallel=6) as asked:
        replies = list(asked.ask_all(conversations))
    assert isinstance(replies.pop(3), EndpointFailure)
    assert [reply.text for reply in replies] == [f"answer {number}" for number in range(12) if number != 3]
    assert isinstance(replies[0], Reply)


def test_a_refusal_stops_what_was_not_yet_sent():
    refusal = (401, {"error": {"message": "wrong key"}})
    said = pytest.raises(UserError, match="wrong key")
    with endpoint(lambda body: refusal) as (url, requests), client(url, parallel=1) as asked, said:
        list(asked.ask_all([ASKED] * 20))
    assert len(requests) < 20


def test_a_key_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(UserError, match=r"^test\.endpoint\.api_key_env: .*NO_KEY is not set"):
        client("http://127.0.0.1:9/v1", api_key_env="NO_KEY")
