"""Puts a curriculum's result together: ladder_result.py RUN_DIRECTORY RESULT_FOLDER [NAME_OF_THE_RUN]

Copies the table with its JSON and plot, and what shows where it comes from: each stage's command line, the training's
curves, the reward model's report, PPO's health page, the exploration's and the collections' cards. The run's path is
written as NAME_OF_THE_RUN (runs/laptop) everywhere.
"""

import json
import shlex
import shutil
import sys
from pathlib import Path

from training_facts import hardware

from lam_train.phases.lineage import Lineage

TEXTS = {  # in the run -> in the result
    "ladder/ladder/README.md": "README.md",
    "ladder/ladder/ladder.json": "ladder.json",
    "trajectories/data/README.md": "trajectories.md",
    "explore_trajectories/data/README.md": "explore_trajectories.md",
    "exploration/data/README.md": "exploration.md",
    "phase4a/evaluation/evaluation.md": "reward_model/evaluation.md",
    "phase4a/evaluation/evaluation.json": "reward_model/evaluation.json",
    "phase4b/health/health.md": "ppo/health.md",
    "phase4b/health/health.json": "ppo/health.json",
    "offline/evaluation/evaluation.md": "offline/evaluation.md",
    "online/evaluation/evaluation.md": "online/evaluation.md",
}
PICTURES = ("ladder/ladder/*.png", "phase*/loss.png", "phase4a/evaluation/*.png", "phase4b/health/*.png",
            "offline/evaluation/*.png", "online/evaluation/*.png")  # fmt: skip


def main(run: Path, target: Path, name: str = "runs/laptop") -> None:
    target.mkdir(parents=True, exist_ok=True)

    def plain(text: str) -> str:
        return text.replace(str(run.absolute()), name)

    for place, copied in TEXTS.items():
        if (run / place).is_file():
            (target / copied).parent.mkdir(parents=True, exist_ok=True)
            (target / copied).write_text(plain((run / place).read_text()))
    for pattern in PICTURES:
        for picture in sorted(run.glob(pattern)):
            stage = picture.relative_to(run).parts[0]
            folder = {"ladder": "", "phase4a": "reward_model", "phase4b": "ppo"}.get(stage, stage)
            (target / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, target / folder / picture.name)
    stages = {path.parent.name: Lineage.of(path.parent) for path in run.glob("*/stage.json")}
    commands = [
        plain(f"python -m lam_train {shlex.join(stage.command)}")
        for _, stage in sorted(stages.items(), key=lambda item: item[1].ended)
    ]
    (target / "commands.sh").write_text("# What the curriculum ran, stage by stage\n" + "\n".join(commands) + "\n")
    versions = json.loads((run / "versions.json").read_text())
    (target / "machine.json").write_text(plain(json.dumps({"hardware": hardware(), **versions}, indent=1)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
