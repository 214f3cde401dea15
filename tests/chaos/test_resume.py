"""Killed anywhere, a run goes on with the same samples, learning rates and losses, to the bit."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from lam_train.train.checkpoint import newest_checkpoint
from tests.conftest import base_overrides, command, metrics

# 40 samples in steps of 8: 5 steps an epoch, so 14 steps end in epoch 3; rows of 600 tokens: several micro-batches.
RUN = [
    "trainer.batch_size=8",
    "trainer.epochs=3",
    "trainer.max_steps=14",
    "batching.max_tokens=600",
    "batching.workers=1",
    "checkpoint.every_steps=1",
]
SAME = ("step", "samples", "lr", "loss", "grad_norm", "tokens_physical", "epoch")


def rows(run_dir: Path) -> list[tuple]:
    return [tuple(map(str, (row[key] for key in SAME))) for row in metrics(run_dir)]


def start(plans: Path, run_dir: Path, *more: str, processes: int = 1) -> subprocess.Popen:
    overrides = [*base_overrides(plans), *RUN, f"run_dir={run_dir}", *more]
    log = (run_dir.parent / f"{run_dir.name}.log").open("a")
    return subprocess.Popen(
        command(*overrides, processes=processes), stdout=log, stderr=log, start_new_session=True, env={**os.environ}
    )


def finish(process: subprocess.Popen, run_dir: Path) -> None:
    code = process.wait(timeout=300)
    assert code == 0, (run_dir.parent / f"{run_dir.name}.log").read_text()[-3000:]


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to the run and to everything it started; nothing gets to clean up."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def steps_done(run_dir: Path) -> int:
    file = run_dir / "metrics.jsonl"
    return file.read_text().count('"kind": "train"') if file.exists() else 0


@pytest.fixture(scope="module")
def unbroken(plans, tmp_path_factory) -> list[tuple]:
    run_dir = tmp_path_factory.mktemp("unbroken") / "run"
    finish(start(plans, run_dir), run_dir)
    done = rows(run_dir)
    assert len(done) == 14 and float(done[-1][SAME.index("epoch")]) > 2
    assert metrics(run_dir)[0]["micro_batches"] > 1
    return done


def test_killed_at_random_moments(plans, unbroken, tmp_path):
    """SIGKILL in epoch 2 and later, twice; each time at a random moment behind a random step."""
    run_dir, rng = tmp_path / "run", random.Random(time.time_ns())
    for wanted in (rng.randint(6, 8), rng.randint(9, 12)):
        process = start(plans, run_dir)
        deadline = time.monotonic() + 200
        while steps_done(run_dir) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(rng.random() * 0.1)
        kill(process)
    finish(start(plans, run_dir), run_dir)
    assert rows(run_dir) == unbroken


def test_a_killed_run_leaves_no_worker_that_holds_its_directory(plans, unbroken, tmp_path):
    """The main process alone is killed, as by the kernel for memory; the same command follows at once."""
    run_dir = tmp_path / "run"
    process = start(plans, run_dir)
    deadline = time.monotonic() + 200
    while steps_done(run_dir) < 6 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert not alive
    finish(start(plans, run_dir), run_dir)
    assert rows(run_dir) == unbroken


def test_killed_inside_the_write_of_a_checkpoint(plans, unbroken, tmp_path):
    """Caught while the folder still has its incomplete name: the checkpoint before it is the newest."""
    run_dir = tmp_path / "run"
    caught = False
    for _ in range(8):
        process = start(plans, run_dir)
        first = steps_done(run_dir) + 2
        while process.poll() is None and not caught:
            done = list((run_dir / "checkpoints").glob("step-*.incomplete"))
            if done and steps_done(run_dir) >= first:
                kill(process)
                caught = bool(list((run_dir / "checkpoints").glob("step-*.incomplete")))
                break
        if caught or process.poll() is not None:
            break
    assert caught, "no checkpoint was caught while being written"
    partial = next((run_dir / "checkpoints").glob("step-*.incomplete"))
    newest = newest_checkpoint(run_dir / "checkpoints")
    assert newest is None or f"step-{newest.step:08d}" < partial.name
    finish(start(plans, run_dir), run_dir)
    assert rows(run_dir) == unbroken
    assert not list((run_dir / "checkpoints").glob("*.incomplete"))


def test_two_ranks_go_on_as_one_at_another_stage(plans, unbroken, tmp_path):
    """The same samples and learning rates to the bit; losses to fp32's rounding, since sums run in another order."""
    run_dir = tmp_path / "run"
    finish(start(plans, run_dir, "trainer.max_steps=14", processes=2), run_dir)
    whole = rows(run_dir)
    for folder in sorted((run_dir / "checkpoints").glob("step-*"))[-1:]:  # keep the one of step 13
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    finish(start(plans, run_dir, "engine=zero2"), run_dir)
    again = metrics(run_dir)
    assert [row["step"] for row in again] == list(range(1, 15))
    assert rows(run_dir)[:13] == whole[:13]
    for a, b in zip(again, unbroken, strict=True):
        assert (str(a["samples"]), str(a["lr"])) == (b[1], b[2])
        assert a["loss"] == pytest.approx(float(b[3]), rel=1e-5)


def test_killed_before_the_first_checkpoint(plans, unbroken, tmp_path):
    """Its rows are not written twice."""
    run_dir = tmp_path / "run"
    process = start(plans, run_dir, "checkpoint.every_steps=null")
    while steps_done(run_dir) < 3 and process.poll() is None:
        time.sleep(0.002)
    kill(process)
    with (run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # a line that the kill cut short
    finish(start(plans, run_dir, "checkpoint.every_steps=null"), run_dir)
    assert rows(run_dir) == unbroken


def test_a_finished_run_is_not_trained_again(plans, unbroken, tmp_path):
    run_dir = tmp_path / "run"
    finish(start(plans, run_dir, "trainer.max_steps=3"), run_dir)
    before = (run_dir / "metrics.jsonl").read_bytes()
    finish(start(plans, run_dir, "trainer.max_steps=3"), run_dir)
    assert (run_dir / "metrics.jsonl").read_bytes() == before


def processes_of(process: subprocess.Popen, rank: int) -> list[psutil.Process]:
    """A rank under torchrun, and the loader's workers behind it."""
    for child in psutil.Process(process.pid).children():
        if child.environ().get("RANK") == str(rank):
            return [child, *child.children(recursive=True)]
    raise AssertionError(f"no rank {rank}")


def wait_for_steps(process: subprocess.Popen, run_dir: Path, steps: int) -> None:
    deadline = time.monotonic() + 200
    while steps_done(run_dir) < steps:
        assert time.monotonic() < deadline and process.poll() is None, Path(f"{run_dir}.log").read_text()[-3000:]
        time.sleep(0.002)


def test_a_signal_ends_it_behind_a_checkpoint_and_nothing_is_lost(plans, unbroken, tmp_path):
    run_dir = tmp_path / "run"
    process = start(plans, run_dir, "checkpoint.every_steps=100")
    wait_for_steps(process, run_dir, 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=100) == 75
    step = newest_checkpoint(run_dir / "checkpoints").step
    assert 3 <= step == steps_done(run_dir) < 14
    assert (tmp_path / "run.log").read_text().count(f"SIGTERM: ended at step {step}, where the same command") == 1
    finish(start(plans, run_dir, "checkpoint.every_steps=100"), run_dir)
    assert rows(run_dir) == unbroken


def test_a_signal_to_one_rank_and_its_workers_ends_all_ranks_at_the_same_step(plans, unbroken, tmp_path):
    """As Slurm signals before the time limit: all processes of a task, workers too; here twice, and one task alone."""
    run_dir = tmp_path / "run"
    process = start(plans, run_dir, "checkpoint.every_steps=100", processes=2)
    wait_for_steps(process, run_dir, 2)
    signalled = processes_of(process, rank=1)
    assert len(signalled) >= 2
    for _ in range(2):
        for each in signalled:
            with contextlib.suppress(psutil.NoSuchProcess):  # the second time
                each.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=100) != 0
    newest, log = newest_checkpoint(run_dir / "checkpoints"), (tmp_path / "run.log").read_text()
    assert 2 <= newest.step == steps_done(run_dir) < 14
    assert log.count(f"SIGUSR1: ended at step {newest.step}") == 1 and "killed by signal" not in log
    finish(start(plans, run_dir), run_dir)
    assert [row[:3] for row in rows(run_dir)] == [row[:3] for row in unbroken]  # steps, samples, learning rates
