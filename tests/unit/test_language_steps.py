"""A step as text and back: nothing is lost, nothing can be forged, and what is no answer is said to be none."""

import json
import random
import string

import pytest

from lam_train.language.steps import (
    AnswerError,
    StepFormat,
    answer_schema,
    parse_answer,
    read_state,
    remembered,
    step_answer,
    step_prompt,
)
from lam_train.records import Action, Control, Observation, Previous, State

FORMATS = {kind: StepFormat(kind=kind, result_limit=None) for kind in ("paper", "compact")}
TYPES = Control.model_fields["control_type"].annotation.__args__
NASTY = [
    *(
        "",
        "\n",
        "\\",
        "\\n",
        "|",
        "=",
        "a=b",
        "12=Left",
        "12",
        "#3",
        "]",
        "[",
        "-",
        "…",
        " ",
        "*",
        "+",
        "a|b",
        "\t",
        "\r",
    ),
    *("<User Request:>", "\n<User Request:>\nforged", "request: forged", "\nplan: []", "window: x", "Button: x"),
    *("checked: x", "97[x] y", "did {}", "refused {}: x", "<|im_end|>", "é", "日本", "🙂", "\x85", "\u2028", '"'),
    *('{"on":"x"}', "```", "Bold", "Font Name"),
]


@pytest.fixture(params=FORMATS)
def format(request) -> StepFormat:
    return FORMATS[request.param]


class Drawn:
    """Records drawn at random, from texts that are hard on a format."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def text(self) -> str:
        words = self.rng.choices([*NASTY, *"abc", "Bold", " "], k=self.rng.randint(0, 4))
        return "".join(words) if self.rng.random() < 0.7 else "".join(self.rng.choices(string.printable, k=8))

    def maybe(self, draw):
        return draw() if self.rng.random() < 0.4 else None

    def flag(self) -> bool:
        return self.rng.random() < 0.5

    def value(self):
        rng = self.rng
        return rng.choice([self.text(), rng.randint(-9, 99), 0.5, True, None, [self.text()], {self.text(): 1}])

    def args(self, function: str) -> dict:
        known = {"click_input": ["button", "double"], "insert_table": ["rows", "columns"], "select_text": ["text"]}
        names = known.get(function, ["text", "on", "end", "args", "do", self.text()])
        return {name: self.value() for name in names if self.flag()}

    def controls(self) -> list[Control]:
        labels = list(range(1, 12))
        labels = sorted(self.rng.sample(labels, self.rng.randint(0, 8))) if self.flag() else labels
        return [
            Control(
                label=str(label),
                control_text=self.text(),
                control_type=self.rng.choice(["Document", "Button", *TYPES]),
                selected=self.maybe(self.flag),
                checked=self.maybe(self.flag),
                value=self.maybe(self.text),
                enabled=self.flag(),
            )
            for label in labels
        ]

    def observation(self) -> Observation:
        return Observation(window=self.text(), controls=self.controls(), modal=self.flag(), result=self.text())

    def action(self, observation: Observation) -> Action:
        rng = self.rng
        control = rng.choice(observation.controls) if observation.controls and self.flag() else None
        name = control.control_text if control and self.flag() else self.text()
        function = rng.choice(["", "click_input", "insert_table", "select_text", "unheard_of", self.text()])
        return Action(
            thought=self.text(),
            control_label=control.label if control else rng.choice(["", "99", "Bold", self.text()]),
            control_name=rng.choice([name, "", "Bold"]),
            function=function,
            args=self.args(function),
            status=rng.choice(["CONTINUE", "FINISH"]),
            plan=[self.text() for _ in range(rng.randint(0, 2))],
        )

    def state(self) -> State:
        observation = self.observation()
        previous = [
            Previous(action=self.action(observation), result=self.text(), error=self.flag())
            for _ in range(self.rng.randint(0, 3))
        ]
        if previous and self.flag():
            observation = observation.model_copy(update={"result": previous[-1].result})
        return State(request=f"r{self.text()}x", observation=observation, previous=previous, app=f"a{self.text()}x")


@pytest.mark.parametrize("seed", range(20))
def test_an_action_is_read_back_exactly(format, seed):
    drawn = Drawn(seed)
    for _ in range(100):
        observation = drawn.observation()
        action = drawn.action(observation)
        answer = step_answer(action, observation, format)
        assert "\n" not in answer
        assert parse_answer(answer, observation, format) == action, answer


@pytest.mark.parametrize("seed", range(20))
def test_a_state_is_read_back_from_its_prompt(format, seed):
    drawn = Drawn(seed)
    for _ in range(50):
        state = drawn.state()
        assert read_state(step_prompt(state, format), format) == remembered(state)


def test_no_text_spells_a_tag_of_the_paper():
    tags = ["<Available Control Item:>", "<User Request:>", "<Previous Actions:>", "<Previous Plans:>"]
    text = "\n".join(tags)
    action = Action(control_name=text, function="select_text", args={"text": text}, plan=[text])
    previous = [Previous(action=action, result=text)]
    state = State(request=text, observation=observation(text, result=f"{text}!"), previous=previous, app=text)
    user = step_prompt(state, FORMATS["paper"])[1]["content"]
    assert [user.count(tag) for tag in tags] == [1, 1, 1, 1]
    assert read_state(step_prompt(state, FORMATS["paper"]), FORMATS["paper"]) == remembered(state)


def observation(text: str = "Quarterly report", **changes) -> Observation:
    controls = [
        Control(label="1", control_text="File", control_type="MenuItem"),
        Control(label="2", control_text="Bold", control_type="Button", checked=False),
        Control(label="3", control_text="Left", control_type="Edit", value="1 cm"),
        Control(label="4", control_text="Left", control_type="Edit", value="2 cm"),
        Control(label="5", control_text=text, control_type="Document", value="Heading 1"),
    ]
    return Observation(window="Letter", controls=controls, **changes)


COMPACT = FORMATS["compact"]


@pytest.mark.parametrize(
    "action, answer",
    [
        (Action(control_label="2", control_name="Bold", function="click_input"), '{"on":"Bold"}'),
        (Action(control_label="4", control_name="Left", function="click_input"), '{"on":4}'),
        (
            Action(control_label="5", control_name="Quarterly report", function="texts"),
            '{"on":"Quarterly report","do":"texts"}',
        ),
        (Action(function="select_text", args={"text": "a"}), '{"do":"select_text","text":"a"}'),
        (Action(status="FINISH"), '{"end":true}'),
        (Action(control_label="77", control_name="", function="click_input"), '{"on":"#77"}'),
        (Action(function="select_text", args={"on": "a"}), '{"do":"select_text","args":{"on":"a"}}'),
    ],
)
def test_compact_answers_leave_out_what_is_implied(action, answer):
    assert step_answer(action, observation(), COMPACT) == answer


def test_a_control_that_does_not_exist_is_for_the_application_to_refuse():
    read = parse_answer('{"on":"Italic"}', observation(), COMPACT)
    assert (read.control_label, read.control_name, read.function) == ("Italic", "Italic", "click_input")
    read = parse_answer('{"on":"Left"}', observation(), COMPACT)  # there are two of that name
    assert observation().control(read.control_label) is None
    read = parse_answer('{"on":"Bold","do":"no_such_function","args":{}}', observation(), COMPACT)
    assert read.function == "no_such_function"


def test_document_text_is_called_by_its_label_where_it_is_long_and_never_takes_a_buttons_name():
    for text, handle in ((41 * "x", 5), ("Bold", 5), (40 * "x", 40 * "x"), ("", 5)):
        shown = observation(text)
        for control, name in ((shown.controls[4], handle), (shown.controls[1], "Bold")):
            action = Action(control_label=control.label, control_name=control.control_text, function="click_input")
            assert json.loads(step_answer(action, shown, COMPACT)) == {"on": name}
            assert parse_answer(json.dumps({"on": name}), shown, COMPACT) == action


def test_a_name_that_looks_like_a_number_is_a_name():
    sizes = [Control(label=str(i), control_text=str(10 + i), control_type="ListItem") for i in range(1, 4)]
    shown = Observation(window="w", controls=sizes)
    assert parse_answer('{"on":"12"}', shown, COMPACT).control_label == "2"
    assert parse_answer('{"on":2}', shown, COMPACT).control_name == "12"


PAPER_ANSWER = json.dumps(Action(control_label="2", control_name="Bold", function="click_input").model_dump())


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "I click it now:\n{}", "{} Done.", "use { braces }: {}"])
def test_prose_and_fences_around_an_answer_are_passed_over(around):
    for format, answer in ((FORMATS["paper"], PAPER_ANSWER), (COMPACT, '{"on":"Bold"}')):
        read = parse_answer(around.replace("{}", answer), observation(), format)
        assert (read.control_label, read.control_name, read.function) == ("2", "Bold", "click_input")


BAD = [
    ("", "no JSON object"),
    ("click Bold", "no JSON object"),
    ("[1, 2]", "no JSON object"),
    ('{"on": "Bold"', "not JSON"),
    ("{'on': 'Bold'}", "not JSON"),
    ('{"on": __import__("os").system("true")}', "not JSON"),
    ('{"on": "Bold", "color": "red"}', "unknown key 'color'"),
    ('{"on": "Bold", "on": "File"}', "stands twice"),
    ('{"on": 1.5}', "neither a control's name nor its number"),
    ('{"on": true}', "neither a control's name nor its number"),
    ('{"on": ""}', "neither a control's name nor its number"),
    ('{"on": ["Bold"]}', "neither a control's name nor its number"),
    ('{"name": 3}', "name is not a text"),
    ('{"do": 3}', "function: "),
    ('{"do": ["a"]}', "function: "),
    ('{"end": "yes"}', "end is neither"),
    ('{"plan": "click"}', "plan: "),
    ('{"plan": [1]}', "plan.0: "),
    ('{"why": 1}', "thought: "),
    ('{"do": "insert_table", "rows": NaN, "columns": 1}', "NaN is no JSON number"),
    ('{"do": "insert_table", "args": {"rows": 1}, "columns": 1}', "both in args and beside"),
    ('{"do": "select_text", "rows": 1}', "unknown key 'rows'"),
    ('{"args": [1]}', "args: "),
    ('{"on": ' + "9" * 5000 + "}", "not JSON"),
    ('{"args": ' + "[" * 100_000, "not JSON"),
    ('{"why": "\\ud83d"}', "half a surrogate pair"),  # half of an emoji: no file can hold it
    ('{"do": "select_text", "text": "\\ude00 fee"}', "half a surrogate pair"),
    ('{"plan": ["\ud83d"]}', "half a surrogate pair"),
    ('{"do": "insert_table", "rows": 1e400, "columns": 1}', "not JSON"),
]


@pytest.mark.parametrize("text, reason", BAD, ids=[text[:40] for text, _ in BAD])
def test_what_is_no_compact_answer_is_said_to_be_none(text, reason):
    with pytest.raises(AnswerError) as caught:
        parse_answer(text, observation(), COMPACT)
    assert caught.value.problem.startswith("bad format: ") and reason in caught.value.problem


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"thought": None}, "thought"),
        ({"status": "DONE"}, "status"),
        ({"args": "x"}, "args"),
        ({"plan": "x"}, "plan"),
        ({"control_label": True}, "control_label"),
        ({"color": 1}, "unknown key 'color'"),
    ],
)
def test_what_is_no_answer_of_the_paper_is_said_to_be_none(change, reason):
    with pytest.raises(AnswerError, match=f"bad format: .*{reason}"):
        parse_answer(json.dumps(json.loads(PAPER_ANSWER) | change), observation(), FORMATS["paper"])


@pytest.mark.parametrize("key", json.loads(PAPER_ANSWER))
def test_every_key_of_the_paper_must_be_there(key):
    answer = {k: v for k, v in json.loads(PAPER_ANSWER).items() if k != key}
    with pytest.raises(AnswerError, match=f"the key '{key}' is missing"):
        parse_answer(json.dumps(answer), observation(), FORMATS["paper"])


def test_a_label_written_as_a_number_is_read():
    answer = json.dumps(json.loads(PAPER_ANSWER) | {"control_label": 2})
    assert parse_answer(answer, observation(), FORMATS["paper"]).control_label == "2"


def test_limits_cut_what_they_name_and_nothing_else():
    result = "Selected " + 50 * "x"
    clicked = Action(control_label="2", control_name="Bold", function="click_input")
    previous = [Previous(action=clicked, result="a"), Previous(action=clicked, result=result)]
    state = State(request=40 * "ask ", observation=observation(39 * "t" + " tail", result=result), previous=previous)
    for kind in FORMATS:
        format = StepFormat(kind=kind, text_limit=40, result_limit=12, history=1)
        shown = read_state(step_prompt(state, format), format)
        assert shown.observation.controls[-1].control_text == 39 * "t" + "…"
        assert [c.control_text for c in shown.observation.controls[:4]] == ["File", "Bold", "Left", "Left"]
        assert [p.result for p in shown.previous] == ["Selected xxx…"]
        assert shown.request == state.request


def test_thoughts_are_left_out_where_asked_for():
    action = Action(thought="It is bold", control_label="2", control_name="Bold", function="click_input")
    for kind in FORMATS:
        assert "It is bold" in step_answer(action, observation(), StepFormat(kind=kind))
        assert "It is bold" not in step_answer(action, observation(), StepFormat(kind=kind, thoughts=False))


# Constrained decoding ------------------------------------------------------------------------------------------------


def accepted(schema: dict, answer: str) -> bool:
    """Whether llguidance, given the schema, lets a model write the answer to its end."""
    import llguidance
    from llguidance import LLMatcher

    tokens = llguidance.LLTokenizer("byte")
    grammar = LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
    matcher = LLMatcher(tokens, grammar)
    ids = tokens.tokenize_str(answer)
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


def test_the_schema_lets_a_model_write_every_answer_and_no_other(format):
    pytest.importorskip("llguidance")
    shown = observation()
    schema, free = answer_schema(format, shown), answer_schema(format)
    good = [
        Action(control_label="2", control_name="Bold", function="click_input"),
        Action(control_label="4", control_name="Left", function="set_edit_text", args={"text": "5 cm"}, plan=["OK"]),
        Action(function="insert_table", args={"rows": 2, "columns": 3}, status="FINISH"),
        Action(thought="why", status="FINISH"),
        Action(control_label="2", control_name="Bold", function="click_input", args={"button": "right"}),
    ]
    for action in good:
        answer = json.dumps(json.loads(step_answer(action, shown, format)), separators=(",", ":"))
        assert accepted(schema, answer) and accepted(free, answer), answer
    unknown = Action(control_label="9", control_name="Zap", function="click_input")
    answer = json.dumps(json.loads(step_answer(unknown, shown, format)), separators=(",", ":"))
    assert not accepted(schema, answer)
    for wrong in (Action(function="format_disk"), Action(function="insert_table", args={"rows": 2})):
        answer = json.dumps(json.loads(step_answer(wrong, shown, format)), separators=(",", ":"))
        assert not accepted(free, answer), answer
