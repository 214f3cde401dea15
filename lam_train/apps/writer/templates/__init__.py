"""The documents that tasks start from: their names, descriptions and files.

The texts in `source/` were written for this project and are dedicated to the public domain (CC0 1.0); the .docx files
are made from them by `lam_train/apps/writer/make_templates.py`.
"""

import difflib
import json
from functools import cache
from pathlib import Path

import yaml

from lam_train.errors import UserError

FOLDER = Path(__file__).resolve().parent


def descriptions() -> dict[str, str]:
    """Template name -> what the document is, from `description.json` (file name -> description, as UFO has it)."""
    listed = json.loads((FOLDER / "description.json").read_text(encoding="utf-8"))
    return {Path(file).stem: text for file, text in listed.items()}


def template_path(name: str) -> Path:
    """The .docx of a template, by its name ("letter"); raises UserError with the nearest name."""
    path = FOLDER / f"{name}.docx"
    if Path(name).name == name and path.is_file():
        return path
    known = sorted(descriptions())
    near = difflib.get_close_matches(name, known, n=1)
    raise UserError(
        f"template {name!r}: no such document; {f'did you mean {near[0]}? ' if near else ''}There are "
        f"{', '.join(known)}"
    )


@cache
def all_material() -> dict[str, dict]:
    """`material.yaml` as it is."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FOLDER / "material.yaml").read_text(encoding="utf-8"), loader)


@cache
def material(name: str) -> dict[str, list[str] | dict[str, str]]:
    """What tasks write into a template: its own texts, then those for every template."""
    own = all_material().get(name, {})
    lists = {kind: [*own.get(kind, []), *texts] for kind, texts in all_material()["every"].items()}
    return {**lists, "words": own.get("words", {}), "phrases": own.get("phrases", {})}
