"""The manifest of a run's folder: what belongs to it, and whether all of it is still as it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook import settings
from mantis_runbook.errors import Inconclusive
from mantis_runbook.runs.journal import FILE as JOURNAL
from mantis_runbook.runs.journal import verify_chain

__all__ = ["HEAD", "MANIFEST", "Problem", "head", "is_sealed", "seal", "verify"]

MANIFEST = "manifest.json"

#: Holds the manifest's own SHA-256, in the form that `sha256sum --check` reads.
HEAD = "manifest.sha256"

OWN = (MANIFEST, HEAD)
FORMAT = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is not as the manifest says."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}"


def seal(folder: Path) -> str:
    """Write the manifest over all files now in the folder, and its head beside it.

    Returns the head.

    Sealing an unchanged folder again gives the same head: what the manifest says of the SQL files,
    the notebook sources and the run before is kept as long as the journal is the same.
    """
    files = {_name(path, folder): _file(path) for path in _files(folder)}
    origin = _origin(folder, files.get(JOURNAL)) or {
        "sources": _sources(),
        "previous": _previous(folder),
    }
    manifest = {"format": FORMAT, "run": folder.name, "files": files, **origin}
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    _replace(folder / MANIFEST, text)
    _replace(folder / HEAD, f"{digest}  {MANIFEST}\n")
    return digest


def is_sealed(folder: Path) -> bool:
    """Whether the folder has a manifest and every file is as it says."""
    manifest = _load(folder) if (folder / MANIFEST).is_file() else None
    return manifest is not None and not [
        *_of_head(folder, None),
        *_of_files(folder, manifest["files"]),
    ]


def head(folder: Path) -> str:
    """SHA-256 of the manifest as it is now: what the database and the next run's manifest keep.

    Raises `Inconclusive` when the run has no manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise Inconclusive(
            f"run {folder.name} has no manifest",
            action=f"make its report first: `mantis-runbook report {folder.name}`",
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(folder: Path, expected_head: str | None = None) -> tuple[Problem, ...]:
    """All that differs from the manifest: changed, truncated, missing, added files, a broken
    journal, the run before.

    `expected_head` is the head as kept elsewhere (in the database). Only with it is a folder
    recognised that was changed and sealed anew.
    """
    if not (folder / MANIFEST).is_file():
        return (Problem(MANIFEST, "is missing: nothing says what belongs to this run"),)
    problems = [*_of_head(folder, expected_head)]
    manifest = _load(folder)
    if manifest is None:
        return (
            *problems,
            Problem(MANIFEST, "is not a manifest: nothing says what belongs to this run"),
        )
    problems += _of_files(folder, manifest["files"])
    problems += [
        Problem(JOURNAL, what.removeprefix(JOURNAL).lstrip(", :")) for what in _chain(folder)
    ]
    return (*problems, *_of_previous(folder, manifest.get("previous")))


def _of_head(folder: Path, expected: str | None) -> Iterable[Problem]:
    digest = head(folder)
    path = folder / HEAD
    if not path.is_file():
        yield Problem(HEAD, "is missing")
    elif path.read_bytes() != f"{digest}  {MANIFEST}\n".encode():
        yield Problem(
            MANIFEST, f"was changed: its SHA-256 is not the one in {HEAD}, or that file was changed"
        )
    if expected is not None and expected != digest:
        yield Problem(
            MANIFEST, f"was replaced: its SHA-256 is {digest}, the database keeps {expected}"
        )


def _of_files(folder: Path, recorded: Mapping[str, Mapping[str, Any]]) -> Iterable[Problem]:
    present = {_name(path, folder): path for path in _files(folder)}
    for name, facts in sorted(recorded.items()):
        if name not in present:
            yield Problem(name, "is missing")
            continue
        file = _file(present[name])
        if file["sha256"] != facts.get("sha256") or file["size"] != facts.get("size"):
            yield Problem(name, _difference(file["size"], facts.get("size")))
    for name in sorted(present.keys() - recorded.keys()):
        yield Problem(name, "is additional: it was not there when the run was archived")


def _difference(size: int, recorded: Any) -> str:
    if not isinstance(recorded, int) or size == recorded:
        return "was changed: same size, other content"
    verb = "was truncated" if size < recorded else "has grown"
    return f"{verb}: {size:,} bytes, expected {recorded:,}"


def _chain(folder: Path) -> list[str]:
    return verify_chain(folder / JOURNAL) if (folder / JOURNAL).exists() else []


def _of_previous(folder: Path, previous: Any) -> Iterable[Problem]:
    if not isinstance(previous, Mapping):
        return
    name = str(previous.get("run"))
    path = folder.parent / Path(name).name / MANIFEST
    if not path.is_file():
        yield Problem(f"{name}/{MANIFEST}", "(the run before) is missing")
    elif _file(path)["sha256"] != previous.get("sha256"):
        yield Problem(
            f"{name}/{MANIFEST}", "(the run before) was changed since this run was archived"
        )


def _load(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except ValueError:
        return None
    well_formed = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
    return (
        manifest
        if well_formed and all(isinstance(facts, dict) for facts in manifest["files"].values())
        else None
    )


def _origin(folder: Path, journal: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the present manifest says of the world outside, if it is of the same journal."""
    manifest = _load(folder) if (folder / MANIFEST).is_file() else None
    if manifest is None or journal is None or manifest["files"].get(JOURNAL) != journal:
        return None
    return {name: manifest.get(name) for name in ("sources", "previous")}


def _sources() -> dict[str, Any]:
    """Size and SHA-256 of each file that a run may use: the application's, and the runbook's own
    under `runbook/`.
    """
    home, own = settings.home(), settings.own_sql().parent
    sources = {
        _name(path, home): _file(path) for path in _sources_in(settings.sql(), settings.notebooks())
    }
    if home.resolve() != own:
        ours = _sources_in(settings.own_sql(), settings.own_notebooks())
        sources |= {f"runbook/{_name(path, own)}": _file(path) for path in ours}
    return sources


def _sources_in(sql: Path, notebooks: Path) -> list[Path]:
    return sorted([*sql.rglob("*.sql"), *sql.rglob("*.toml"), *notebooks.glob("*.ipynb")])


def _previous(folder: Path) -> dict[str, str] | None:
    """The newest run before this one that has a manifest."""
    earlier = [
        path.parent
        for path in folder.parent.glob(f"*/{MANIFEST}")
        if path.parent.name < folder.name
    ]
    if not earlier:
        return None
    newest = max(earlier, key=lambda path: path.name)
    return {"run": newest.name, "sha256": head(newest)}


def _files(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(path for path in paths if _name(path, folder) not in OWN)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _file(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file; of a link, what it points to counts as its content."""
    if path.is_symlink():
        target = str(path.readlink()).encode()
        return {"size": len(target), "sha256": hashlib.sha256(b"link:" + target).hexdigest()}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
