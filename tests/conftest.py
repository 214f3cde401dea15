"""What the tests share: small data, and trainings on real DeepSpeed processes."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
WORDS = [
    "open",
    "close",
    "menu",
    "click",
    "insert",
    "table",
    "row",
    "column",
    "press",
    "button",
    "style",
    "font",
    "bold",
    "page",
    "header",
    "footer",
]


def plan_rows(count: int, seed: int = 0) -> list[dict]:
    """TaskPlan records of random words; many share their beginnings."""
    rng = random.Random(seed)
    return [
        {
            "task_id": f"{seed}-{i}",
            "task": " ".join(rng.choices(WORDS[:4], k=rng.randint(1, 4))),
            "plan": [" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(rng.randint(1, 4))],
            "app": rng.choice(["Writer", "Calc"]),
        }
        for i in range(count)
    ]


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def plans(tmp_path_factory) -> Path:
    """A folder with train.jsonl (40 pairs) and validation.jsonl (9 pairs)."""
    folder = tmp_path_factory.mktemp("plans")
    write_rows(folder / "train.jsonl", plan_rows(40))
    write_rows(folder / "validation.jsonl", plan_rows(9, seed=1))
    return folder


def base_overrides(plans: Path) -> list[str]:
    """Phase 1 with the tiny model, as short as it gets."""
    return [
        "+recipe=phase1",
        "model=tiny",
        f"data.train={plans}/train.jsonl",
        "data.validation=null",
        "trainer.lr=1e-3",
        "batching.workers=0",
        "export.at_end=false",
    ]


def command(*arguments: str, processes: int = 1, launcher: str = "torchrun") -> list[str]:
    """The command line of a recipe, plain or under a launcher."""
    module = ["-m", "lam_train", *arguments]
    if processes == 1:
        return [sys.executable, *module]
    if launcher == "torchrun":
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *module]
    raise ValueError(launcher)


def run_command(*arguments: str, cwd: Path | None = None, timeout: float = 300, env: dict | None = None, **launch):
    """Runs a recipe in a process of its own and returns the finished process, its output as text."""
    return subprocess.run(
        command(*arguments, **launch),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def metrics(run_dir: Path, kind: str = "train") -> list[dict]:
    """The rows of a run's metrics.jsonl."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


@pytest.fixture(scope="session")
def train_cases(plans, tmp_path_factory):
    """Runs many trainings in one DeepSpeed world: (name -> overrides, ranks) -> name -> run directory."""

    def run(cases: dict[str, list[str]], ranks: int) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp(f"cases-{ranks}-")
        folders = {name: folder / str(index) for index, name in enumerate(cases)}
        for name in cases:  # "NAME then …" goes on in the run directory of NAME
            folders[name] = folders[name.partition(" then ")[0]]
        listed = {name: [*base_overrides(plans), f"run_dir={folders[name]}", *more] for name, more in cases.items()}
        (folder / "cases.json").write_text(json.dumps(listed))
        driver = [str(ROOT / "tests" / "driver.py"), str(folder / "cases.json")]
        start = [] if ranks == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        done = subprocess.run([sys.executable, *start, *driver], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-4000:]
        return folders

    return run
