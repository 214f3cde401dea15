"""Puts a phase-2 result together: phase2_result.py COLLECTION TRAINING_RUN OFFLINE_RUN ONLINE_RUN RESULT_FOLDER

Copies what shows it (the collection's card, recipe, versions, plots, reports, metrics without the sample ids) and
writes README.md from it.
"""

import shutil
import sys
from pathlib import Path

from training_facts import copy_training, training_facts

COPIED = ("evaluation.json", "evaluation.md", "evaluation.png")


def main(collection: Path, training: Path, offline: Path, online: Path, target: Path) -> None:
    rows = copy_training(training, target)
    shutil.copy(collection / "README.md", target / "collection.md")
    shutil.copy(collection / "counts.json", target / "collection-counts.json")
    reports = ""
    for kind, run in (("offline", offline), ("online", online)):
        (target / kind).mkdir(exist_ok=True)
        for name in COPIED:
            shutil.copy(run / "evaluation" / name, target / kind / name)
        report = (target / kind / "evaluation.md").read_text().replace("(evaluation.png)", f"({kind}/evaluation.png)")
        reports += f"\n{report.replace('# ', '## ')}"
    facts = training_facts(training, rows, "successes of the embedded expert in Writer, train split; from LAM1")
    (target / "README.md").write_text(
        "# Phase 2: SmolLM2-135M learns to act in LibreOffice Writer\n\n"
        + "".join(f"- {fact}\n" for fact in facts)
        + "- the collection: [collection.md](collection.md)\n"
        + f"\n![loss](loss.png)\n\n![throughput](throughput.png)\n{reports}"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:6]))
