"""Puts finished episodes on the disk, judged first where there is a judge."""

import logging
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.evidence import evidence_folder
from lam_train.collect.trajectories.judge import Judgement, TrajectoryJudge
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.errors import Fault
from lam_train.records import FAILURES, Trajectory

log = logging.getLogger(__name__)
OUTCOMES = {"yes": "success", "no": "fail", "unsure": "unsure"}


class Keeper:
    """Takes episodes as they end; judges them in threads of its own, so that the environments need not wait.

    An episode that the judge could not be asked about, or that ended because the expert's endpoint gave no answer, is
    not kept: the next run makes it again.
    """

    def __init__(
        self,
        collection: Collection,
        judge: TrajectoryJudge | None = None,
        evidence: Path | None = None,
        keep_evidence: bool = False,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.collection, self._judge, self._evidence, self._keep_evidence = collection, judge, evidence, keep_evidence
        self._versions = dict(versions or {})
        self._judged = self._failed = 0
        self._waiting: dict[Future, Trajectory] = {}

    def __enter__(self) -> "Keeper":
        self._pool = ThreadPoolExecutor(self._judge.endpoint.settings.parallel) if self._judge else None
        return self

    def __exit__(self, *_exception) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def keep(self, trajectory: Trajectory, progress: EpisodeProgress) -> None:
        """Keeps an episode, at once or when it is judged."""
        trajectory = self._named(trajectory)
        if trajectory.steps and trajectory.steps[-1].problem.startswith("no answer"):
            log.warning("%s is not kept, the next run tries it again: %s", trajectory.task.task_id, trajectory.reason)
            return
        if self._judge is None or not trajectory.verdicts:  # only what came to its end is judged
            self._append(trajectory, progress)
        else:
            folder = evidence_folder(self._evidence, trajectory.task.task_id)
            self._waiting[self._pool.submit(self._judge.judge, trajectory, folder)] = trajectory
        for future in [future for future in self._waiting if future.done()]:
            self._take(future, progress)

    def finish(self, progress: EpisodeProgress) -> None:
        """Waits for the judge; raises Fault where it answered nothing at all."""
        for future in list(self._waiting):
            self._take(future, progress)
        if self._failed and self._failed == self._judged:
            raise Fault(f"the judge answered none of {self._failed} questions; the same command asks again")

    def _take(self, future: Future, progress: EpisodeProgress) -> None:
        judgement: Judgement = future.result()
        trajectory = self._waiting.pop(future)
        self._judged += 1
        if judgement.problem.startswith("failed"):
            self._failed += 1
            log.warning("%s is not judged and not kept: %s", trajectory.task.task_id, judgement.problem)
            return
        self.collection.judgements.append(judgement)
        verdicts = [*trajectory.verdicts, self._judge.verdict(judgement)]
        update = {"verdicts": verdicts}
        if not trajectory.task.operations:  # no check knows this task: the judge's word is all there is
            update |= {"outcome": OUTCOMES[judgement.task_complete], "reason": ""}
            if judgement.task_complete != "yes":
                update["reason"] = "early finish" if judgement.task_complete == "no" else judgement.complete_judgement
        self._append(trajectory.model_copy(update=update), progress)

    def _append(self, trajectory: Trajectory, progress: EpisodeProgress) -> None:
        self.collection.episodes.append(trajectory)
        if self._evidence is not None and not self._keep_evidence:
            shutil.rmtree(evidence_folder(self._evidence, trajectory.task.task_id), ignore_errors=True)
        progress.advance(trajectory.outcome == "success")

    def _named(self, trajectory: Trajectory) -> Trajectory:
        """With an id that is the same in a resumed run, and the policy's own word for why it gave no action."""
        problem = trajectory.steps[-1].problem if trajectory.steps and trajectory.outcome == "fail" else ""
        cause = next((failure for failure in FAILURES if problem.startswith(failure)), trajectory.reason)
        update = {
            "trajectory_id": f"{trajectory.task.task_id}.{trajectory.policy}",
            "reason": cause,
            "versions": {**trajectory.versions, **self._versions},
        }
        return trajectory.model_copy(update=update)
