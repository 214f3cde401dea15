"""Who judges in phase 4b: the reward model, and the model that the policy began as. Each is loaded for a pass alone."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lam_train.agent.answers import Answered, valid_rate
from lam_train.agent.trained_format import trained_format
from lam_train.batching.loader import Loader
from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.sample import Samples
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.model.reward import RewardModel
from lam_train.model.trainable import TrainableModel
from lam_train.objectives.experience import NO_END, reward_of
from lam_train.phases.training import make_loader
from lam_train.recipe import Recipe
from lam_train.train.distributed import World
from lam_train.train.engine import DTYPES, share_rows
from lam_train.train.passes import outputs_by_sample


class Judges:
    """Scores samples with the reward model; raises UserError where it reads another format or other tokens."""

    def __init__(self, recipe: Recipe, language: Language, world: World) -> None:
        self.recipe, self.world = recipe, world
        self.folder = recipe.ppo.reward_model
        if not Path(self.folder).expanduser().is_dir():
            raise UserError(f"ppo.reward_model={self.folder}: no such folder; make one with +recipe=phase4a")
        format = trained_format(self.folder)
        if format is not None and format != recipe.format:
            raise UserError(
                f"ppo.reward_model={self.folder} was trained on the format {_differs(format, recipe.format)}: set "
                "format as it was"
            )
        judge = load_tokenizer(ModelSettings(path=self.folder))
        if judge.get_vocab() != language.tokenizer.get_vocab():
            raise UserError(f"ppo.reward_model={self.folder}: its tokenizer is not that of the policy")

    def scores(self, loader: Loader) -> dict[str, torch.Tensor]:
        """Sample id -> [n] the reward model's output at each source. Collective."""
        model = RewardModel.load(self.folder, DTYPES[self.recipe.engine.dtype]).to(self.world.device)
        return outputs_by_sample(share_rows(model, self.world), loader, self.world.device, "rewards")

    def reference(self, loader: Loader) -> dict[str, torch.Tensor]:
        """Sample id -> [n] log-probabilities under the model that the policy began as. Collective."""
        causal = load_model(self.recipe.model, DTYPES[self.recipe.engine.dtype], self.recipe.trainer.seed)
        model = share_rows(TrainableModel(causal), self.world).to(self.world.device)
        return outputs_by_sample(model, loader, self.world.device, "reference")

    def judged(self, answers: Sequence[Answered]) -> dict[str, float]:
        """The mean reward of answers, and the share that is readable. Collective."""
        samples = Samples([answer.sample() for answer in answers])
        steps = -(-len(samples) // self.recipe.trainer.batch_size)
        scores = self.scores(make_loader(self.recipe, samples, self.world, steps))
        rewards = [reward_of(float(scores[a.id][-1])) if a.ended else NO_END for a in answers]
        return {"reward": sum(rewards) / len(rewards), "format_valid_rate": valid_rate(answers)}


def _differs(trained, asked) -> str:
    """The keys in which two formats differ, with the values of the first."""
    mine, other = trained.model_dump(), asked.model_dump()
    return ", ".join(f"format.{key}={value}" for key, value in mine.items() if other[key] != value)
