"""A Writer that the tests of a module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.settings import WriterSettings
from tests.writer.hand import Hand, write_document


@pytest.fixture(scope="session")
def templates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("templates")
    write_document(folder / "plain.docx")
    return folder


@pytest.fixture(scope="module")
def hand(templates) -> Iterator[Hand]:
    """A Writer kept warm for the tests of a module; each begins an episode of its own."""
    environment = WriterEnvironment(WriterSettings(max_steps=1000), templates)
    yield Hand(environment)
    environment.close()
