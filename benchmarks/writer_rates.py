"""How fast Writer is as an environment, and what it needs: times of each part, steps a second, memory.

    python benchmarks/writer_rates.py --out benchmarks/results/DATE-writer-rates [--episodes 40] [--screen]

An episode here is five steps on a shipped template, as a task has them: a phrase selected and made bold, the Format
menu opened, its Paragraph dialog opened, the dialog cancelled; then the document is saved and read back as it is. Every
step gives a full observation. Steps a second count everything: resets, acts, observations.
"""

import argparse
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from lam_train.apps.writer.environment import TEMPLATES, WriterEnvironment
from lam_train.apps.writer.settings import WriterSettings
from lam_train.records import Action, Observation, Task

PARTS = (
    "reset by undo",
    "reset by opening",
    "select_text",
    "click a button",
    "open a menu",
    "open a dialog",
    "type 20 letters",
)


def label(observation: Observation, name: str) -> str:
    return next(control.label for control in observation.controls if control.control_text == name)


def task_of(template: Path) -> Task:
    return Task(task_id=template.stem, request="Make it bold.", template=template.name)


def phrase(observation: Observation) -> str:
    """Two words of the first long paragraph."""
    text = next(
        c.control_text for c in observation.controls if c.control_type == "Document" and len(c.control_text) > 40
    )
    return " ".join(text.split()[1:3])


def act(environment: WriterEnvironment, function: str, control: str = "", **args) -> Observation:
    observation, _, _, _, info = environment.step(Action(function=function, control_label=control, args=args))
    if info["error"]:
        raise RuntimeError(f"{function}: {info['result']}")
    return observation


def episode(environment: WriterEnvironment, template: Path, timed: Callable) -> int:
    """Plays one; gives the number of its steps. `timed(part, function)` calls the function."""
    observation, _ = environment.reset(options={"task": task_of(template)})
    words = phrase(observation)
    observation = timed("select_text", lambda: act(environment, "select_text", text=words))
    observation = timed("click a button", lambda: act(environment, "click_input", label(observation, "Bold")))
    observation = timed("open a menu", lambda: act(environment, "click_input", label(observation, "Format")))
    observation = timed("open a dialog", lambda: act(environment, "click_input", label(observation, "Paragraph")))
    act(environment, "click_input", label(observation, "Cancel"))
    environment.save()
    return 5


def parts(settings: WriterSettings, template: Path, episodes: int) -> dict[str, float]:
    """Median milliseconds of each part."""
    times: dict[str, list[float]] = {}

    def timed(part: str, function: Callable):
        begun = time.perf_counter()
        value = function()
        times.setdefault(part, []).append(1000 * (time.perf_counter() - begun))
        return value

    options = {"task": task_of(template)}
    for _ in range(3):
        environment = WriterEnvironment(settings)
        timed("start, with the first reset", lambda: environment.reset(options=options))  # noqa: B023
        timed("close", environment.close)
    environment = WriterEnvironment(settings)
    try:
        environment.reset(options=options)
        for _ in range(episodes):
            episode(environment, template, timed)
            timed("reset by undo", lambda: environment.reset(options=options))
            environment.shown = None
            timed("reset by opening", lambda: environment.reset(options=options))
            timed("observe", environment._look)
            timed("type 20 letters", lambda: act(environment, "keyboard_input", keys="twenty letters long."))
            timed("save", environment.save)
            timed("screenshot", environment.screenshot)
    finally:
        environment.close()
    return {part: round(statistics.median(values), 1) for part, values in times.items()}


def rate(settings: WriterSettings, templates: list[Path], instances: int, episodes: int) -> dict[str, float]:
    """Steps and episodes a second of several instances, one thread each, all of them together; their memory."""
    environments = [WriterEnvironment(settings) for _ in range(instances)]
    steps: list[int] = []

    def play(environment: WriterEnvironment, first: int) -> None:
        for number in range(episodes):
            template = templates[(first + number // 4) % len(templates)]  # four episodes a document
            steps.append(episode(environment, template, lambda _, function: function()))

    try:
        for number, environment in enumerate(environments):
            environment.reset(options={"task": task_of(templates[number % len(templates)])})
        threads = [threading.Thread(target=play, args=(e, 5 * n)) for n, e in enumerate(environments)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begun
        memory = [environment.office.memory_mib() for environment in environments]
    finally:
        for environment in environments:
            environment.close()
    return {
        "instances": instances,
        "steps": sum(steps),
        "steps_per_s": round(sum(steps) / seconds, 1),
        "episodes_per_s": round(len(steps) / seconds, 2),
        "memory_mib_each": round(statistics.mean(memory)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=40, help="of each instance")
    parser.add_argument("--screen", action="store_true")
    arguments = parser.parse_args()
    settings = WriterSettings(screen=arguments.screen)
    templates = sorted(TEMPLATES.glob("*.docx"))
    load = os.getloadavg()[0]
    report = {
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "load_before": load,
        },
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "screen": arguments.screen,
        "template": "letter.docx",
        "median_ms": parts(settings, TEMPLATES / "letter.docx", max(3, arguments.episodes // 4)),
        "rates": [rate(settings, templates, instances, arguments.episodes) for instances in (1, 2, 4)],
        "load_after": os.getloadavg()[0],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = "rates-screen.json" if arguments.screen else "rates.json"
    (arguments.out / name).write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
