"""One LibreOffice process: its start, its requests, its end."""

import contextlib
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from lam_train.apps.application import ApplicationError
from lam_train.apps.screen import VirtualScreen
from lam_train.apps.writer import isolation
from lam_train.apps.writer.profile import write_profile
from lam_train.apps.writer.settings import WriterSettings
from lam_train.errors import UserError

BRIDGE = Path(__file__).parent / "bridge.py"
SYSTEM_PYTHON = "/usr/bin/python3"
# The Python inside LibreOffice takes its library from beside the `python3` that PATH finds first: that of an activated
# virtual environment, or of another installation, is not its own.
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAM = "/usr/lib/libreoffice/program"
SHOWN_OF_LOG = 300  # characters
REMOVE_AFTER = '"$@"; rm -rf "$0"'  # of a shell: the folder goes, also when this process was killed and could not


class Office:
    """LibreOffice with a profile, a working folder and, where asked for, a screen of its own; all go at the end."""

    def __init__(self, settings: WriterSettings) -> None:
        self.settings = settings
        must_be_installed(SYSTEM_PYTHON, PROGRAM)
        self.isolated = is_isolated(settings)
        self.folder = Path(tempfile.mkdtemp(prefix="lam-writer-"))
        self.work = self.folder / "work"
        self.work.mkdir()
        (self.folder / "tmp").mkdir()
        write_profile(self.folder / "profile")
        self.episodes = 0
        self.view: list[Any] = []  # the view's switches of its first document
        self.virtual_screen = VirtualScreen(settings.width, settings.height) if settings.screen else None
        self.log = (self.folder / "log").open("a+b")  # kept open: with Writer's end the folder is gone
        self.bridge = self._start()
        self.buffer = b""
        self.sockets: list[str] = []
        try:
            self.sockets = self._answer(settings.start_timeout_s)["started"]
        except ApplicationError as error:
            log = self._log_ends()
            self.kill()
            raise ApplicationError(f"{error}; its log ends: {log}" if log else str(error)) from None

    def _start(self) -> subprocess.Popen[bytes]:
        settings = self.settings
        keep = ("LANG", "LC_ALL", "TZ")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        environment |= {"PATH": SYSTEM_PATH, "HOME": str(self.folder), "TMPDIR": str(self.folder / "tmp")}
        environment["SAL_USE_VCLPLUGIN"] = "gen" if self.virtual_screen else "svp"
        if self.virtual_screen:
            environment["DISPLAY"] = self.virtual_screen.display
        command = [
            *("/bin/sh", "-c", REMOVE_AFTER, str(self.folder)),
            *(isolation.UNSHARE if self.isolated else ()),
            *(SYSTEM_PYTHON, "-I", str(BRIDGE), *(("--isolated",) if self.isolated else ())),
            *("--binary", f"{PROGRAM}/soffice.bin"),
            *("--folder", str(self.folder), "--pipe", f"lam{uuid.uuid4().hex}"),
            *("--start-timeout", str(settings.start_timeout_s), "--request-timeout", str(settings.step_timeout_s)),
        ]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=self.work,
            env=environment,
            start_new_session=True,
        )

    def request(self, *requests: dict[str, Any]) -> list[Any]:
        """The values of requests (`inside/desk.py`) carried out in order.

        Raises ApplicationError when LibreOffice ends or takes longer than a step may; it is dead then.
        Raises RequestError when a request itself fails; what came before it is done.
        """
        try:
            self.bridge.stdin.write(json.dumps(requests).encode() + b"\n")
            self.bridge.stdin.flush()
        except OSError:
            self.kill()
            raise ApplicationError("Writer is gone") from None
        try:
            answers = self._answer(self.settings.step_timeout_s)
        except ApplicationError:
            self.kill()
            raise
        for answer in answers:
            if answer["error"]:
                raise RequestError(answer["error"].strip().rpartition("\n")[2])
        return [answer["value"] for answer in answers]

    def _answer(self, timeout: float) -> Any:
        """The next line from the bridge."""
        deadline = time.monotonic() + timeout
        output = self.bridge.stdout.fileno()
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(output, 1 << 16) if ready else b""
            if not piece:
                raise ApplicationError("Writer ended by itself" if ready else f"Writer took longer than {timeout:g} s")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        answer = json.loads(line)
        if "fatal" in answer:
            raise ApplicationError(f"Writer: {answer['fatal']}")
        return answer

    def _log_ends(self) -> str:
        """The end of what LibreOffice and the bridge have printed, on one line."""
        self.log.seek(0)
        return " ".join(self.log.read().decode(errors="replace").split())[-SHOWN_OF_LOG:]

    def memory_mib(self) -> float:
        """Resident memory of LibreOffice in MiB."""
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.bridge.pid).children(recursive=True):
                if process.name().startswith("soffice"):
                    total += process.memory_info().rss
        return total / 2**20

    @property
    def alive(self) -> bool:
        return self.bridge.poll() is None

    def kill(self) -> None:
        """Ends every process of this instance and removes its folders. May be called twice."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.bridge.pid, signal.SIGKILL)
        self.bridge.wait()
        if self.virtual_screen is not None:
            self.virtual_screen.close()
        for stream in (self.bridge.stdin, self.bridge.stdout, self.log):
            with contextlib.suppress(OSError):
                stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.isolated:
            for path in self.sockets:
                Path(path).unlink(missing_ok=True)


@functools.cache
def must_be_installed(python: str, program: str) -> None:
    """Raises UserError with Debian's packages where LibreOffice, or its module for this Python, is missing."""
    missing = {
        package: f"there is no {program}/{file}"
        for package, file in (
            ("libreoffice-writer", "soffice.bin"),
            ("libreoffice-script-provider-python", "pythonscript.py"),
        )
        if not Path(program, file).is_file()
    }
    try:
        imported = subprocess.run(
            [python, "-I", "-c", "import uno"], env={"PATH": SYSTEM_PATH}, capture_output=True, text=True, timeout=60
        )
        if imported.returncode != 0:
            reason = imported.stderr.strip().rpartition("\n")[2]
            missing["python3-uno"] = f"{python} cannot import uno" + (f" ({reason})" if reason else "")
    except (OSError, subprocess.TimeoutExpired) as error:
        missing["python3-uno"] = f"{python} does not run: {error}"
    if missing:
        raise UserError(
            f"LibreOffice Writer is not installed whole: {', '.join(missing.values())}; "
            f"apt-get install {' '.join(missing)}, as setup.sh does"
        )


def is_isolated(settings: WriterSettings) -> bool:
    """Whether LibreOffice runs in namespaces of its own. Raises UserError where it must and cannot."""
    if settings.isolation == "none" or (settings.isolation == "auto" and not isolation.available()):
        return False
    if not isolation.available():
        raise UserError(
            "app.isolation=required: this system gives no user namespaces (unshare --user --net --mount --pid); "
            "allow them, or set app.isolation=auto and run Writer in a container without a network"
        )
    return True


class RequestError(Exception):
    """A request that LibreOffice refused or that does not apply; LibreOffice lives on."""
