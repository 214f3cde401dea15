"""What a launcher (torchrun, deepspeed, srun) has told this process. Without torch: asked before anything is loaded."""

import os


def launched_processes() -> int:
    """How many processes a launcher has started; 1 under plain python."""
    if "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ["SLURM_STEP_NUM_TASKS"]) if is_srun() else 1


def launched_rank() -> int:
    """This process's rank under a launcher; 0 under plain python."""
    return int(os.environ.get("RANK", os.environ["SLURM_PROCID"] if is_srun() else 0))


def is_srun() -> bool:
    """In a task of an srun step with several tasks, rather than in the batch script of a job."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in os.environ
