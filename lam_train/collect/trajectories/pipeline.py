"""The recipe `collect`: tasks and an expert in, trajectories, counts and a card out (the paper, section 3.2).

instantiate → execute → judge → postprocess, resumable after a kill at any moment. What the expert did with each task is
one Trajectory in the output folder, successes and failures alike, whole.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import Field

from lam_train.agent.endpoint_policy import EndpointPolicy
from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Policy
from lam_train.agent.rollouts import rollouts
from lam_train.apps.application import Application
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.counts import CollectionCounts
from lam_train.collect.trajectories.evidence import EvidenceRecorder
from lam_train.collect.trajectories.execute import execute
from lam_train.collect.trajectories.experts import ExpertSettings, load_expert
from lam_train.collect.trajectories.grounding import GroundingSettings
from lam_train.collect.trajectories.judge import JudgeTrajectoriesSettings, TrajectoryJudge
from lam_train.collect.trajectories.keeper import Keeper
from lam_train.collect.trajectories.planner import Planner, instantiate
from lam_train.collect.trajectories.postprocess import write_samples
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.collect.trajectories.results import write_results
from lam_train.collect.trajectories.task_source import select
from lam_train.collect.trajectories.ufo_files import import_ufo, write_ufo_folders
from lam_train.collect.trajectories.usage_log import UsageLog
from lam_train.endpoint import Endpoint
from lam_train.language.step_format import StepFormat
from lam_train.records import Split, Task
from lam_train.settings import Settings
from lam_train.train.run_directory import versions

log = logging.getLogger(__name__)


class CollectTrajectoriesSettings(Settings):
    """Which tasks are collected, where, and into what."""

    application: str = "writer"
    """`writer`, or MODULE:FUNCTION of your own that returns a list of Applications"""
    application_options: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """keyword arguments for MODULE:FUNCTION"""
    tasks: str | None = None
    """a JSONL file of Task records, or a folder of them; null: the application's generated tasks"""
    task_plans: str | None = None
    """task-plans instead, each made a task by an expert that plans (expert.mode=plan): TaskPlan records as JSONL, or
    UFO's task files (.json, or a folder of them)"""
    ufo_results: str | None = None
    """UFO's result files (.json, or a folder of them): imported as they are; nothing is collected"""
    splits: list[Split] = Field(default_factory=lambda: ["train", "explore"])
    """tasks of these splits"""
    families: list[str] | None = None
    """tasks of these families; null: all"""
    most_tasks: int | None = Field(None, ge=1)
    """at most so many tasks, a fair sample; null: all"""
    output: str = "collected/trajectories"
    """the folder for episodes, counts and card; the same command goes on in it after a kill"""
    shard_size: int = Field(500, ge=1)
    """episodes in a file"""
    grounding: GroundingSettings = GroundingSettings()
    judge: JudgeTrajectoriesSettings | None = None
    """a large model that judges executed episodes too; null: the executable check alone"""
    samples: bool = False
    """write the steps as samples in the paper's format too: samples/success.jsonl and fail.jsonl"""
    sample_format: StepFormat = StepFormat()
    ufo_folders: bool = False
    """write UFO's result folders too, with the saved documents: ufo/dataflow/execution_pass and so on"""
    keep_evidence: bool = False
    """keep each document before and after, and a judge's screenshots, in evidence/"""
    seed: int = 0
    """the order and the sample of the tasks"""
    examples: int = Field(20, ge=0)
    """random episodes on the card"""


def collect_trajectories(
    settings: CollectTrajectoriesSettings,
    expert: ExpertSettings,
    episode: EpisodeSettings,
    tasks: Sequence[Task],
    open_environments: Callable[[], Sequence[Application]],
    references: Mapping[str, list[str]] | None = None,
) -> CollectionCounts:
    """Collects what is still missing in `settings.output`, then writes counts.json and the card (README.md).

    They are written too when the collection is interrupted or something breaks; not when it is killed.

    Environments are opened only where an episode is missing, and closed at the end. `references`: task id -> the steps
    of the task-plan that it comes from. Raises UserError for settings that contradict each other or the folder, Fault
    where an endpoint or a disk is gone.
    """
    tasks = select(tasks, settings.splits, settings.families, settings.most_tasks, settings.seed)
    with ExitStack() as stack:
        who = load_expert(expert, settings.application)
        if hasattr(who, "endpoint"):
            stack.callback(who.endpoint.close)
        judge = _judge(settings, stack)
        collection = stack.enter_context(Collection(Path(settings.output).expanduser(), settings.shard_size))
        names = {"application": settings.application, "expert": who.name, "judge": judge.by if judge else None}
        names["mode"] = expert.mode if expert.kind == "endpoint" else None
        collection.check_identity(names)
        done = collection.done()
        if done:
            log.info("%d of %d episodes are there already", sum(task.task_id in done for task in tasks), len(tasks))
        others = {"expert": expert.model_dump(), "episode": episode.model_dump()}
        if any(task.task_id not in done for task in tasks):
            try:
                environments = _opened(open_environments, settings, judge, collection.folder, stack)
                keeper = stack.enter_context(_keeper(collection, settings, judge))
                if hasattr(who, "plan"):
                    _plan_and_execute(collection, tasks, references or {}, who, environments, settings, episode, keeper)
                else:
                    _act(collection, tasks, who, environments, settings, episode, keeper)
            except BaseException:  # interrupted, or something broke: what is there is counted all the same
                try:
                    write_results(collection, settings.examples, settings.seed, _shown(settings, others))
                except Exception as error:  # a full disk breaks this too; the first error is the one to be told
                    log.warning("counts.json and README.md are not up to date: %s", error)
                raise
        counts = finish(collection, settings, others)
    if counts.all["broken"]:
        log.warning("the application broke %d episodes; the same command makes them again", counts.all["broken"])
    return counts


def import_results(settings: CollectTrajectoriesSettings) -> CollectionCounts:
    """UFO's results as a collection of our records, with counts and card; raises UserError for a file that is none."""
    with Collection(Path(settings.output).expanduser(), settings.shard_size) as collection:
        collection.check_identity({"application": "as UFO says", "expert": "ufo", "judge": "ufo"})
        added = import_ufo(collection, settings.ufo_results, settings.splits[0])
        log.info("%d episodes imported from %s", added, settings.ufo_results)
        return finish(collection, settings, {})


def finish(collection: Collection, settings: CollectTrajectoriesSettings, others: dict) -> CollectionCounts:
    """What is written from the episodes: counts, card, and on request samples and UFO's folders."""
    counts = write_results(collection, settings.examples, settings.seed, _shown(settings, others))
    if settings.samples:
        lines = write_samples(collection.last(), collection.folder / "samples", settings.sample_format)
        log.info("samples: %d of successes, %d of failures", lines["success"], lines["fail"])
    if settings.ufo_folders:
        files = write_ufo_folders(collection, collection.folder / "ufo")
        log.info("UFO's folders: %s", ", ".join(f"{place} {n}" for place, n in sorted(files.items())))
    return counts


def _shown(settings: CollectTrajectoriesSettings, others: dict) -> dict:
    return {"trajectories": settings.model_dump(), **others}


def _versions() -> dict[str, str]:
    """What acted: the library's version and, in a checkout, its commit."""
    found = versions()
    commit = found["git_commit"]
    changed = "+changes" if found["git_changes"] else ""
    return {"lam_train": found["lam_train"], **({"commit": f"{commit[:12]}{changed}"} if commit else {})}


def _keeper(collection: Collection, settings: CollectTrajectoriesSettings, judge: TrajectoryJudge | None) -> Keeper:
    keep = settings.keep_evidence or settings.ufo_folders
    evidence = collection.folder / "evidence" if judge or keep else None
    return Keeper(collection, judge, evidence, keep, _versions())


def _judge(settings: CollectTrajectoriesSettings, stack: ExitStack) -> TrajectoryJudge | None:
    if settings.judge is None:
        return None
    endpoint = stack.enter_context(Endpoint(settings.judge, "trajectories.judge"))
    return TrajectoryJudge(endpoint, settings.judge.images)


def _opened(
    open_environments: Callable[[], Sequence[Application]],
    settings: CollectTrajectoriesSettings,
    judge: TrajectoryJudge | None,
    folder: Path,
    stack: ExitStack,
) -> Sequence[Application]:
    environments = open_environments()
    for environment in environments:
        stack.callback(environment.close)
    if judge is None and not settings.keep_evidence and not settings.ufo_folders:
        return environments
    images = judge is not None and judge.images
    return [EvidenceRecorder(environment, folder / "evidence", images) for environment in environments]


def _plan_and_execute(
    collection: Collection,
    tasks: Sequence[Task],
    references: Mapping[str, list[str]],
    planner: Planner,
    environments: Sequence[Application],
    settings: CollectTrajectoriesSettings,
    episode: EpisodeSettings,
    keeper: Keeper,
) -> None:
    instantiate(collection, tasks, references, planner, environments[0])
    threshold = settings.grounding.threshold
    execute(collection, tasks, planner.name, environments, threshold, episode, keeper, settings.seed)


def _act(
    collection: Collection,
    tasks: Sequence[Task],
    policy: Policy,
    environments: Sequence[Application],
    settings: CollectTrajectoriesSettings,
    episode: EpisodeSettings,
    keeper: Keeper,
) -> None:
    """Lets a policy that decides step by step do each task that has no episode yet."""
    done = collection.done()
    left = [task for task in tasks if task.task_id not in done]
    usage = UsageLog(collection.folder, policy.endpoint) if isinstance(policy, EndpointPolicy) else None
    try:
        with EpisodeProgress("collecting", "episode", len(left)) as progress:
            for trajectory in rollouts(left, policy, environments, episode, seed=settings.seed):
                keeper.keep(trajectory, progress)
                if usage:
                    usage.note()
            keeper.finish(progress)
    finally:
        if usage:
            usage.note(now=True)
