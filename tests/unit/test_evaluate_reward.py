"""evaluate_reward, given the same command once more."""

import json

from lam_train.__main__ import main
from lam_train.records import write_jsonl
from tests.hand_made import trajectory


def test_steps_that_do_not_fit_are_dropped_each_time_the_same_command_is_given(tmp_path, caplog):
    """Behind a first run they are all that has no score: nothing is left to do, which is no mistake."""
    won = [trajectory(number) for number in range(8)]
    lost = [t.model_copy(update={"trajectory_id": f"lost-{t.trajectory_id}", "outcome": "fail"}) for t in won]
    write_jsonl(tmp_path / "learned" / "episodes-00000.jsonl", [*won, *lost])
    tiny = ["model=tiny", "batching.workers=0", "format.kind=compact"]
    learning = ["model.lora=null", "trainer.max_steps=1", "trainer.batch_size=4", "reward.held_out=0.3"]
    data, run_dir = f"data.train=[{tmp_path}/learned]", f"run_dir={tmp_path}/reward"
    assert main(["+recipe=phase4a", *tiny, *learning, data, run_dir]) == 0

    long = won[0].steps[0]
    wordy = long.observation.controls[0].model_copy(update={"control_text": "word " * 2000})
    observation = long.observation.model_copy(update={"controls": [wordy, *long.observation.controls[1:]]})
    longer = won[0].model_copy(update={"steps": [long.model_copy(update={"observation": observation})]})
    test = [
        t.model_copy(update={"task": t.task.model_copy(update={"split": "test"})}) for t in (longer, *won[1:], *lost)
    ]
    write_jsonl(tmp_path / "test" / "episodes-00000.jsonl", test)
    asked = ["+recipe=evaluate_reward", *tiny, "batching.overlong=drop", "batching.max_tokens=4096"]
    asked += [f"+evaluate_reward.models.one={tmp_path}/reward/model", f"evaluate_reward.data=[{tmp_path}/test]"]
    asked.append(f"run_dir={tmp_path}/compared")
    said = []
    for _ in range(2):
        caplog.clear()
        assert main(asked) == 0
        assert "1 steps dropped as overlong" in caplog.text
        said.append(json.loads((tmp_path / "compared/evaluation/one/scores.json").read_text()))
    assert said[0] == said[1] and len(said[0]) == sum(len(t.steps) for t in test) - 1
    assert f"{len(said[0])} steps scored before" in caplog.text and " steps," not in caplog.text
