"""What is written beside the episodes: counts.json and the card, counted anew from everything in the folder."""

import json
import logging

from lam_train.collect.trajectories.agreement import JudgeAgreement
from lam_train.collect.trajectories.card import Examples, card_text
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.counts import CollectionCounts
from lam_train.collect.trajectories.usage_log import logged_usage

log = logging.getLogger(__name__)


def write_results(collection: Collection, examples: int, seed: int, settings: dict) -> CollectionCounts:
    """Counts every task's last episode in the folder, whatever run it came from."""
    counts, shown, agreement = CollectionCounts(), Examples(examples, seed), JudgeAgreement()
    for trajectory in collection.last():
        counts.add(trajectory)
        shown.add(trajectory)
        agreement.add(trajectory)
    for plan in collection.plans:
        counts.add_plan(plan)
    for judgement in collection.judgements:
        counts.add_judgement(judgement)
    counts.usage = counts.usage + logged_usage(collection.folder)
    counts.check()
    card = card_text(counts, shown, settings, agreement.section())
    (collection.folder / "README.md").write_text(card, encoding="utf-8")
    numbers = {**counts.as_dict(), "agreement": agreement.as_dict()}
    text = json.dumps(numbers, indent=1, ensure_ascii=False) + "\n"
    (collection.folder / "counts.json").write_text(text, encoding="utf-8")
    log.info(
        "%d tasks, %d successes (%.1f%%), %d failures kept, in %s",
        counts.all["tasks"],
        counts.all["success"],
        100 * counts.success_rate,
        counts.all["tasks"] - counts.all["success"],
        collection.folder,
    )
    return counts
