"""Settings of the Writer environment."""

from typing import Literal

from pydantic import Field

from lam_train.settings import Settings


class WriterSettings(Settings):
    """LibreOffice Writer, as an application to act in."""

    instances: int = Field(default=2, ge=1)
    """How many Writers run at once, each a process of its own (about 250 MiB and up to one core each)."""
    screen: bool = False
    """Show each Writer on a virtual screen of its own (Xvfb and openbox). Off: no screen is needed."""
    width: int = Field(default=1400, ge=640)
    """Width of Writer's window in pixels. A narrow window hides toolbar buttons."""
    height: int = Field(default=900, ge=480)
    """Height of Writer's window in pixels."""
    isolation: Literal["auto", "required", "none"] = "auto"
    """Run Writer in Linux namespaces, without a network and with one folder it can write into. `auto`: where the
    system allows it; `required`: refuse to run otherwise."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    """How long a start may take before it counts as failed."""
    step_timeout_s: float = Field(default=60.0, gt=0)
    """How long a step, or bringing a document, may take before Writer is killed."""
    episode_timeout_s: float = Field(default=900.0, gt=0)
    """How long an episode may take, the policy's decisions included, before Writer is killed."""
    max_steps: int | None = Field(default=None, ge=1)
    """Steps after which the application truncates an episode, whoever acts; null: never, `episode.max_steps` alone
    ends it."""
    recycle_after_episodes: int = Field(default=500, ge=1)
    """Start a fresh Writer after so many episodes."""
    recycle_memory_mib: int = Field(default=700, ge=300)
    """Start a fresh Writer once it holds more memory than this."""
