"""Which expert collects: the embedded one, a model behind an endpoint, or one of your own."""

import importlib

from pydantic import Field

from lam_train.agent.policy import Policy
from lam_train.collect.trajectories.collection import Planner
from lam_train.errors import UserError
from lam_train.settings import Settings


class ExpertSettings(Settings):
    """The expert whose trajectories are collected."""

    kind: str = "manual"
    """`manual`: the embedded expert of the application; or MODULE:FUNCTION, which returns a Policy or a Planner"""
    options: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """keyword arguments for MODULE:FUNCTION"""


def load_expert(settings: ExpertSettings, application: str) -> Policy | Planner:
    """The expert; raises UserError for one that does not exist."""
    if settings.kind == "manual":
        if application != "writer":
            raise UserError(f"expert.kind=manual knows Writer alone, not {application}; take expert=endpoint")
        from lam_train.apps.writer.expert import ManualExpert

        return ManualExpert()
    return load_by_name(settings.kind, "expert.kind")(**settings.options)


def load_by_name(name: str, key: str):
    """What MODULE:NAME names; raises UserError, with the setting's key, where there is no such thing."""
    module, colon, attribute = name.partition(":")
    if not colon:
        raise UserError(f"{key}={name}: unknown; for one of your own give MODULE:FUNCTION")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{key}={name}: {error}; is the module on PYTHONPATH?") from None
