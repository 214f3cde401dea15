"""Which expert collects: the embedded one, a model behind an endpoint, or one of your own."""

import importlib
from typing import Literal

from pydantic import Field, model_validator

from lam_train.agent.endpoint_policy import EndpointPolicy
from lam_train.agent.policy import Policy
from lam_train.collect.trajectories.llm_expert import EndpointPlanner
from lam_train.collect.trajectories.planner import Planner
from lam_train.endpoint import Endpoint, EndpointSettings
from lam_train.errors import UserError
from lam_train.language.step_format import StepFormat
from lam_train.settings import Settings


class ExpertSettings(Settings):
    """The expert whose trajectories are collected."""

    kind: str = "manual"
    """`manual`: the application's embedded expert; `endpoint`: a large model; or MODULE:FUNCTION, which returns one"""
    options: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """keyword arguments for MODULE:FUNCTION"""
    mode: Literal["plan", "steps"] = "plan"
    """of an endpoint: `plan` plans a whole task in one call (the paper's way), `steps` decides step by step"""
    endpoint: EndpointSettings | None = None
    """the model of kind `endpoint`"""
    images: bool = False
    """show the endpoint's model screenshots too: of the document as it opens, or of each step"""
    filter: bool = True
    """a second call judges each instantiated task, as UFO does (mode `plan`)"""

    @model_validator(mode="after")
    def _complete(self) -> "ExpertSettings":
        if self.kind == "endpoint" and self.endpoint is None:
            raise ValueError("endpoint: give its base_url and model (expert.kind=endpoint asks it)")
        return self


def load_expert(settings: ExpertSettings, application: str) -> Policy | Planner:
    """The expert; raises UserError for one that does not exist."""
    if settings.kind == "manual":
        if application != "writer":
            raise UserError(f"expert.kind=manual knows Writer alone, not {application}; take expert=endpoint")
        from lam_train.apps.writer.expert.expert import ManualExpert

        return ManualExpert()
    if settings.kind == "endpoint":
        endpoint = Endpoint(settings.endpoint, "expert.endpoint")
        if settings.mode == "steps":
            return EndpointPolicy(endpoint, StepFormat(), settings.images)
        return EndpointPlanner(endpoint, settings.filter, settings.images)
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
