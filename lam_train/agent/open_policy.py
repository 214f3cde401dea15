"""Which policy acts: settings in, policy out."""

import logging

from lam_train.agent.endpoint_policy import EndpointPolicy
from lam_train.agent.policy import Policy
from lam_train.agent.policy_settings import PolicySettings
from lam_train.agent.trained_format import trained_format
from lam_train.endpoint import Endpoint
from lam_train.errors import UserError
from lam_train.language.step_format import StepFormat
from lam_train.model.load import ModelSettings
from lam_train.train.engine import DTYPES

log = logging.getLogger(__name__)


def open_policy(settings: PolicySettings, model: ModelSettings, format: StepFormat, application: str) -> Policy:
    """The policy, ready to decide. `model` and `format` are the recipe's; `application` is what it acts in.

    A local model that says what format it was trained on is shown that one, whatever the recipe's.
    Raises UserError for a model that cannot be loaded, a key that is not set, or an application without an expert.
    """
    if settings.kind == "expert":
        if application != "writer":
            raise UserError(f"policy.kind=expert knows Writer alone, not {application}")
        from lam_train.apps.writer.expert import ManualExpert

        return ManualExpert()
    if settings.kind == "endpoint":
        endpoint = Endpoint(settings.endpoint, "policy.endpoint")
        return EndpointPolicy(endpoint, format, settings.images, settings.name)
    from lam_train.agent.local_policy import LocalPolicy

    if settings.path is not None:
        model = model.model_copy(update={"source": "pretrained", "path": settings.path, "revision": None, "lora": None})
    trained = trained_format(model.path)
    if trained is not None and trained != format:
        log.info("%s was trained on another format than the recipe's; it is shown its own: %s", model.path, trained)
    policy = LocalPolicy.load(model, trained or format, settings.local, settings.name or model_name(model))
    if settings.best_of == 1:
        return policy
    from lam_train.agent.best_of import BestOf
    from lam_train.model.reward import RewardModel

    judge = RewardModel.load(settings.reward_model, DTYPES[settings.local.dtype]).to(policy.device)
    return BestOf(policy, judge, settings.best_of, policy.device)


def model_name(model: ModelSettings) -> str:
    """A short name: `phase2` of runs/phase2/model, else the folder's or the source's."""
    if model.path is None:
        return model.source
    parts = [part for part in model.path.rstrip("/").split("/") if part not in ("", ".", "..", "~")]
    if len(parts) > 1 and parts[-1] == "model":
        parts.pop()
    return parts[-1] if parts else model.path
