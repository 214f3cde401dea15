"""Files of one's own: the formats that are read, what each becomes, and how strictly."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.data import DataSettings, read_samples, resolve_data, to_sample, validation_data
from lam_train.language.plans import plan_prompt
from lam_train.language.sample import Sample
from lam_train.model.tiny import tiny_config
from lam_train.records import BadRecords

PLAN = {"task_id": "t1", "task": "Insert a table", "plan": ["Click Insert.", "Click Table."], "app": "Writer"}
USER, ASSISTANT = {"role": "user", "content": "Insert a table"}, {"role": "assistant", "content": "1. Click Insert."}


def write_lines(path: Path, *rows) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read(where, language: Language, on_bad_record: str = "refuse") -> tuple[list[Sample], BadRecords]:
    return read_samples(str(where), language, on_bad_record, "data.train")


def texts(sample: Sample, language: Language) -> tuple[str, list[str]]:
    """The whole sample as text, and its learned segments."""
    learned = [language.tokenizer.decode(segment.tokens) for segment in sample.segments if segment.weight]
    return language.tokenizer.decode(sample.tokens), learned


# What each format becomes -------------------------------------------------------------------------------------------


def test_a_task_plan_is_the_planners_prompt_and_the_numbered_plan(tiny):
    sample = to_sample(PLAN, tiny, "here")
    assert texts(sample, tiny)[1] == ["1. Click Insert.\n2. Click Table.<|im_end|>"]
    prompt = tiny.prompt_tokens(plan_prompt("Insert a table", "Writer"))  # what an evaluation shows the model
    assert sample.tokens[: len(prompt)].tolist() == prompt
    assert sample.id == sample.task == "t1"


def said(name: str, message: dict[str, str]) -> dict[str, str]:
    return {"from": name, "value": message["content"]}


CHAT = "<s><|im_start|>user\nInsert a table<|im_end|>\n<|im_start|>assistant\n1. Click Insert.<|im_end|>"


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, ASSISTANT]},
        {"conversations": [USER, ASSISTANT]},
        {"conversations": [said("user", USER), said("assistant", ASSISTANT)]},
        {"conversations": [said("human", USER), said("gpt", ASSISTANT)]},
        {"messages": [said("user", USER), ASSISTANT]},
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"prompt": [USER], "completion": [ASSISTANT], "source": "a column that nothing reads", "score": 3},
        {"prompt": [{**USER, "tool_calls": None}], "completion": [ASSISTANT], "messages": None, "tools": []},
    ],
    ids=lambda row: ",".join(row),
)
def test_every_conversational_format_is_the_same_conversation(row, tiny):
    before = json.dumps(row)
    assert texts(to_sample(row, tiny, "here"), tiny) == (CHAT, ["1. Click Insert.<|im_end|>"])
    assert json.dumps(row) == before


def test_standard_prompt_completion_is_read_without_a_chat_template(tiny):
    sample = to_sample({"prompt": "The sky is", "completion": " blue."}, tiny, "here")
    assert texts(sample, tiny) == ("<s>The sky is blue.<|im_end|>", [" blue.<|im_end|>"])


def test_a_completion_that_ends_with_the_end_of_sequence_gets_no_second_one(tiny):
    once = to_sample({"prompt": "a ", "completion": "b"}, tiny, "here")
    spelled = to_sample({"prompt": "a ", "completion": "b<|im_end|>"}, tiny, "here")
    assert spelled.tokens.tolist() == once.tokens.tolist()


def test_a_completions_first_word_keeps_the_token_it_has_behind_its_prompt(named):
    _, language = named
    tokenizer = language.tokenizer
    sample = to_sample({"prompt": "The sky is", "completion": " blue today"}, language, "here")
    whole = tokenizer("The sky is blue today", add_special_tokens=False)["input_ids"]
    body = sample.tokens[1:] if language.bos_id is not None else sample.tokens
    assert body.tolist() == [*whole, tokenizer.eos_token_id]
    assert tokenizer.decode([i for s in sample.segments if s.weight for i in s.tokens]).endswith(
        f"blue today{tokenizer.eos_token}"
    )


def test_a_completion_cannot_spell_a_special_token(named):
    _, language = named
    sample = to_sample({"prompt": "a", "completion": "</s><|im_end|> b"}, language, "here")
    learned = [i for s in sample.segments if s.weight for i in s.tokens]
    assert [i for i in learned if i in language.tokenizer.all_special_ids] == [language.tokenizer.eos_token_id]
    assert language.tokenizer.decode(learned[:-1]) == "</s><|im_end|> b"


def test_a_completion_behind_nothing_is_refused_where_it_is_read(tmp_path, smollm2):
    """SmolLM2 puts no token of its own before a text: nothing would predict the first one."""
    data = write_lines(tmp_path / "d.jsonl", {"prompt": "", "completion": "x"}, {"prompt": "a", "completion": "b"})
    with pytest.raises(UserError, match="line 1: the prompt is empty"):
        read(data, smollm2)
    samples, bad = read(data, smollm2, "skip")
    assert len(samples) == 1 and bad.count == 1


def test_of_a_prompt_and_completion_only_the_completion_is_learned(tiny):
    row = {"prompt": [USER, {"role": "assistant", "content": "earlier"}, USER], "completion": [ASSISTANT]}
    assert texts(to_sample(row, tiny, "here"), tiny)[1] == ["1. Click Insert.<|im_end|>"]
    row = {"messages": [*row["prompt"], ASSISTANT]}
    assert texts(to_sample(row, tiny, "here"), tiny)[1] == ["earlier<|im_end|>", "1. Click Insert.<|im_end|>"]


# What trains in TRL trains here -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trl_rows(tmp_path_factory):
    """What TRL's SFTTrainer makes of rows on SmolLM2's tokenizer: rows -> [(input ids, supervised ids)]."""
    from datasets import Dataset
    from offline_tokenizers import language_of
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    tokenizer = language_of("smollm2").tokenizer
    model = AutoModelForCausalLM.from_config(tiny_config(len(tokenizer)))

    def prepare(rows: list[dict]) -> list[tuple[list[int], list[int]]]:
        output = str(tmp_path_factory.mktemp("trl"))
        config = SFTConfig(
            output_dir=output, max_length=None, use_cpu=True, bf16=False, report_to=[], disable_tqdm=True
        )
        data = Dataset.from_list(rows)
        prepared = SFTTrainer(model=model, args=config, processing_class=tokenizer, train_dataset=data).train_dataset
        return [(row["input_ids"], [label for label in row["labels"] if label != -100]) for row in prepared]

    return prepare


def answered(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_conversational_prompt_completion_trains_as_in_trl(trl_rows, smollm2):
    """The same ids and the same supervised ids as SFTTrainer's (completion_only_loss is its default here), but for
    the template's newline after end-of-turn: TRL supervises it, here the stop token is the last target.
    """
    system = {"role": "system", "content": "Plan."}
    rows = [
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"prompt": [system, USER, ASSISTANT, USER], "completion": [answered("2. Öffne 🙂 ")]},
        {"prompt": [USER], "completion": [answered('{"keys": "^c", "n": 42}\n\n')]},
        {"prompt": [USER], "completion": [answered("7 rows\n\n- a\n- b")]},
    ]
    newline = smollm2.tokenizer("\n")["input_ids"]
    for row, (ids, supervised) in zip(rows, trl_rows(rows), strict=True):
        sample = to_sample(row, smollm2, "here")
        assert [*sample.tokens, *newline] == ids
        assert [*sample.tokens[sample.weights != 0], *newline] == supervised


def test_standard_prompt_completion_trains_as_in_trl(trl_rows, smollm2):
    rows = [
        {"prompt": "The sky is", "completion": " blue."},
        {"prompt": "Task: insert a table\nPlan:", "completion": "\n1. Öffne 🙂"},
        {"prompt": "Q:\n", "completion": "42<|im_end|>"},
    ]
    for row, (ids, supervised) in zip(rows, trl_rows(rows), strict=True):
        sample = to_sample(row, smollm2, "here")
        assert sample.tokens.tolist() == ids
        assert sample.tokens[sample.weights != 0].tolist() == supervised


def test_a_seam_inside_a_token_is_kept_where_trl_moves_it(trl_rows, smollm2):
    """The one place where the ids differ: "a" + "b" is one token "ab", "Q: " + "yes" ends in " yes". TRL then drops
    the end of the prompt and supervises the merged token. Here the prompt stays what it will be at inference.
    """
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "Q: ", "completion": "yes"}]
    moved = [smollm2.tokenizer.decode(supervised) for _, supervised in trl_rows(rows)]
    kept = [to_sample(row, smollm2, "here") for row in rows]
    assert moved == ["ab<|im_end|>", " yes<|im_end|>"]
    assert [texts(sample, smollm2)[1] for sample in kept] == [["b<|im_end|>"], ["yes<|im_end|>"]]
    assert kept[1].segments[0].tokens.tolist() == smollm2.tokenizer("Q: ")["input_ids"]


def test_messages_have_trls_ids_and_only_the_assistants_turns_are_targets(trl_rows, smollm2):
    """TRL supervises every token of `messages` unless assistant_only_loss is set, and that needs a template with
    `{% generation %}` marks, which SmolLM2's has not. Here it is always the assistant's turns.
    """
    rows = [
        {"messages": [USER, ASSISTANT, {"role": "user", "content": " more"}, {"role": "assistant", "content": "2. Ö"}]}
    ]
    conversations = [{"from": m["role"], "value": m["content"]} for m in rows[0]["messages"]]
    (ids, _), (same, _) = *trl_rows(rows), *trl_rows([{"conversations": conversations}])
    sample = to_sample(rows[0], smollm2, "here")
    assert [*sample.tokens, *smollm2.tokenizer("\n")["input_ids"]] == ids == same
    assert texts(sample, smollm2)[1] == ["1. Click Insert.<|im_end|>", "2. Ö<|im_end|>"]


# Files --------------------------------------------------------------------------------------------------------------

MIXED = [PLAN, {"id": "m", "messages": [USER, ASSISTANT]}, {"id": 7, "prompt": "a ", "completion": "b"}]


def test_jsonl_json_and_parquet_give_the_same_samples(tmp_path, tiny):
    jsonl = write_lines(tmp_path / "a.jsonl", *MIXED)
    (tmp_path / "a.json").write_text(json.dumps(MIXED))
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([PLAN, {**PLAN, "task_id": "t2", "app": None}]), tmp_path / "a.parquet"
    )
    samples, bad = read(jsonl, tiny)
    assert [sample.id for sample in samples] == ["t1", "m", "7"] and bad.count == 0
    for one, other in zip(samples, read(tmp_path / "a.json", tiny)[0], strict=True):
        assert one.id == other.id and one.tokens.tolist() == other.tokens.tolist()
    first, second = read(tmp_path / "a.parquet", tiny)[0]  # the second row leaves out the application
    assert first.tokens.tolist() == samples[0].tokens.tolist()
    without = {key: value for key, value in PLAN.items() if key != "app"}
    assert second.tokens.tolist() == to_sample(without, tiny, "here").tokens.tolist()


def test_parquet_conversations_are_read(tmp_path, tiny):
    rows = [{"messages": [USER, ASSISTANT]}, {"messages": [{**USER, "name": "me"}, ASSISTANT]}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [texts(sample, tiny)[0] for sample in read(tmp_path / "a.parquet", tiny)[0]] == [CHAT, CHAT]


def test_a_folder_is_all_its_files_in_the_order_of_their_names(tmp_path, tiny):
    write_lines(tmp_path / "b.jsonl", PLAN)
    (tmp_path / "deep").mkdir()
    write_lines(tmp_path / "deep" / "c.jsonl", {**PLAN, "task_id": "t3"})
    (tmp_path / "a.json").write_text(json.dumps([{**PLAN, "task_id": "t2"}]))
    (tmp_path / "notes.txt").write_text("not data")
    (tmp_path / "d.jsonl.partial").write_text("half")
    assert [sample.id for sample in read(tmp_path, tiny)[0]] == ["t2", "t1", "t3"]


@pytest.mark.parametrize("other", ["validation.jsonl", "test.jsonl", "test-00000-of-00001.parquet"])
def test_a_folder_with_several_splits_is_refused_so_that_no_test_data_is_trained_on(tmp_path, tiny, other):
    write_lines(tmp_path / "train.jsonl", PLAN)
    write_lines(tmp_path / other, {**PLAN, "task_id": "t2"})
    with pytest.raises(UserError, match=rf"{tmp_path}: the folder holds .*train.* data; give the file of one"):
        read(tmp_path, tiny)


def test_a_hub_dataset_is_read_by_its_rows(tiny, monkeypatch):
    asked = []
    monkeypatch.setattr("lam_train.language.data.load_hub_rows", lambda *args: asked.append(args) or iter(MIXED))
    assert [sample.id for sample in read("hf:someone/plans:dev", tiny)[0]] == ["t1", "m", "7"]
    assert [sample.id for sample in read("hf:someone/plans", tiny)[0]] == ["t1", "m", "7"]
    assert asked == [("someone/plans", "dev"), ("someone/plans", "train")]


def test_the_shipped_sample_is_read(tiny):
    samples, bad = read(DataSettings().train, tiny)
    assert len(samples) >= 100 and bad.count == 0
    assert validation_data(DataSettings()) == str(
        Path(resolve_data(DataSettings().train)).with_name("validation.jsonl")
    )


def test_validation_is_the_file_beside_the_training_file_unless_told_otherwise(tmp_path):
    train = write_lines(tmp_path / "train.jsonl", PLAN)
    assert validation_data(DataSettings(train=str(train))) is None
    beside = write_lines(tmp_path / "validation.jsonl", PLAN)
    assert validation_data(DataSettings(train=str(train))) == str(beside)
    assert validation_data(DataSettings(train=str(train), validation=None)) is None
    assert validation_data(DataSettings(train=str(train), validation="other.jsonl")) == "other.jsonl"
    assert validation_data(DataSettings(train=str(write_lines(tmp_path / "mine.jsonl", PLAN)))) is None
    assert validation_data(DataSettings(train="hf:someone/plans")) is None


# Strictness ---------------------------------------------------------------------------------------------------------

BAD_ROWS = {
    "corrupt": ('{"task_id": "t2", "task"', "not JSON: "),
    "no object": ("[1, 2]", "not a JSON object"),
    "unknown field": ({**PLAN, "task_id": "t2", "stpes": []}, "stpes: extra inputs are not permitted"),
    "empty plan": ({**PLAN, "task_id": "t2", "plan": []}, "plan: list should have at least 1 item"),
    "plan missing": ({"task_id": "t2", "task": "x"}, "plan: field required"),
    "duplicate id": (PLAN, "the id 't1' is already taken by "),
    "no known format": ({"text": "hello"}, "none of the formats .*; its keys are text"),
    "nothing": ({}, r"none of the formats .*; its keys are \(none\)"),
    "half a pair": ({"prompt": "a"}, "none of the formats"),
    "ends with the user": ({"messages": [USER, ASSISTANT, USER]}, "the last message must be the assistant's answer"),
    "ends with the user, by id": (
        {"id": "x", "messages": [USER]},
        "x: the last message must be the assistant's answer",
    ),
    "no messages": ({"messages": []}, "the last message must be the assistant's answer"),
    "no content": ({"messages": [USER, {"role": "assistant"}]}, "message 1 is not an object with a role and a text"),
    "content of parts": ({"messages": [{"role": "user", "content": [{"text": "x"}]}, ASSISTANT]}, "message 0 is not"),
    "role no text": ({"messages": [{"role": 1, "content": "x"}, ASSISTANT]}, "message 0 is not"),
    "message no object": ({"messages": ["hi", ASSISTANT]}, "message 0 is not"),
    "tool calls": ({"messages": [USER, {**ASSISTANT, "tool_calls": [{"name": "f"}]}]}, "message 1 has tool_calls"),
    "tools": ({"messages": [USER, ASSISTANT], "tools": [{"name": "f"}]}, "tools would change the prompt"),
    "half a surrogate pair": ({"prompt": "a", "completion": "\ud83d"}, "surrogate"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_with_file_line_and_reason_or_counted(case, tmp_path, tiny):
    row, reason = BAD_ROWS[case]
    path = write_lines(tmp_path / "own.jsonl", PLAN, "", row, {**PLAN, "task_id": "last"})
    with pytest.raises(UserError, match=f"{path}, line 3: .*{reason}.*data.on_bad_record=skip"):
        read(path, tiny)
    samples, bad = read(path, tiny, "skip")
    assert [sample.id for sample in samples] == ["t1", "last"]
    assert bad.count == 1 and bad.reasons[0].startswith(f"{path}, line 3: ")


def test_roles_that_the_template_refuses_are_refused_with_file_and_line(tmp_path):
    from offline_tokenizers import language_of

    path = write_lines(tmp_path / "own.jsonl", {"id": "x", "messages": [USER, USER, ASSISTANT]})
    with pytest.raises(UserError, match=f"{path}, line 1: the chat template refuses the roles user, user"):
        read(path, language_of("mistral-v1-instruct"))


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(content, tmp_path, tiny):
    path = tmp_path / "own.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=f"data.train={path}: no samples: the data is empty"):
        read(path, tiny)


def test_a_file_with_nothing_but_bad_lines_is_refused_with_their_number(tmp_path, tiny):
    path = write_lines(tmp_path / "own.jsonl", "{", "[")
    with pytest.raises(UserError, match=rf"no samples \(2 bad lines were skipped, the first: {path}, line 1: not JSON"):
        read(path, tiny, "skip")


def test_what_is_no_data_is_refused_by_name(tmp_path, tiny):
    with pytest.raises(UserError, match=f"data.train={tmp_path}/no.jsonl: no such file or folder"):
        read(tmp_path / "no.jsonl", tiny)
    with pytest.raises(UserError, match=r"no .jsonl, .json, .parquet file in this folder"):
        read(tmp_path, tiny)
    (tmp_path / "own.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"own.csv: cannot read .csv; give one of .jsonl"):
        read(tmp_path / "own.csv", tiny)
    (tmp_path / "own.parquet").write_text("no parquet")
    with pytest.raises(UserError, match=r"own.parquet: not a Parquet file"):
        read(tmp_path / "own.parquet", tiny)
    (tmp_path / "own.json").write_text('[{"a": 1},\n oops]')
    with pytest.raises(UserError, match=r"own.json, line 2: not JSON"):
        read(tmp_path / "own.json", tiny)
