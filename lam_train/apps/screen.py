"""A virtual screen of one's own: Xvfb with a window manager, to run an application where it can be seen."""

import io
import os
import select
import shutil
import subprocess

from PIL import ImageGrab

from lam_train.apps.application import ApplicationError
from lam_train.errors import UserError

START_TIMEOUT_S = 20
# Of a shell: the program ends when the shell's standard input does.
WHILE_HELD = '"$@" & child=$!; cat; kill $child; wait $child'


class VirtualScreen:
    """Xvfb and openbox on a free display; both end with `close`, and when this process does."""

    def __init__(self, width: int, height: int) -> None:
        for program in ("Xvfb", "openbox", "xdotool"):
            if shutil.which(program) is None:
                raise UserError(
                    f"app.screen=true needs {program} (apt-get install xvfb openbox xdotool), or set app.screen=false"
                )
        self.processes: list[subprocess.Popen[bytes]] = []
        reader, writer = os.pipe()
        try:
            size = f"{width}x{height}x24"
            # -noreset: else it starts anew when its last window closes, and cuts off who comes just then
            options = ("-screen", "0", size, "-nolisten", "tcp", "-noreset")
            self._start("Xvfb", "-displayfd", str(writer), *options, keep=(writer,))
            os.close(writer)
            ready, _, _ = select.select([reader], [], [], START_TIMEOUT_S)
            number = os.read(reader, 16).decode().strip() if ready else ""
            if not number:
                raise ApplicationError("Xvfb did not start")
            self.display = f":{number}"
            self._start("openbox", "--sm-disable")
        except ApplicationError:
            self.close()
            raise
        finally:
            os.close(reader)

    def _start(self, *command: str, keep: tuple[int, ...] = ()) -> None:
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent"}
        if self.processes:
            environment["DISPLAY"] = self.display
        self.processes.append(
            subprocess.Popen(
                ["/bin/sh", "-c", WHILE_HELD, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=keep,
            )
        )

    def screenshot(self) -> bytes:
        """What the screen shows, as PNG."""
        output = io.BytesIO()
        ImageGrab.grab(xdisplay=self.display).save(output, format="PNG")
        return output.getvalue()

    def click(self, x: int, y: int, count: int = 1) -> None:
        """Moves the pointer there and clicks, as a hand does."""
        command = ["xdotool", "mousemove", "--sync", str(x), str(y), "click", "--repeat", str(count), "1"]
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "DISPLAY": self.display}
        try:
            subprocess.run(command, env=environment, capture_output=True, check=True, timeout=START_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ApplicationError(f"the virtual screen {self.display} takes no clicks: {error}") from None

    def close(self) -> None:
        for process in reversed(self.processes):
            process.stdin.close()
            process.wait()
        self.processes = []
