"""Generation: padding, end of turn, limits, and independence from the model's own settings."""

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from lam_train.errors import UserError
from lam_train.evaluate.generate import generate_answers, model_planner
from lam_train.records import TaskPlan

END = 2
LIMIT = 12


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """A model this small gains nothing from threads and loses seconds to them on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
        use_cache=False,  # as the training library loads it
        pad_token_id=END,
        eos_token_id=END,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config)


def prompts(count=24):
    """Prompts of many lengths; the end-of-turn token, which is also the padding token, stands inside them."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 40, (count,), generator=generator).tolist()
    drawn = [torch.randint(0, 40, (length,), generator=generator).tolist() for length in lengths]
    return [[*prompt, END, 7] for prompt in drawn]


def text(ids):
    return " ".join(map(str, ids))


def greedy_by_hand(model, prompt):
    """The definition: no padding, no cache, the whole sequence through the model for every token."""
    ids = list(prompt)
    model.eval()
    with torch.no_grad():
        for _ in range(LIMIT):
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
            if token == END:
                return ids[len(prompt) : -1], False, len(ids) - len(prompt)
    return ids[len(prompt) :], True, LIMIT


@pytest.mark.parametrize("batch_size", [1, 5, 8])
def test_every_batch_size_gives_the_greedy_answers(model, batch_size):
    answers = generate_answers(model, prompts(), text, [END], LIMIT, batch_size)
    expected = [greedy_by_hand(model, prompt) for prompt in prompts()]
    assert [(a.text, a.cut, a.tokens) for a in answers] == [(text(ids), cut, n) for ids, cut, n in expected]
    assert {answer.cut for answer in answers} == {True, False}  # both ways to end occur
    assert len({answer.text for answer in answers}) > 12


def test_any_of_several_end_tokens_ends_an_answer(model):
    first = [greedy_by_hand(model, prompt)[0][:1] for prompt in prompts()]
    other = next(ids[0] for ids in first if ids)
    answers = generate_answers(model, prompts(), text, [END, other], LIMIT, 8)
    for ids, answer in zip(first, answers, strict=True):
        if ids == [other]:
            assert (answer.text, answer.cut, answer.tokens) == ("", False, 1)


def test_the_models_own_generation_settings_are_left_out_and_left_alone(model):
    plain = generate_answers(model, prompts(), text, [END], LIMIT, 8)
    own = GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=50.0, max_length=3, eos_token_id=9)
    before, model.generation_config = model.generation_config, own
    model.train()
    try:
        assert generate_answers(model, prompts(), text, [END], LIMIT, 8) == plain
        assert model.generation_config is own
        assert model.training
    finally:
        model.generation_config = before
        model.eval()


def test_a_prompt_that_leaves_no_room_is_refused(model):
    with pytest.raises(UserError, match=r"longest prompt \(120 tokens\).*context of 128"):
        generate_answers(model, [[3] * 120], text, [END], LIMIT, 8)


def test_no_prompts_no_answers(model):
    assert generate_answers(model, [], text, [END], LIMIT, 8) == []


def test_a_model_planner_shows_the_task_and_the_application_but_not_the_plan(model):
    shown = []

    def encode(messages):
        shown.append(messages)
        return [3, 4, 5]

    task = TaskPlan(task_id="a", task="Add a border", plan=["Click SECRET"], app="Writer", page="p")
    answers = model_planner(model, encode, text, [END], LIMIT, 2)([task])
    assert len(answers) == 1
    assert [message["role"] for message in shown[0]] == ["system", "user"]
    assert "Add a border" in shown[0][1]["content"]
    assert "Writer" in shown[0][1]["content"]
    assert "SECRET" not in str(shown)
