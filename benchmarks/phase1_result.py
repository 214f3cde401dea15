"""Puts a phase-1 result together: phase1_result.py TRAINING_RUN EVALUATION_RUN RESULT_FOLDER

Copies what shows it (recipe, versions, plots, reports, metrics without the sample ids) and writes README.md from it.
"""

import shutil
import sys
from pathlib import Path

from training_facts import copy_training, training_facts

COPIED = ("evaluation.json", "evaluation.md", "evaluation.png", "examples.md")


def main(training: Path, evaluation: Path, target: Path) -> None:
    rows = copy_training(training, target)
    for name in COPIED:
        shutil.copy(evaluation / "evaluation" / name, target / name)
    facts = training_facts(training, rows, "all packaged documentation, split by page")
    report = (target / "evaluation.md").read_text()
    (target / "README.md").write_text(
        "# Phase 1: SmolLM2-135M learns to plan from all packaged documentation\n\n"
        + "".join(f"- {fact}\n" for fact in facts)
        + "\n![loss](loss.png)\n\n![throughput](throughput.png)\n\n![evaluation](evaluation.png)\n\n"
        + report.replace("# ", "## ", 1).replace("![scores](evaluation.png)", "")
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
