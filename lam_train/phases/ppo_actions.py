"""The actions that offline PPO learns from: the failures' own, or the policy's answers to the failures' states."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lam_train.agent.answers import Answered, NamedState, answer_states
from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.judged_steps import JudgedSteps
from lam_train.language.sample import Samples
from lam_train.model.load import load_model
from lam_train.objectives.experience import Taken
from lam_train.phases.reward_model import judged_trajectories
from lam_train.phases.training import fitting
from lam_train.recipe import Recipe
from lam_train.records import read_jsonl, write_jsonl
from lam_train.train.distributed import World, from_all, from_leader, leader_does
from lam_train.train.engine import DTYPES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FailedStates:
    """The states of failures, each with the action that was taken there, trajectory by trajectory."""

    states: list[NamedState]
    samples: Samples  # of the logged actions, in the same order
    counts: dict[str, int]

    def probe(self, number: int, seed: int) -> list[NamedState]:
        """A seeded choice of at most `number` of them."""
        chosen = np.random.default_rng([seed, 1]).permutation(len(self.states))[:number]
        return [self.states[place] for place in sorted(chosen)]


@dataclass(frozen=True)
class Actions:
    """An iteration's: `taken` in the order in which they were, `samples` the same for the loader."""

    taken: list[Taken]
    samples: Samples


def failed_states(recipe: Recipe, language: Language) -> FailedStates:
    """Reads the failures of `data.train`; raises UserError where there are none, or for the test split.

    `ppo.states` leaves whole trajectories out, in a seeded order, until at most so many states are left.
    """
    limit = recipe.batching.max_tokens if recipe.batching.overlong == "shorten" else None
    reader = JudgedSteps(language, recipe.format, recipe.data.splits, limit, outcomes=("fail",))
    read = reader.samples(judged_trajectories(recipe.data), "data.train")
    if not read:
        raise UserError(f"data.train={recipe.data.train}: no failures there; PPO learns from the states they met")
    order = np.random.default_rng([recipe.ppo.seed, 0]).permutation(len(read))
    most, left, kept = recipe.ppo.states, recipe.ppo.states or 0, set()
    for place in order:
        size = len(read[place][1])
        if most is None or size <= left:
            kept.add(place)
            left -= size
    if not kept:
        raise UserError(f"ppo.states={most}: every failure has more states than that")
    states, samples = [], []
    for place, (trajectory, made) in enumerate(read):
        if place not in kept:
            continue
        met = list(trajectory.states())
        for sample in made:
            number = int(sample.id.rpartition("/")[2])
            states.append(NamedState(sample.id, met[number], trajectory.task.task_id, trajectory.trajectory_id))
            samples.append(sample.weighted(1.0 / np.count_nonzero(sample.weights)))
    counts = dict(reader.counts) | {"failures learned from": len(kept)}
    fitted = fitting(Samples(samples), recipe, "states", counts)
    fits = set(fitted.ids)
    return FailedStates([state for state in states if state.id in fits], fitted, counts)


class Logged:
    """The failures' own actions: the same in every iteration."""

    def __init__(self, recipe: Recipe, language: Language, world: World, states: FailedStates, folder: Path) -> None:
        samples = states.samples
        prompts = [_digest(samples.tokens(i)[: np.flatnonzero(samples.weights(i))[0]]) for i in range(len(samples))]
        taken = [
            Taken(state.id, state.trajectory, prompt) for state, prompt in zip(states.states, prompts, strict=True)
        ]
        self._actions = Actions(taken, samples)

    def actions(self, iteration: int, model) -> Actions:
        """The logged ones, whatever the policy is."""
        return self._actions


class Sampled:
    """The policy's answers to the failures' states, sampled anew in each iteration."""

    def __init__(self, recipe: Recipe, language: Language, world: World, states: FailedStates, folder: Path) -> None:
        self.recipe, self.language, self.world, self.states, self.folder = recipe, language, world, states, folder

    def actions(self, iteration: int, model) -> Actions:
        """This iteration's answers, by `model`; None: by the recipe's, as it begins. From the disk where they are."""
        file = self.folder / f"answers-{iteration:03d}.jsonl"
        if not from_leader(leader_does(file.exists)):
            if model is None and iteration:
                raise UserError(f"{file} is missing, and so is the policy that wrote it; start in another run_dir")
            if model is None:
                model = load_model(self.recipe.model, DTYPES[self.recipe.engine.dtype], self.recipe.trainer.seed)
                model = model.to(self.world.device)
            number = self.recipe.ppo.answers
            label, states = f"{iteration}", self.states.states
            answers = answers_to(self.recipe, self.language, self.world, model, states, number, label)
            leader_does(lambda: write_jsonl(file, answers))
        answers = list(read_jsonl(file, Answered))
        taken = [Taken(answer.id, answer.id, answer.state, answer.ended) for answer in answers]
        return Actions(taken, Samples([answer.sample() for answer in answers]))


def answers_to(
    recipe: Recipe,
    language: Language,
    world: World,
    model,
    states: Sequence[NamedState],
    number: int,
    label: str,
) -> list[Answered]:
    """Sampled answers to states, the work shared by the ranks. Collective.

    `policy.local` says how they are sampled; prompts are shortened so that prompt and answer fit into a row.
    """
    local = recipe.policy.local
    room = recipe.batching.max_tokens - local.max_new_tokens
    if room < 2:
        raise UserError(
            f"policy.local.max_new_tokens={local.max_new_tokens}: no prompt fits beside such an answer into "
            f"batching.max_tokens={recipe.batching.max_tokens}"
        )
    seed = int.from_bytes(hashlib.sha256(f"{local.seed} {label}".encode()).digest()[:4], "big")
    wanted = local.model_copy(update={"seed": seed, "max_prompt_tokens": min(local.max_prompt_tokens or room, room)})
    share = dealt(states, world.size)[world.rank]
    mine = answer_states(model, language, recipe.format, wanted, share, number, label, shown=world.leads)
    parts = from_all(mine)
    place = {state.id: index for index, state in enumerate(states)}
    return sorted((answer for part in parts for answer in part), key=lambda answer: place[answer.state])


def dealt(states: Sequence[NamedState], ranks: int) -> list[list[NamedState]]:
    """Each rank's states, in their order; those of one request stay together, of the most first to whom has least.

    What an answer draws from is seeded by its prompt and by how often it was asked before, so equal prompts, as those
    of several attempts at a task, must meet on one rank: on two, their answers would be the same.
    """
    together: dict[str, list[NamedState]] = {}
    for state in states:
        together.setdefault(state.state.request, []).append(state)
    owners, loads = {}, [0] * ranks
    for request in sorted(together, key=lambda request: -len(together[request])):
        owners[request] = loads.index(min(loads))
        loads[owners[request]] += len(together[request])
    return [[state for state in states if owners[state.state.request] == rank] for rank in range(ranks)]


def _digest(tokens: np.ndarray) -> str:
    return hashlib.sha256(tokens.tobytes()).hexdigest()[:16]
