"""The settings of policies, apart from what reads them: a recipe is checked without loading a model's code."""

from typing import Literal

from pydantic import Field, model_validator

from lam_train.dtype import Dtype
from lam_train.endpoint import EndpointSettings
from lam_train.settings import Settings


class LocalPolicySettings(Settings):
    """How a local model answers."""

    dtype: Dtype = "auto"
    """of the weights and the cache; `auto`: bf16 where the GPU or CPU multiplies it, else fp32; fp32 where
    log-probabilities must be a training's to the last digits"""
    device: str = "auto"
    """`auto`: the GPU where there is one, else the CPU; or a name of torch's, such as cuda:1"""
    max_new_tokens: int = Field(256, gt=0)
    """tokens of an answer, the end of turn among them; the paper's value in PPO"""
    max_prompt_tokens: int | None = Field(None, gt=0)
    """longer prompts are shortened as in training (docs/step_format.md); null: the model's context less an answer"""
    batch_size: int = Field(16, gt=0)
    """states answered at once"""
    temperature: float = Field(0.0, ge=0)
    """0 takes the most probable token (the paper's evaluation)"""
    top_p: float = Field(1.0, gt=0, le=1)
    """sample among the most probable tokens that together reach this probability"""
    seed: int = 0
    """of the sampling"""
    prefix_cache_tokens: int | None = Field(None, ge=0)
    """prompt tokens whose keys and values are kept between calls; 0 keeps none; null: as many as 1 GiB holds"""
    speculative_tokens: int = Field(8, ge=0)
    """tokens of an answer that are guessed at a time, at most, from answers before it; those that the model writes too
    take no pass of their own, and the answers stay the same; 0: none"""
    cuda_graphs: bool = True
    """on a GPU, record the passes that write answers and replay them, for models that can (docs/performance.md)"""
    constrained: bool = False
    """allow only answers that can be read (needs the extra `constrained`)"""


class PolicySettings(Settings):
    """What decides."""

    kind: Literal["local", "endpoint", "expert"] = "local"
    """`local`: a model in this process; `endpoint`: one behind an OpenAI-compatible API; `expert`: the embedded one"""
    path: str | None = None
    """of `local`: the model's folder or hub id; null takes the recipe's model"""
    name: str | None = None
    """in trajectories and reports; null: the folder's name, the endpoint's model or `expert`"""
    local: LocalPolicySettings = Field(default_factory=LocalPolicySettings)
    """of `local`: how it answers"""
    best_of: int = Field(1, ge=1)
    """of `local`: sample so many answers to a state, and take the one that `reward_model` scores highest"""
    reward_model: str | None = None
    """the folder that phase 4a left, for `best_of`"""
    endpoint: EndpointSettings | None = None
    """of `endpoint`: whom to ask"""
    images: bool = False
    """of `endpoint`: show it a screenshot with each state"""

    @model_validator(mode="after")
    def _complete(self) -> "PolicySettings":
        if self.kind == "endpoint" and self.endpoint is None:
            raise ValueError("endpoint: give its base_url and model (policy.kind=endpoint asks it)")
        if self.images and self.kind != "endpoint":
            raise ValueError("images=true needs kind=endpoint: no other policy sees pictures")
        if self.best_of > 1 and (self.kind != "local" or self.reward_model is None):
            raise ValueError(f"best_of={self.best_of} needs kind=local and a reward_model (+recipe=phase4a makes one)")
        if self.best_of > 1 and self.local.temperature == 0:
            raise ValueError(f"best_of={self.best_of} needs policy.local.temperature above 0: all answers would be one")
        return self
