"""The settings of offline PPO (phase 4b); the defaults are the paper's, section 5.1, where it names one."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lam_train.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class PpoSettings(Settings):
    """What is rewarded, and how far the policy may go. `trainer.epochs` are PPO's epochs of one iteration."""

    actions: Literal["logged", "sampled"] = "logged"
    """`logged`: the actions of the failures, as they were recorded; `sampled`: answers of the policy to their states"""
    reward_model: str = "runs/phase4a/model"
    """the folder that phase 4a left"""
    iterations: PositiveInt = 1
    """how often experience is taken anew: answers sampled from the policy as it is then (`sampled`), values and
    advantages computed again (`logged`)"""
    answers: PositiveInt = 4
    """`sampled`: answers to a state (policy.local says how they are sampled)"""
    states: PositiveInt | None = None
    """learn from at most so many states of the failures, a seeded choice; null: all"""
    advantages: Literal["auto", "gae", "group"] = "auto"
    """`gae`: over the steps of a trajectory, with the value head (a sampled action ends its trajectory); `group`: less
    the mean reward of the answers to the same prompt, no value head; `auto`: gae for logged, group for sampled"""
    scale_groups: bool = False
    """`group`: divide by the group's standard deviation, too"""
    whiten: bool = True
    """`gae`: advantages with mean 0 and deviation 1 over the iteration's actions"""
    gamma: Share = 1.0
    """discount from step to step"""
    lam: Share = 0.95
    """GAE's lambda"""
    clip: PositiveFloat = 0.2
    """the ratio counts between 1 - clip and 1 + clip"""
    ratio: Literal["token", "action"] = "token"
    """new against old probability of each token, or of a whole action"""
    value_weight: NonNegativeFloat = 0.1
    """of the value head's loss; used with `gae` alone"""
    value_clip: NonNegativeFloat = 0.2
    """how far a value may go from its old one before it is not rewarded for it; 0: anywhere"""
    kl_coefficient: NonNegativeFloat = 0.2
    """of the KL divergence from the model it began as, in the loss, at the start"""
    kl_target: PositiveFloat | None = 0.1
    """nats an action; the coefficient grows above it and shrinks below; null: the coefficient stays"""
    kl_horizon: PositiveFloat = 400.0
    """actions over which the coefficient may change by a fifth"""
    kl_limit: PositiveFloat | None = 2.0
    """nats an action, mean of a step: beyond it the training ends before the update; null: never"""
    probe_states: NonNegativeInt = 64
    """states at which answers are sampled and scored before and after each iteration, for the health plots; 0: none"""
    seed: NonNegativeInt = 0
    """chooses the states"""
