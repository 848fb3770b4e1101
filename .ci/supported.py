"""Whether the runbook can be installed here, in one sentence, before anything is. Any Python,
however old, can read it.
"""

import platform
import struct
import sys

SUPPORTED = (
    "Linux with glibc 2.28 or newer on x86_64 or aarch64, and macOS 11 or newer on arm64, with"
    " CPython 3.11 to 3.14"
)


def refusal(system, machine, libc, python, implementation, bits):
    """Why not; empty where it can. `libc` is a name and a version, `python` the interpreter's
    version_info.
    """
    found = ""
    if not (3, 11) <= tuple(python[:2]) <= (3, 14):
        found = "Python " + ".".join(str(part) for part in python[:3])
    elif implementation != "CPython":
        found = implementation
    elif bits != 64:
        found = "a Python of %d bits" % bits  # noqa: UP031
    elif (system, machine) not in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")):
        found = (system + " on " + machine).replace("Darwin", "macOS")
    elif system == "Linux" and (libc[0] != "glibc" or _numbers(libc[1]) < (2, 28)):
        found = "Linux with " + (" ".join(libc).strip() or "another C library (musl)")
    return (
        "mantis-runbook needs " + SUPPORTED + "; this is " + found + ", and nothing was installed"
        if found
        else ""
    )


def _numbers(version):
    return tuple(int(part) for part in version.split(".")[:2])


if __name__ == "__main__":
    sys.exit(
        refusal(
            platform.system(),
            platform.machine(),
            platform.libc_ver(),
            sys.version_info,
            platform.python_implementation(),
            8 * struct.calcsize("P"),
        )
        or None
    )
