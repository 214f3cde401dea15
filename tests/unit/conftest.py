"""What the unit tests share."""

import pytest
from offline_tokenizers import KNOWN, Known, language_of

from lam_train.language.conversation import Language


@pytest.fixture(params=KNOWN)
def named(request) -> tuple[Known, Language]:
    """Every tokenizer with what is known of it."""
    return KNOWN[request.param], language_of(request.param)


@pytest.fixture
def tiny() -> Language:
    return language_of("tiny")


@pytest.fixture
def smollm2() -> Language:
    return language_of("smollm2")
