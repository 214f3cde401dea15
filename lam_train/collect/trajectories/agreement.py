"""How far the judge and the executable check agree."""

from collections import Counter

from lam_train.collect.trajectories.card import table
from lam_train.records import Trajectory

WORDS = ("yes", "no", "unsure")


class JudgeAgreement:
    """Episodes by the check's word and the judge's."""

    def __init__(self) -> None:
        self.pairs: Counter = Counter()  # (check, judge)

    def add(self, trajectory: Trajectory) -> None:
        """Counts an episode that both had their say on."""
        words = {verdict.by.partition(":")[0]: verdict.complete for verdict in trajectory.verdicts}
        if "judge" in words and "check" in words and trajectory.task.operations:
            self.pairs[words["check"], words["judge"]] += 1

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of "yes" against the rest ("unsure" is never a success); None where it is undefined.

        (p_o - p_e) / (1 - p_e), with the observed agreement p_o and that of two who say "yes" as often by chance, p_e
        (Cohen 1960).
        """
        total = sum(self.pairs.values())
        if not total:
            return None
        observed = sum(n for (check, judge), n in self.pairs.items() if (check == "yes") == (judge == "yes")) / total
        check_yes = sum(n for (check, _), n in self.pairs.items() if check == "yes") / total
        judge_yes = sum(n for (_, judge), n in self.pairs.items() if judge == "yes") / total
        chance = check_yes * judge_yes + (1 - check_yes) * (1 - judge_yes)
        return None if chance == 1 else (observed - chance) / (1 - chance)

    def as_dict(self) -> dict:
        """For JSON."""
        rows = {check: {judge: self.pairs[check, judge] for judge in WORDS} for check in WORDS}
        return {"check_then_judge": rows, "kappa": self.kappa}

    def section(self) -> list[str]:
        """The card's section; nothing where nothing was judged."""
        if not self.pairs:
            return []
        rows = [
            (f"check: {check}", *(self.pairs[check, judge] for judge in WORDS))
            for check in WORDS
            if any(self.pairs[check, judge] for judge in WORDS)
        ]
        kappa = "undefined (one of them always says the same)" if self.kappa is None else f"{self.kappa:.3f}"
        return [
            "## The judge and the check",
            table(("", *(f"judge: {word}" for word in WORDS)), rows),
            f'Cohen\'s kappa of "yes" against the rest: {kappa}.',
        ]
