"""Phase 4b: offline PPO on the failures' states against the reward model, from LAM3's weights (the paper, 4.4.2)."""

import logging
import time

from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.model.load import load_tokenizer
from lam_train.model.policy_value import PolicyValue
from lam_train.objectives.experience import Experience, experience, reward_spread
from lam_train.objectives.ppo_objective import PpoObjective
from lam_train.phases.ppo_actions import Actions, Logged, Sampled, answers_to, failed_states
from lam_train.phases.ppo_judges import Judges
from lam_train.phases.ppo_resuming import (
    EXPERIENCE,
    bring_experience,
    check_iterations,
    give_up_later_experience,
    iteration_of,
    missing_experience,
)
from lam_train.phases.resuming import find_resume
from lam_train.phases.training import Learner, export_trained, make_loader, opened, say
from lam_train.recipe import Recipe
from lam_train.report.ppo import write_health
from lam_train.train.checkpoint import Checkpoint
from lam_train.train.distributed import World, all_agree, from_leader, leader_does
from lam_train.train.passes import outputs_by_sample
from lam_train.train.run_directory import RunDirectory
from lam_train.train.trainer import Trainer

log = logging.getLogger(__name__)


def run(recipe: Recipe, run_dir: RunDirectory, world: World) -> None:
    """Trains LAM4 into `model/`; every iteration's experience is in `experience/`, the health in `health/`."""
    check(recipe)
    language = Language(load_tokenizer(recipe.model))
    OfflinePpo(recipe, run_dir, world, language).train()


def check(recipe: Recipe) -> None:
    """Raises UserError for settings that do not go together."""
    settings = recipe.ppo
    if recipe.engine.zero_stage == 3 and (settings.actions == "sampled" or settings.probe_states):
        raise UserError(
            "engine.zero_stage=3: answers are sampled from whole weights; take zero_stage 0 to 2, or "
            "ppo.actions=logged with ppo.probe_states=0"
        )
    if settings.actions == "sampled" and recipe.policy.local.temperature == 0 and settings.answers > 1:
        raise UserError(
            f"policy.local.temperature=0 with ppo.answers={settings.answers}: all answers to a state would be the "
            "same; set a temperature above 0"
        )
    if settings.actions == "sampled" and settings.answers == 1 and advantages_of(recipe) == "group":
        raise UserError("ppo.answers=1: a group of one answer has no advantage; ask for more, or ppo.advantages=gae")
    if recipe.data.weights is not None:
        raise UserError("data.weights: PPO weighs an action by its advantage, not by its source")


def advantages_of(recipe: Recipe) -> str:
    """`gae` or `group`."""
    chosen = recipe.ppo.advantages
    return chosen if chosen != "auto" else "gae" if recipe.ppo.actions == "logged" else "group"


class OfflinePpo:
    """Iterations of: take actions, judge them, learn from them."""

    def __init__(self, recipe: Recipe, run_dir: RunDirectory, world: World, language: Language) -> None:
        self.recipe, self.run_dir, self.world, self.language = recipe, run_dir, world, language
        self.settings, self.advantages = recipe.ppo, advantages_of(recipe)
        self.judges = Judges(recipe, language, world)
        self.states = failed_states(recipe, language)
        all_agree(
            self.states.samples.fingerprint(), "data.train gives other failures on some ranks: share one copy of it"
        )
        kind = Logged if self.settings.actions == "logged" else Sampled
        self.source = kind(recipe, language, world, self.states, run_dir / EXPERIENCE)
        self.objective = PpoObjective(self.settings, uses_values=self.advantages == "gae")

    def train(self) -> None:
        """All iterations that are left; exports the model and writes the health report."""
        checkpoint = from_leader(leader_does(self._resumed))
        first = iteration_of(checkpoint) if checkpoint else 0
        actions = self.source.actions(first, model=None)
        learner = Learner("LAM4: offline PPO", PolicyValue, self.objective, self.objective)
        per_iteration = self._steps_of(actions)
        if checkpoint:
            check_iterations(checkpoint, per_iteration)
        total = per_iteration * self.settings.iterations
        say(self.run_dir, self.world, learner.title, self.states.counts, total, checkpoint)
        loader = self._loader(actions, first, per_iteration)
        opening = opened(self.recipe, self.run_dir, self.world, learner, loader, None, checkpoint, total)
        with opening as trainer:
            if checkpoint:
                leader_does(lambda: give_up_later_experience(checkpoint, self.run_dir, trainer.metrics, per_iteration))
            self._probe(trainer, 0, checkpoint)
            for iteration in range(first, self.settings.iterations):
                if iteration > first:
                    actions = self.source.actions(iteration, trainer.engine.module.causal)
                    trainer.loader = self._loader(actions, iteration, per_iteration)
                resumed = checkpoint is not None and iteration == first
                self.objective.begin(iteration, self._experience(trainer, actions, iteration, resumed))
                trainer.fit()
                if trainer.stopped:
                    break
                self._probe(trainer, iteration + 1, None)
        counts = self.states.counts | {"iterations": self.settings.iterations}
        export_trained(self.recipe, self.run_dir, trainer, counts, learner)
        leader_does(lambda: write_health(trainer.metrics.numbers(), trainer.stopped, self.run_dir / "health"))

    def _resumed(self) -> Checkpoint | None:
        """The checkpoint to go on from, its experience in this run directory."""
        checkpoint = find_resume(self.recipe, self.run_dir)
        if checkpoint is not None:
            bring_experience(checkpoint, self.run_dir)
        return checkpoint

    def _steps_of(self, actions: Actions) -> int:
        """Optimizer steps of an iteration."""
        settings = self.recipe.trainer
        steps = -(-len(actions.samples) // settings.batch_size) * settings.epochs
        return min(steps, settings.max_steps or steps)

    def _loader(self, actions: Actions, iteration: int, steps: int):
        return make_loader(self.recipe, actions.samples, self.world, steps, first_step=iteration * steps)

    def _experience(self, trainer: Trainer, actions: Actions, iteration: int, resumed: bool) -> Experience:
        """This iteration's, made once: from the disk where a run that was killed has left it.

        The passes run on the packs of the first epoch: until the first update, the policy that learns gives the very
        same log-probabilities, and every ratio is 1.
        """
        file = self.run_dir / EXPERIENCE / f"iteration-{iteration:03d}.npz"
        known = from_leader(leader_does(file.exists))
        if resumed and not known:
            raise missing_experience(file, iteration)
        if not known:
            samples = actions.samples
            epoch = make_loader(self.recipe, samples, self.world, -(-len(samples) // self.recipe.trainer.batch_size))
            begun = time.perf_counter()
            policy = outputs_by_sample(trainer.engine, epoch, self.world.device, "policy")
            taken = time.perf_counter() - begun
            scores = self.judges.scores(epoch)
            judged = time.perf_counter() - begun - taken
            reference = self.judges.reference(epoch) if iteration else None
            referred = time.perf_counter() - begun - taken - judged
            if iteration and self.settings.actions == "logged":  # whoever acted, LAM3 stands for it, as at the start
                policy = {id: _with_logprobs(outputs, reference[id]) for id, outputs in policy.items()}
            made = experience(
                actions.taken,
                policy,
                reference,
                scores,
                advantages=self.advantages,
                gamma=self.settings.gamma,
                lam=self.settings.lam,
                whiten=self.settings.whiten,
                scale_groups=self.settings.scale_groups,
            )
            leader_does(lambda: made.save(file))
            row = {"kind": "experience", "step": trainer.step, "iteration": iteration, "seconds": taken}
            spread = reward_spread(made.rewards.tolist(), [action.group for action in actions.taken])
            spreads = {} if spread is None else {"reward_within": spread[0], "reward_between": spread[1]}
            trainer.record(row | {"judge_seconds": judged, "reference_seconds": referred} | spreads)
        return Experience.load(file)

    def _probe(self, trainer: Trainer, iteration: int, resumed: Checkpoint | None) -> None:
        """Answers at the probe states, sampled and scored: a row "probe" in the metrics, once an iteration."""
        states = self.states.probe(self.settings.probe_states, self.settings.seed)
        if not states or resumed is not None:
            return
        rows = leader_does(trainer.metrics.numbers) or []
        if from_leader(any(row["kind"] == "probe" and row["step"] == trainer.step for row in rows)):
            return
        model = trainer.engine.module.causal
        answers = answers_to(self.recipe, self.language, self.world, model, states, 1, f"probe{iteration}")
        row = {"kind": "probe", "step": trainer.step, "iteration": iteration, **self.judges.judged(answers)}
        trainer.record(row)
        if self.world.leads:
            log.info("%d answers sampled: reward %.3f, %.1f%% readable", len(states), row["reward"],
                     100 * row["format_valid_rate"])  # fmt: skip


def _with_logprobs(outputs, reference):
    replaced = outputs.clone()
    replaced[0] = reference
    return replaced
