"""The format that a model was trained on, kept beside its weights, so that it is shown what it knows."""

from pathlib import Path

from pydantic import ValidationError

from lam_train.errors import UserError
from lam_train.language.step_format import StepFormat
from lam_train.records import reason_of

FILE = "step_format.json"


def format_beside(format: StepFormat) -> dict[str, str]:
    """File name -> text, for the model's folder."""
    return {FILE: format.model_dump_json(indent=1) + "\n"}


def trained_format(folder: str | None) -> StepFormat | None:
    """The format of the model in this folder; None where it does not say: a hub id, a model of another origin."""
    file = Path(folder or "").expanduser() / FILE
    if folder is None or not file.is_file():
        return None
    try:
        return StepFormat.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{file}: {reason_of(error)}") from None
