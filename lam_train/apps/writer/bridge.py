"""Starts LibreOffice and carries requests to it. Run by the system's Python, the one that has `uno`; no part of ours.

A request is a line of JSON on standard input, its answer a line on standard output. When standard input
ends (whoever started it is gone), when LibreOffice ends, or when a request takes longer than it may,
LibreOffice is killed and this process ends.
"""

import argparse
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import uno

BINARY = "/usr/lib/libreoffice/program/soffice.bin"
FRESH_PROFILE = 81  # exit status of a first start: start it again
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Office:
    def __init__(self, profile, pipe, log, start_timeout):
        self.profile, self.pipe, self.log = profile, pipe, log
        self.process = None
        deadline = time.monotonic() + start_timeout
        context = self.start(deadline)
        factory = context.getByName("/singletons/com.sun.star.script.provider.theMasterScriptProviderFactory")
        self.script = factory.createScriptProvider("").getScript(
            "vnd.sun.star.script:macro.py$call?language=Python&location=user"
        )

    def start(self, deadline):
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        while time.monotonic() < deadline:
            self.process = subprocess.Popen(
                [
                    BINARY,
                    f"-env:UserInstallation={uno.systemPathToFileUrl(self.profile)}",
                    "--norestore",
                    "--nologo",
                    "--nodefault",
                    "--nofirststartwizard",
                    f"--accept=pipe,name={self.pipe};urp;",
                ],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                preexec_fn=die_with_parent,
            )
            while self.process.poll() is None and time.monotonic() < deadline:
                try:
                    return resolver.resolve(f"uno:pipe,name={self.pipe};urp;StarOffice.ComponentContext")
                except Exception:
                    time.sleep(0.02)
            if self.process.returncode not in (None, FRESH_PROFILE):
                break
        self.kill()
        raise TimeoutError(f"LibreOffice did not start (exit status {self.process.returncode})")

    def call(self, request):
        return self.script.invoke((request,), (), ())[0]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def read_requests(requests):
    for line in sys.stdin:
        requests.put(line)
    requests.put(None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", required=True)
    parser.add_argument("--pipe", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--start-timeout", type=float, required=True)
    parser.add_argument("--request-timeout", type=float, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what LibreOffice prints is no answer
    log = open(arguments.log, "ab")  # noqa: SIM115  kept open for the process's whole life
    try:
        office = Office(arguments.profile, arguments.pipe, log, arguments.start_timeout)
    except Exception as error:
        answers.write(json.dumps({"fatal": str(error)}) + "\n")
        return 1
    answers.write(json.dumps({"started": office.process.pid}) + "\n")
    requests = queue.Queue()
    threading.Thread(target=read_requests, args=(requests,), daemon=True).start()
    threading.Thread(target=end_with, args=(office,), daemon=True).start()
    while True:
        request = requests.get()
        if request is None:
            break
        timer = threading.Timer(arguments.request_timeout, lambda: (office.kill(), os._exit(3)))
        timer.daemon = True
        timer.start()
        try:
            answer = office.call(request)
        except Exception as error:
            answers.write(json.dumps({"fatal": f"{type(error).__name__}: {error}"}) + "\n")
            break
        finally:
            timer.cancel()
        answers.write(answer + "\n")
    office.kill()
    return 0


def end_with(office):
    """Ends this process when LibreOffice does, whatever the main thread waits for."""
    office.process.wait()
    os._exit(2)


if __name__ == "__main__":
    sys.exit(main())
