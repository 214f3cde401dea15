"""The settings of several recipes that run one after the other."""

from pydantic import Field

from lam_train.settings import Settings


class StageSettings(Settings):
    """A recipe among several that run one after the other. Paths are those in the whole run's directory."""

    recipe: str
    """its name, as in +recipe=NAME"""
    does: str = ""
    """what it is for, said when it begins"""
    overrides: list[str] = Field(default_factory=list)
    """KEY=VALUE, as on the command line"""
    size: list[str] = Field(default_factory=list)
    """more of them, from size=NAME; they come behind `overrides`"""
    model: str | None = None
    """the stage whose model it starts from; of a skipped stage, the one that it would have started from; `base`: the
    model of `curriculum.model`"""
    data: list[str] = Field(default_factory=list)
    """paths for data.train; those in a skipped stage's folder are left out"""
    without: list[str] = Field(default_factory=list)
    """those of `data` that a size leaves out"""
    also: list[str] = Field(default_factory=list)
    """more of `data`, from size=NAME"""
    uses: dict[str, str] = Field(default_factory=dict)
    """setting -> path of what another stage made; left out where that stage is skipped"""
    reads: list[str] = Field(default_factory=list)
    """more paths that it is made from, of stages that are not skipped"""
    shared: str | None = None
    """the setting that takes `curriculum.share`, where there is one"""
    whole: str | None = None
    """the setting that takes the whole run's directory"""
    output: str | None = None
    """the setting that names the stage's own folder, where it is not run_dir alone"""
    minutes: float | None = Field(None, ge=0)
    """measured, on two cores, for curriculum.plan"""


class CurriculumSettings(Settings):
    """How stages are run."""

    model: str = "smollm2-135m"
    """the base model, as in model=NAME"""
    seed: int = Field(0, ge=0)
    """of every training and of every sampled answer; the tasks and the documents stay the same"""
    skip: list[str] = Field(default_factory=list)
    """stages that are not run; those behind them do without"""
    plan: bool = False
    """print what would run, what it reads, time and memory; run nothing"""
    share: str | None = None
    """another run's directory: a stage that ended there with the same settings and inputs is used, not run again"""
