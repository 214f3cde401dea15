"""A virtual screen of one's own: Xvfb with a window manager, to run an application where it can be seen."""

import io
import os
import random
import shutil
import socket
import subprocess
import time

from PIL import ImageGrab

from lam_train.apps.application import ApplicationError
from lam_train.errors import UserError

START_TIMEOUT_S = 20
# Of a shell: the program ends when the shell's standard input does.
WHILE_HELD = '"$@" & child=$!; cat; kill $child; wait $child'


def listens(path: str) -> bool:
    """Whether somebody takes connections at a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


class VirtualScreen:
    """Xvfb and openbox on a free display; both end with `close`, and when this process does."""

    def __init__(self, width: int, height: int) -> None:
        for program in ("Xvfb", "openbox", "xdotool"):
            if shutil.which(program) is None:
                raise UserError(
                    f"app.screen=true needs {program} (apt-get install xvfb openbox xdotool), or set app.screen=false"
                )
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self.display = self._start_server(f"{width}x{height}x24")
            self._start("openbox", "--sm-disable")
        except ApplicationError:
            self.close()
            raise

    def _start_server(self, size: str) -> str:
        """Starts Xvfb on a display that nobody has; gives the display's name once it listens."""
        # Not the lowest free number: a server that is ending would take away the socket of its successor.
        number = random.SystemRandom().randrange(1000, 60_000)
        # -noreset: else it starts anew when its last window closes, and cuts off who comes just then.
        self._start("Xvfb", f":{number}", "-screen", "0", size, "-nolisten", "tcp", "-noreset")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens(f"/tmp/.X11-unix/X{number}"):
            if time.monotonic() > deadline:
                raise ApplicationError(f"Xvfb did not start on display :{number}")
            time.sleep(0.02)
        return f":{number}"

    def _start(self, *command: str) -> None:
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
            )
        )

    def screenshot(self) -> bytes:
        """What the screen shows, as PNG."""
        output = io.BytesIO()
        ImageGrab.grab(xdisplay=self.display).save(output, format="PNG")
        return output.getvalue()

    def click(self, x: int, y: int, count: int = 1) -> None:
        """Moves the pointer there and clicks, as a hand does."""
        # Without --sync, which waits for ever where the pointer is there already.
        command = ["xdotool", "mousemove", str(x), str(y), "click", "--repeat", str(count), "1"]
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
