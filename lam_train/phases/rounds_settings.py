"""The settings of phase 3 in rounds."""

from typing import Annotated

from pydantic import Field, PositiveInt

from lam_train.settings import Settings


class RoundsSettings(Settings):
    """Explore and train, again and again."""

    rounds: PositiveInt = 2
    """at most so many; the first that gains nothing on the validation split is the last"""
    model: str = "runs/phase2/model"
    """what the first round begins with: LAM2"""
    expert: Annotated[list[str], Field(min_length=1)] = ["collected/trajectories", "collected/explore_trajectories"]
    """the expert's collections, learned from in every round; the tasks that are failed in the last one are explored"""
    explore_recipe: str = "explore"
    """how is explored"""
    train_recipe: str = "phase3"
    """how is trained"""
    explore: list[str] = Field(default_factory=list)
    """more settings for exploring, KEY=VALUE"""
    train: list[str] = Field(default_factory=list)
    """more settings for training"""
    validate_with: list[str] = Field(default_factory=list)
    """more settings for the evaluation in the application, such as evaluate_online.limit=50"""
