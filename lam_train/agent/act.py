"""Acting for a user: one request about a document of their own, done in the application and saved beside the run."""

import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import Field

from lam_train.agent.episode import EpisodeSettings, ask, run_episode
from lam_train.agent.policy import Policy
from lam_train.apps.application import Application, ApplicationError
from lam_train.errors import Fault, UserError
from lam_train.records import Step, Task, Trajectory, write_jsonl
from lam_train.settings import Settings

log = logging.getLogger(__name__)

DOCUMENTS = (".docx", ".odt", ".doc", ".rtf")


class ActSettings(Settings):
    """What a user asks for."""

    request: str = ""
    """what is to be done, in words"""
    document: str = ""
    """the document to do it in; it is copied, never changed"""
    screenshots: bool = False
    """keep a picture of the screen after every step"""
    show: int = Field(120, gt=0)
    """characters of a step that are printed"""


def the_document(settings: ActSettings, output: Path | None = None) -> Path:
    """The document's path; raises UserError where request or document are missing, or `output` is where it lies."""
    if not settings.request.strip():
        raise UserError('act.request is not set: say what is to be done, e.g. act.request="Make the title bold"')
    if not settings.document:
        raise UserError("act.document is not set: give the document, e.g. act.document=letter.docx")
    path = Path(settings.document).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"act.document={settings.document}: no such file")
    if path.suffix.lower() not in DOCUMENTS:
        raise UserError(f"act.document={settings.document}: not one of {', '.join(DOCUMENTS)}")
    if output is not None and output.resolve() in (path.parent.resolve(), path.resolve().parent):
        raise UserError(f"run_dir={output}: the document's own folder, where the result would replace it; take another")
    return path


def act(
    settings: ActSettings,
    policy: Policy,
    open_application: Callable[[Path], Application],
    episode: EpisodeSettings,
    output: Path,
) -> Trajectory:
    """Does the request, and writes the document, `trajectory.jsonl` and any pictures into `output`.

    `open_application` gets the folder that the document lies in. Prints each step as it is made.
    Raises UserError where `output` is the document's folder, Fault where the policy did not finish; what it had done by
    then is written all the same.
    """
    document = the_document(settings, output)
    environment = open_application(document.parent)
    task = Task(task_id=document.stem, request=settings.request, app=environment.name, template=document.name)
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        log.info("%2d. %s", len(steps), shortened(step_line(step), settings.show))
        if settings.screenshots:
            output.mkdir(parents=True, exist_ok=True)
            (output / f"step-{len(steps):02d}.png").write_bytes(environment.screenshot())

    try:
        log.info("%s: %s", document.name, settings.request)
        trajectory = run_episode(
            task, environment, partial(ask, policy, environment), episode, policy=policy.name, on_step=on_step
        )
        write_jsonl(output / "trajectory.jsonl", [trajectory])
        if trajectory.outcome == "error":
            raise Fault(f"{trajectory.reason}; the document is as it was: {document}")
        try:
            saved = Path(environment.save())
        except ApplicationError as error:
            raise Fault(f"{document.name} could not be saved: {error}; the steps are in {output}") from None
        result = output / saved.name
        shutil.copyfile(saved, result)
    finally:
        environment.close()
    if trajectory.outcome == "fail":
        raise Fault(f"not done: {trajectory.reason}. The document as far as it went: {result}")
    log.info("done, as %s says, in %.1f s: %s", policy.name, trajectory.seconds, result)
    return trajectory


def step_line(step: Step) -> str:
    """A step in words, on one line."""
    action = step.action
    if step.problem:
        done = f"no action: {step.problem}"
    else:
        arguments = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in action.args.items())
        done = f"{action.function}({arguments})" if action.function else "nothing"
        done += f" on {action.control_name or action.control_label}" if action.control_label else ""
    result = f" -> {step.result}" if step.result and not step.problem else ""
    return " ".join(f"{done}{result}{', finished' if action.status == 'FINISH' else ''}".split())


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
