"""What the evaluations of acting find: the records of their JSON files."""

from lam_train.evaluate.action_metrics import StepScore
from lam_train.evaluate.statistics import Estimate
from lam_train.records import Action, Outcome, Record, Text

STEP_METRICS = ("object", "operation", "status", "step", "arguments", "strict_step", "operation_class", "format")
TASK_METRICS = ("task", "strict_task")  # a task is right when all its steps are
ONLINE_METRICS = ("success", "seconds", "steps", "latency", "decision", "refused", "unreadable")
"""Online: success; of successful episodes, seconds and steps; of all steps, seconds, the policy's seconds, and the
shares that the application refused and that could not be read."""


class OfflineAnswer(Record):
    """A model's answer to one state of an expert's trajectory: a line of answers/NAME.jsonl."""

    trajectory_id: Text
    step: int  # from 0
    state: str  # digest of the state that was answered
    action: Action | None
    answer: str = ""
    problem: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0


class OfflineRow(Record):
    """One task and, of every model, the score of each step: a line of tasks.jsonl."""

    trajectory_id: str
    task_id: str
    family: str
    template: str
    scores: dict[str, list[StepScore | None]]  # None: the endpoint gave no answer


class OnlineRow(Record):
    """One task and, of every policy, what came of its episode: a line of tasks.jsonl."""

    task_id: str
    family: str
    template: str
    outcomes: dict[str, Outcome]
    reasons: dict[str, str]
    steps: dict[str, int]
    seconds: dict[str, float]  # from the request to the end of the last action


class Group(Record):
    """The scores of a family, or of all n-th steps."""

    tasks: int
    steps: int
    estimates: dict[str, Estimate]  # by metric


class Mistake(Record):
    """What the expert did, what was answered instead, and how often."""

    expected: str
    answered: str
    count: int


class Score(Record):
    """How one policy did."""

    name: str
    estimates: dict[str, Estimate]  # by metric
    groups: dict[str, Group]  # "single operations", "compositions", then each family
    by_step: dict[str, Group] = {}  # offline: "1", "2", … the n-th steps
    failures: dict[str, int] = {}  # online: cause -> episodes
    divergences: dict[str, int] = {}  # online: first step that differs from the expert's success -> failed episodes
    retries: int = 0  # online: how often the application broke and an episode was begun again
    mistakes: list[Mistake] = []  # offline: the most frequent ones
    prompt_tokens: float = 0.0  # a step; 0 where the policy does not count them
    answer_tokens: float = 0.0


class PairedDifference(Record):
    """How much better one policy did than another on the same tasks."""

    name: str
    baseline: str
    estimates: dict[str, Estimate]


class ActingReport(Record):
    """The whole of evaluation.json."""

    kind: str  # "offline" or "online"
    data: str
    split: str | None
    tasks: int
    steps: int  # the expert's, offline; 0 online
    templates: int
    cluster: str  # what the bootstrap drew again
    clusters: int
    level: float
    resamples: int
    seed: int
    environments: int = 0  # online: how many acted at once
    step_limit: int | None = None
    scores: list[Score]
    differences: list[PairedDifference]
    notes: list[str] = []
