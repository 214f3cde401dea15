"""Phase 2 on trajectories made by hand: from LAM1's weights to a model that answers as the expert did."""

import torch
from safetensors.torch import load_file

from lam_train.__main__ import main
from lam_train.evaluate.generate import generate_answers
from lam_train.language.conversation import Language
from lam_train.language.steps import StepFormat, parse_answer, step_prompt
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.records import write_jsonl
from tests.conftest import base_overrides, metrics
from tests.hand_made import trajectory


def overrides(tmp_path, *more: str) -> list[str]:
    """Phase 2 in the compact format with the tiny model, on the trajectories in tmp_path."""
    kept = ["model=tiny", "data.validation=null", "batching.workers=0", "batching.max_tokens=4096"]
    where = [f"data.train={tmp_path}/episodes", f"run_dir={tmp_path}/phase2"]
    return ["+recipe=phase2", "format.kind=compact", *kept, *where, *more]


def write_episodes(tmp_path, *trajectories):
    write_jsonl(tmp_path / "episodes" / "episodes-00000.jsonl", trajectories)


def test_phase_2_begins_with_the_weights_of_phase_1(plans, tmp_path):
    write_episodes(tmp_path, trajectory(0))
    short = ["trainer.max_steps=1", "export.at_end=true"]
    assert main([*base_overrides(plans), *short, f"run_dir={tmp_path}/phase1"]) == 0
    lam1 = f"{tmp_path}/phase1/model"
    assert main(overrides(tmp_path, *short, f"model.path={lam1}", "trainer.lr=1e-9", "trainer.warmup_steps=0")) == 0
    before, after = (load_file(f"{tmp_path}/{run}/model/model.safetensors") for run in ("phase1", "phase2"))
    untrained = load_model(ModelSettings(source="tiny")).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-7) for name in before)
    assert any(not torch.allclose(before[name], untrained[name], atol=1e-7) for name in before)


def test_a_model_trained_by_phase_2_acts_as_the_expert_did(tmp_path):
    made = trajectory(0, paragraphs=1)
    write_episodes(tmp_path, made, trajectory(2, outcome="fail"), trajectory(3, split="explore"))
    training = ["trainer.lr=4e-3", "trainer.schedule=constant", "trainer.epochs=80", "trainer.batch_size=2"]
    assert main(overrides(tmp_path, *training, "checkpoint.every_steps=1000")) == 0
    rows = metrics(tmp_path / "phase2")
    assert rows[-1]["loss"] < 0.1 < rows[0]["loss"]
    assert rows[0]["tokens_logical"] > 1.5 * rows[0]["tokens_physical"]  # the screen is shared
    card = (tmp_path / "phase2/model/README.md").read_text()
    assert "trajectories skipped: fail" in card and "trajectories skipped: split explore" in card

    saved = ModelSettings(path=f"{tmp_path}/phase2/model")
    language = Language(load_tokenizer(saved))
    format = StepFormat(kind="compact")
    prompts = [language.prompt_tokens(step_prompt(state, format)) for state in made.states()]
    end = [language.end_of_turn_id]
    answers = generate_answers(load_model(saved), prompts, language.tokenizer.decode, end, 120, 2)
    for answer, step in zip(answers, made.steps, strict=True):
        assert parse_answer(answer.text, step.observation, format) == step.action


def test_inspection_shows_the_screen_the_target_and_what_was_left_out(tmp_path, capsys):
    write_episodes(tmp_path, trajectory(0), trajectory(1), trajectory(2, outcome="unsure"))
    assert main(overrides(tmp_path, "inspect=true", "batching.max_tokens=1100")) == 0
    said = capsys.readouterr().out
    assert "MenuItem: File|Edit|View|Insert|Format|Table" in said and "request: Make the words" in said
    targets = [part.split("⟧")[0] for part in said.split("⟦")[1:] if not part.startswith("target")]
    assert len(targets) == 2 and all(t.startswith('{"') and t.endswith("}<|im_end|>") for t in targets)
    for words in (
        "trajectories learned from: 2",
        "trajectories skipped: unsure: 1",
        "prompts shortened: ",
        "tree ratio",
    ):
        assert words in said


def test_what_cannot_be_trained_on_is_said_with_the_key_and_exit_status_2(tmp_path, caplog):
    write_episodes(tmp_path, trajectory(0), trajectory(1, split="test"))
    assert main(overrides(tmp_path)) == 2
    assert "data.train=" in caplog.text and "test split" in caplog.text
    write_episodes(tmp_path, trajectory(0))
    assert main(overrides(tmp_path, "batching.max_tokens=300")) == 2
    assert "batching.max_tokens=300: 2 of 2 training samples cannot be shortened to that" in caplog.text
    assert main(overrides(tmp_path, "batching.max_tokens=1100", "batching.overlong=refuse")) == 2
    assert "1 of 2 training samples are longer" in caplog.text
    assert not (tmp_path / "phase2" / "checkpoints").exists()
