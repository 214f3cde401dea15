"""Trajectories made by hand: a small Writer-like screen and two-step tasks on it, without an application."""

import random

from lam_train.records import Action, Control, Observation, Step, Task, Trajectory

MENUS = ["File", "Edit", "View", "Insert", "Format", "Table"]
BUTTONS = ["Cut", "Copy", "Paste", "Bold", "Italic", "Underline", "Left", "Center", "Right", "Page Break", "Footnote"]
FORMATS = ["Bold", "Italic", "Underline"]
WORDS = ["the", "library", "opens", "on", "sundays", "and", "welcomes", "visitors", "with", "books", "music", "coffee"]


def screen(paragraphs: list[str], result: str = "", checked: str = "", disabled: tuple[str, ...] = ()) -> Observation:
    """Menus, buttons, a combo box and the document's text, labelled in this order."""
    rows: list[dict] = [{"control_text": text, "control_type": "MenuItem"} for text in MENUS]
    rows += [
        {"control_text": t, "control_type": "Button", "checked": t == checked, "enabled": t not in disabled}
        for t in BUTTONS
    ]
    rows += [{"control_text": "Font Name", "control_type": "ComboBox", "value": "Liberation Serif"}]
    rows += [
        {"control_text": t, "control_type": "Document", "value": "Text Body", "selected": False} for t in paragraphs
    ]
    controls = [Control(label=str(label), **row) for label, row in enumerate(rows, start=1)]
    return Observation(window="letter.docx", controls=controls, result=result)


def trajectory(number: int, split: str = "train", outcome: str = "success", paragraphs: int = 3) -> Trajectory:
    """A phrase is selected, then a button pressed: two steps."""
    rng = random.Random(number)
    texts = [" ".join(rng.choices(WORDS, k=12)).capitalize() for _ in range(paragraphs)]
    phrase, wanted = " ".join(texts[0].split()[1:3]), rng.choice(FORMATS)
    before = screen(texts, disabled=("Cut", "Copy"))
    selected = f'selected "{phrase}"'
    after = screen(texts, result=selected)
    button = next(c for c in after.controls if c.control_text == wanted)
    select = Action(function="select_text", args={"text": phrase}, plan=[f"click {wanted}"])
    click = Action(
        control_label=button.label, control_name=button.control_text, function="click_input", status="FINISH"
    )
    task = Task(task_id=f"task-{number}", request=f"Make the words {phrase} {wanted.lower()}", split=split)
    steps = [
        Step(observation=before, action=select, result=selected),
        Step(observation=after, action=click, acceptable=[button.label]),
    ]
    return Trajectory(trajectory_id=f"trajectory-{number}", task=task, policy="by hand", steps=steps, outcome=outcome)
