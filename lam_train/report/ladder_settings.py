"""The settings of the ladder's report."""

from lam_train.settings import Settings


class LadderSettings(Settings):
    """What the table of all models is made from."""

    run: str | None = None
    """a curriculum's run directory"""
    shared: str | None = None
    """the directory of the run that it shares stages with (curriculum.share): those count as its own"""
    data: str | None = None
    """instead: a ladder.json, of which tables and plots are made again"""
    output: str | None = None
    """where the report goes; null: the run directory's `ladder/`"""
