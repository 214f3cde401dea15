"""The base of every component's settings class.

A settings class lives beside the component that reads it. It is strict: an unknown key, a wrong
type or an impossible value is refused before anything is loaded (`recipe.py` turns the refusal into
a message with the key's full path).
"""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Typed, immutable, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
