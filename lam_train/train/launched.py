"""What a launcher (torchrun, deepspeed, srun) has told this process. Without torch: asked before anything is loaded."""

import os

PARENT = "LAM_TRAIN_PARENT"  # the process that `launch.processes` starts ranks from tells them its id in it


def launched_processes() -> int:
    """How many processes a launcher has started; 1 under plain python."""
    if "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ["SLURM_STEP_NUM_TASKS"]) if is_srun() else 1


def launched_rank() -> int:
    """This process's rank under a launcher; 0 under plain python."""
    return int(os.environ.get("RANK", os.environ["SLURM_PROCID"] if is_srun() else 0))


def relauncher() -> int | None:
    """The id of the process that started this rank for `launch.processes`; None under every other launcher."""
    return int(os.environ[PARENT]) if PARENT in os.environ and "RANK" in os.environ else None


def srun_step() -> str | None:
    """The step of srun that this process is a task of, as JOB.STEP; None where it is none."""
    return f"{os.environ['SLURM_JOB_ID']}.{srun_step_number()}" if is_srun() else None


def srun_step_number() -> int:
    """Of this job's steps; counts from 0. `SLURM_STEPID` is its name in older versions of Slurm."""
    return int(os.environ.get("SLURM_STEP_ID") or os.environ.get("SLURM_STEPID") or 0)


def is_srun() -> bool:
    """In a task of an srun step with several tasks, rather than in the batch script of a job."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in os.environ
