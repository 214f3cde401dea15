"""Linux namespaces around LibreOffice: no network, processes that end together, and one folder to write into."""

import functools
import shutil
import subprocess

UNSHARE = (
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)


@functools.cache
def available() -> bool:
    """Whether this user may have namespaces here; many containers and some distributions forbid them."""
    if shutil.which("unshare") is None:
        return False
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False
