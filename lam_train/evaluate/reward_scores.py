"""How good a reward model is on held-out trajectories: ranking, accuracy, calibration, by family."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from pydantic import PositiveInt

from lam_train.records import Record, Split
from lam_train.settings import Settings

BINS = 10
RESAMPLES = 2000


class EvaluateRewardSettings(Settings):
    """Reward models on trajectories that none of them has seen."""

    models: dict[str, str] = {}
    """name in the report: the folder that a phase-4a run left"""
    data: list[str] = []
    """folders of trajectories, such as exploration/data or the episodes of an online evaluation"""
    splits: list[Split] = ["validation", "test"]
    """of them, those of these splits"""
    limit: PositiveInt | None = None
    """at most so many tasks, a seeded choice; null: all"""
    seed: int = 0
    """of that choice"""


class RewardScores(Record):
    """Of one group of steps or trajectories; a label is +1 (success) or -1, a score is right where its sign is."""

    number: int
    positive: int
    auc: float | None  # None where all have one label
    auc_interval: tuple[float, float] | None = None  # 95 %, bootstrap over tasks
    accuracy: float
    mse: float


class CalibrationBin(Record):
    """The steps whose score s gives (s + 1) / 2 in [low, high): how many, and what share of them is of successes."""

    low: float
    high: float
    number: int
    predicted: float
    observed: float


class CompletableAgreement(Record):
    """Of failures' steps after which it is known whether the task could still be completed (`replay_failures`)."""

    number: int
    completable: int
    by_outcome: float  # share of them that the label -1, the trajectory's outcome, judges as it was
    by_label: float  # the same for the label that was trained (reward.credit)
    by_score: float  # for the score's sign
    auc: float | None  # of the score, for completable against not


class WithinTasks(Record):
    """Pairs of a success and a failure of one task: ranked without the help of which tasks are hard."""

    tasks: int
    pairs: int
    accuracy: float  # share of the pairs in which the success scores higher, ties counted half


class RewardReport(Record):
    """Scores of a reward model on held-out trajectories."""

    steps: RewardScores
    last_steps: RewardScores
    trajectories: RewardScores  # a trajectory's score is the mean over its steps
    within_tasks: WithinTasks | None = None  # of trajectories; None where no held-out task has both outcomes
    families: dict[str, RewardScores]  # of steps
    calibration: list[CalibrationBin]
    completable: CompletableAgreement | None = None


class Difference(Record):
    """Between two reward models' AUC on the same trajectories: (difference, low, high), None where there is none."""

    later: str
    earlier: str
    steps: tuple[float, float, float] | None
    trajectories: tuple[float, float, float] | None


def completable_agreement(
    scores: dict[str, float], labels: dict[str, float], after: dict[str, bool]
) -> CompletableAgreement | None:
    """The agreement, by step id, over the steps that all three know; None where there is none."""
    known = sorted(scores.keys() & after.keys())
    if not known:
        return None
    could = np.asarray([after[id] for id in known])
    trained, scored = (np.asarray([numbers[id] for id in known]) for numbers in (labels, scores))
    return CompletableAgreement(
        number=len(known),
        completable=int(could.sum()),
        by_outcome=float((~could).mean()),
        by_label=float(((trained > 0) == could).mean()),
        by_score=float(((scored > 0) == could).mean()),
        auc=auc(scored, np.where(could, 1.0, -1.0)),
    )


def auc(scores: Sequence[float], labels: Sequence[float]) -> float | None:
    """The probability that a success scores above a failure, ties counted half (Mann-Whitney U); None for one class."""
    scores_N, positive_N = np.asarray(scores, float), np.asarray(labels, float) > 0
    positives, negatives = int(positive_N.sum()), int((~positive_N).sum())
    if not positives or not negatives:
        return None
    from scipy.stats import rankdata  # half a second to import, and a recipe's schema imports this file

    ranks = rankdata(scores_N)[positive_N].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def auc_draws(scores: Sequence[float], labels: Sequence[float], tasks: Sequence[str], seed: int = 0) -> np.ndarray:
    """[RESAMPLES]: the AUC in resamples of the tasks, NaN where one has one label alone.

    The same tasks and seed give the same resamples: the difference of two models' draws is the paired one.
    """
    scores_N, labels_N = np.asarray(scores, float), np.asarray(labels, float)
    names, task_of_N = np.unique(np.asarray(tasks, dtype=str), return_inverse=True)
    members = [np.flatnonzero(task_of_N == number) for number in range(len(names))]
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([members[number] for number in generator.integers(len(names), size=len(names))])
        found = auc(scores_N[drawn], labels_N[drawn])
        draws.append(np.nan if found is None else found)
    return np.asarray(draws)


def interval(draws: np.ndarray) -> tuple[float, float] | None:
    """95 %, of the draws that are numbers; None where none is."""
    known = draws[~np.isnan(draws)]
    return (float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))) if len(known) else None


def scores_of(scores: Sequence[float], labels: Sequence[float], tasks: Sequence[str] | None = None) -> RewardScores:
    """The numbers of a group, which has at least one; with the AUC's interval where the task of each is given."""
    scores_N, labels_N = np.asarray(scores, float), np.asarray(labels, float)
    return RewardScores(
        number=len(scores_N),
        positive=int((labels_N > 0).sum()),
        auc=auc(scores_N, labels_N),
        auc_interval=interval(auc_draws(scores_N, labels_N, tasks)) if tasks is not None else None,
        accuracy=float(((scores_N > 0) == (labels_N > 0)).mean()),
        mse=float(((scores_N - labels_N) ** 2).mean()),
    )


def calibration(scores: Sequence[float], labels: Sequence[float]) -> list[CalibrationBin]:
    """Bins of equal width of (score + 1) / 2, clipped to [0, 1]; empty ones are left out."""
    predicted_N = np.clip((np.asarray(scores, float) + 1) / 2, 0, 1)
    success_N = np.asarray(labels, float) > 0
    bin_N = np.minimum((predicted_N * BINS).astype(int), BINS - 1)
    return [
        CalibrationBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            number=int((bin_N == index).sum()),
            predicted=float(predicted_N[bin_N == index].mean()),
            observed=float(success_N[bin_N == index].mean()),
        )
        for index in range(BINS)
        if (bin_N == index).any()
    ]


def within_tasks(scores: dict[str, float], outcomes: dict[str, float], tasks: dict[str, str]) -> WithinTasks | None:
    """Of trajectories' scores, by trajectory as the outcomes and tasks are."""
    by_task: dict[str, list[str]] = defaultdict(list)
    for name in scores:
        by_task[tasks[name]].append(name)
    right, pairs, both = 0.0, 0, 0
    for names in by_task.values():
        won, lost = ([n for n in names if outcomes[n] == outcome] for outcome in (1.0, -1.0))
        found = auc([scores[name] for name in names], [outcomes[name] for name in names])
        if found is not None:
            both += 1
            pairs += len(won) * len(lost)
            right += found * len(won) * len(lost)
    return WithinTasks(tasks=both, pairs=pairs, accuracy=right / pairs) if pairs else None


def reward_report(
    scores: dict[str, float], outcomes: dict[str, float], families: dict[str, str], tasks: dict[str, str]
) -> RewardReport:
    """The report; `scores` are by step id TRAJECTORY/NUMBER, `outcomes` (+1, -1), `families` and `tasks` by trajectory.

    A step is judged by its trajectory's outcome, whatever label it was trained with.
    """
    by_trajectory: dict[str, list[tuple[int, float]]] = defaultdict(list)
    by_family: dict[str, list[str]] = defaultdict(list)
    for id, value in sorted(scores.items()):
        name, _, number = id.rpartition("/")
        by_trajectory[name].append((int(number), value))
        by_family[families[name]].append(id)
    ended = {name: max(steps)[1] for name, steps in by_trajectory.items()}
    means = {name: float(np.mean([value for _, value in steps])) for name, steps in by_trajectory.items()}
    truth = {id: outcomes[id.rpartition("/")[0]] for id in scores}
    owner = [tasks[id.rpartition("/")[0]] for id in scores]
    each = [tasks[name] for name in means]
    return RewardReport(
        steps=scores_of(list(scores.values()), [truth[id] for id in scores], owner),
        last_steps=scores_of(list(ended.values()), [outcomes[name] for name in ended], each),
        trajectories=scores_of(list(means.values()), [outcomes[name] for name in means], each),
        within_tasks=within_tasks(means, outcomes, tasks),
        families={
            family: scores_of([scores[id] for id in ids], [truth[id] for id in ids])
            for family, ids in sorted(by_family.items())
        },
        calibration=calibration(list(scores.values()), list(truth.values())),
    )


def differences(
    scores: dict[str, dict[str, float]], outcomes: dict[str, float], tasks: dict[str, str]
) -> list[Difference]:
    """Of every pair of models; `scores` by model and step id, the same steps for all, the rest by trajectory."""
    names = list(scores)
    found = []
    for place, later in enumerate(names):
        for earlier in names[:place]:
            steps, means = (_paired(scores[later], scores[earlier], kind, outcomes, tasks) for kind in (False, True))
            found.append(Difference(later=later, earlier=earlier, steps=steps, trajectories=means))
    return found


def _paired(
    later: dict[str, float], earlier: dict[str, float], whole: bool, outcomes: dict[str, float], tasks: dict[str, str]
) -> tuple[float, float, float] | None:
    """(difference of the AUC, low, high), of steps or of whole trajectories' means."""
    groups: dict[str, list[str]] = defaultdict(list)
    for id in sorted(later):
        groups[id.rpartition("/")[0] if whole else id].append(id)
    owners = [ids[0].rpartition("/")[0] for ids in groups.values()]
    labels, each = [outcomes[owner] for owner in owners], [tasks[owner] for owner in owners]
    values = [[float(np.mean([model[id] for id in ids])) for ids in groups.values()] for model in (later, earlier)]
    points = [auc(value, labels) for value in values]
    if None in points:
        return None
    draws = [auc_draws(value, labels, each) for value in values]
    low, high = interval(draws[0] - draws[1])
    return points[0] - points[1], low, high
