"""The protocol of an application: Gymnasium's `reset` and `step`, with records for observations and actions."""

from typing import Any, Protocol

from lam_train.records import Action, Observation


class ApplicationError(Exception):
    """The application crashed, hung or could not be started. It was killed; the next `reset` starts it anew.

    Until then `step`, `save` and `screenshot` raise it again.
    """


class Application(Protocol):
    """One instance of an application, kept warm between episodes; used by one thread at a time.

    Anything with these methods plugs in: a `gymnasium.Env`, a wrapper around one, an adapter to somebody else's.
    """

    name: str
    """As in `Task.app`."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Brings a fresh copy of `options["task"].template` and shows it. Starts the application where it must.

        Raises ApplicationError where the application breaks.
        """

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carries out one action: (observation, reward, terminated, truncated, info).

        `info` holds `result` (str, also in the observation), `error` (bool: the action was invalid, was refused and
        changed nothing) and `acceptable` (labels, in the observation before, of the controls that would have done
        the same). With status FINISH the episode is terminated once the action is done, unless the action was
        refused; then `info["verdict"]` holds the Verdict of the executable check on the saved document,
        `info["document"]` its path until the next reset, and the reward is 1.0 for "yes", else 0.0.
        Raises ApplicationError where the application breaks or exceeds its limits.
        """

    def save(self) -> str:
        """Saves the document as it is and returns the file's path, valid until the next reset."""

    def screenshot(self) -> bytes:
        """The focused window as PNG."""

    def close(self) -> None:
        """Ends every process that belongs to this instance and removes its folders. May be called twice."""
