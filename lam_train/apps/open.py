"""Opens the applications that a recipe asks for."""

from pathlib import Path

from lam_train.apps.application import Application
from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.check import check_document


def open_applications(settings: WriterSettings, templates: Path | None = None) -> list[Application]:
    """`settings.instances` Writers that judge their tasks; each starts at its first reset. Close every one of them."""
    return [WriterEnvironment(settings, templates, check_document) for _ in range(settings.instances)]
