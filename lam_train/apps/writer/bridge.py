"""Starts LibreOffice and carries requests to it. Run by the system's Python, the one that has `uno`; no part of ours.

A request is a line of JSON on standard input, its answer a line on standard output. When standard input
ends (whoever started it is gone), when LibreOffice ends, or when a request takes longer than it may,
LibreOffice is killed and this process ends.
"""

import argparse
import contextlib
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

MS_BIND, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, MOUNT_SETATTR = 4096, -100, 0x8000, 1, 442  # Linux 5.12
FRESH_PROFILE = 81  # exit status of a first start: start it again
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def write_only_into(folder):
    """Makes all that is mounted read-only, but for one folder and /var/tmp, which becomes a folder in it.

    LibreOffice's socket goes to /var/tmp where /tmp cannot be written. Works in a mount namespace of one's own.
    """
    libc = ctypes.CDLL("libc.so.6", use_errno=True)

    def check(result, what):
        if result != 0:
            raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")

    def bind(source, target):
        check(libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None), f"mount {target}")

    def set_attributes(path, flags, to_set, to_clear):
        attributes = (ctypes.c_uint64 * 4)(to_set, to_clear, 0, 0)
        arguments = (MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, attributes, ctypes.sizeof(attributes))
        check(libc.syscall(*arguments), f"mount_setattr {path}")

    bind(folder, folder)
    temporary = os.path.join(folder, "tmp")
    bind(temporary, "/var/tmp")
    set_attributes("/", AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0)
    set_attributes(folder, 0, 0, MOUNT_ATTR_RDONLY)
    set_attributes("/var/tmp", 0, 0, MOUNT_ATTR_RDONLY)
    os.chdir(os.path.join(folder, "work"))


class Office:
    def __init__(self, binary, profile, pipe, log, start_timeout):
        self.binary, self.profile, self.pipe, self.log = binary, profile, pipe, log
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
                    self.binary,
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
        self.process.kill()
        self.process.wait()


def sockets_of(pid):
    """Paths of a process's listening sockets, which are left behind when it is killed."""
    inodes = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    with open("/proc/net/unix") as table:
        rows = [line.split() for line in table]
    return [row[7] for row in rows if len(row) == 8 and row[6] in inodes and row[7].startswith("/")]


def read_requests(requests, office):
    for line in sys.stdin:
        requests.put(line)
    office.kill()  # a request that hangs ends with it, too
    requests.put(None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--isolated", action="store_true")
    parser.add_argument("--pipe", required=True)
    parser.add_argument("--start-timeout", type=float, required=True)
    parser.add_argument("--request-timeout", type=float, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what LibreOffice prints is no answer
    try:
        if arguments.isolated:
            write_only_into(arguments.folder)
        log = open(os.path.join(arguments.folder, "log"), "ab")  # noqa: SIM115  open for the process's whole life
        profile = os.path.join(arguments.folder, "profile")
        office = Office(arguments.binary, profile, arguments.pipe, log, arguments.start_timeout)
    except Exception as error:
        answers.write(json.dumps({"fatal": str(error)}) + "\n")
        return 1
    sockets = sockets_of(office.process.pid)
    answers.write(json.dumps({"started": sockets}) + "\n")
    requests = queue.Queue()
    threading.Thread(target=read_requests, args=(requests, office), daemon=True).start()
    threading.Thread(target=end_with, args=(office, sockets), daemon=True).start()
    while True:
        request = requests.get()
        if request is None:
            break
        timer = threading.Timer(arguments.request_timeout, office.kill)
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
    threading.Event().wait(10)  # for `end_with`
    return 0


def end_with(office, sockets):
    """Ends this process when LibreOffice does, whatever the main thread waits for."""
    office.process.wait()
    for path in set(sockets):
        with contextlib.suppress(OSError):
            os.unlink(path)
    os._exit(2)


if __name__ == "__main__":
    sys.exit(main())
