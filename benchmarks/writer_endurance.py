"""Many episodes in a few Writers: what is left behind, how memory grows, how often Writer broke.

    python benchmarks/writer_endurance.py --out benchmarks/results/DATE-writer-rates [--episodes 1000] [--instances 2]

Each episode does three to eight random actions on a shipped template: any control of the observation, any function,
arguments that fit more often than not. Nobody guards the actions: menus, dialogs, toolbars, text and keys as they come.
"""

import argparse
import collections
import json
import os
import random
import threading
import time
from pathlib import Path

import psutil

from lam_train.apps.application import ApplicationError
from lam_train.apps.writer.environment import TEMPLATES, WriterEnvironment
from lam_train.apps.writer.settings import WriterSettings
from lam_train.records import Action, Observation, Task

KEYS = ("hello", "{ENTER}", "^b", "{TAB}", "{ESC}", "^a", "{DEL}", "%{F4}", "^{F12}", "^z", "{DOWN 3}", "+{HOME}", "^h")


def random_action(observation: Observation, dice: random.Random) -> Action:
    control = dice.choice(observation.controls)
    documents = [c for c in observation.controls if c.control_type == "Document" and c.control_text.strip()]
    choice = dice.random()
    if choice < 0.55:
        return Action(function="click_input", control_label=control.label, args={"double": dice.random() < 0.1})
    if choice < 0.7:
        text = dice.choice(("12", '0.5"', "Heading 2", "Liberation Sans", "Some text", ""))
        return Action(function="set_edit_text", control_label=control.label, args={"text": text})
    if choice < 0.85:
        return Action(function="keyboard_input", args={"keys": dice.choice(KEYS)})
    if choice < 0.97 and documents:
        words = dice.choice(documents).control_text.split()
        return Action(function="select_text", args={"text": dice.choice(words)})
    size = {"rows": dice.randint(0, 4), "columns": dice.randint(1, 4)}
    return Action(function="insert_table", args=size)


def what_is_left(folders: set[Path]) -> dict[str, list[str]]:
    """Our processes that still run, and the Writers' folders that are still there."""
    family = psutil.Process().children(recursive=True)
    return {
        "processes_left": [p.name() for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE],
        "folders_left": [str(folder) for folder in folders if folder.exists()],
    }


def arguments_given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    arguments = arguments_given()
    templates = sorted(TEMPLATES.glob("*.docx"))
    counts: collections.Counter[str] = collections.Counter()
    broke: list[str] = []
    folders: set[Path] = set()
    memory: list[float] = []
    numbers = iter(range(arguments.episodes))
    lock = threading.Lock()

    def play(environment: WriterEnvironment) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            dice = random.Random(f"{arguments.seed}-{number}")
            template = templates[(number // 8) % len(templates)].name
            try:
                observation, _ = environment.reset(
                    options={"task": Task(task_id=str(number), request="Anything.", template=template)}
                )
                folders.add(environment.office.folder)
                for _ in range(dice.randint(3, 8)):
                    action = random_action(observation, dice)
                    observation, _, _, _, info = environment.step(action)
                    counts["refused" if info["error"] else "done"] += 1
                environment.save()
                memory.append(environment.office.memory_mib())
                counts["finished"] += 1
            except ApplicationError as error:
                counts["application errors"] += 1
                broke.append(f"episode {number}: {action.function} {action.args}: {error}"[:300])

    environments = [WriterEnvironment(WriterSettings(max_steps=100)) for _ in range(arguments.instances)]
    begun = time.perf_counter()
    threads = [threading.Thread(target=play, args=(environment,)) for environment in environments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    for environment in environments:
        environment.close()
    time.sleep(1)
    report = {
        "episodes": arguments.episodes,
        "instances": arguments.instances,
        "seconds": round(seconds),
        **counts,
        "writers_started": len(folders),
        **what_is_left(folders),
        "memory_mib_median": round(sorted(memory)[len(memory) // 2]),
        "memory_mib_most": round(max(memory)),
        "broke": broke,
        "load": os.getloadavg()[0],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "endurance.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
