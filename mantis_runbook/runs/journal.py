"""The journal of a run: one JSON line per event, each with the hash of the one before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

__all__ = ["FILE", "GENESIS", "TORN", "Entry", "Journal", "plain", "verify_chain"]

FILE = "journal.jsonl"

#: `previous` of the first entry.
GENESIS = "0" * 64

#: The event that keeps what a killed writer left: its fact `text` is the torn line (or lines)
#: before it.
TORN = "journal.torn"

OURS = ("seq", "at", "event", "previous")

#: How much of the file's end is read first to find the last whole line.
TAIL = 65_536


@dataclass(frozen=True)
class Entry:
    """One event: number, instant (UTC, ISO 8601), name, facts, the hash of the line before."""

    seq: int
    at: str
    event: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    previous: str = GENESIS

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.at)

    def line(self) -> bytes:
        """The entry as it stands in the file, without the line break."""
        record = {
            "seq": self.seq,
            "at": self.at,
            "event": self.event,
            **self.facts,
            "previous": self.previous,
        }
        text = json.dumps(
            plain(record), ensure_ascii=False, allow_nan=False, separators=(", ", ": ")
        )
        return text.encode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Line:
    """A line of the file; `entry` is None when it is torn."""

    raw: bytes
    entry: Entry | None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()


class Journal:
    """The journal in a run's folder.

    Several processes may append in turn; whoever appends holds a lock on the file.

    What a line holds is the caller's choice, and so is that no secret is among it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / FILE

    def append(self, event: str, /, **facts: Any) -> Entry:
        """Write one entry, durably: it is on disk when this returns.

        A line that a killed writer left half-written is first recorded as `journal.torn`. Raises
        `ValueError` for a fact named like one of the journal's own keys, `TypeError` for a value
        that JSON cannot hold.
        """
        if reserved := [name for name in OURS if name in facts]:
            raise ValueError(
                f"journal entry {event}: {', '.join(reserved)} is set by the journal itself"
            )
        with self._locked() as descriptor:
            last = _mend(descriptor)
            return _write(descriptor, last, event, facts)

    def mend(self) -> None:
        """Record a torn last line, if there is one.

        Without a journal, or with a whole one, nothing is written.
        """
        if self.path.exists():
            with self._locked() as descriptor:
                _mend(descriptor)

    def entries(self) -> list[Entry]:
        """All whole entries, oldest first. None when there is no journal."""
        return [line.entry for line in _lines(self.path) if line.entry is not None]

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size == 0:
                _sync_folder(self.path.parent)
            yield descriptor
        finally:
            os.close(descriptor)


def verify_chain(path: Path) -> list[str]:
    """What is wrong with a journal file, in sentences; none if its chain is whole.

    The end of the file is not covered (nothing follows it): the run's manifest covers it.
    """
    if not path.exists():
        return [f"{path.name} is missing"]
    problems: list[str] = []
    previous, seq, torn = GENESIS, 0, list[bytes]()
    for number, line in enumerate(_lines(path), start=1):
        if line.entry is None:
            torn.append(line.raw)
            continue
        seq += 1
        problems += [
            f"{path.name}, line {number}: {what}"
            for what in _breaks(line.entry, seq, previous, torn)
        ]
        previous, seq, torn = line.sha256, line.entry.seq, []
    if torn:
        problems.append(
            f"{path.name}: the last line is torn, its writer was killed; nothing was appended since"
        )
    return problems


def plain(value: Any) -> Any:
    """The value in JSON's types: Decimal → str, instants → ISO 8601 in UTC, durations → seconds,
    NaN → null.
    """
    if value is None or (isinstance(value, (str, bool, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID, Path)):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "item"):  # a number of numpy's
        return plain(value.item())
    raise TypeError(f"a {type(value).__name__} cannot be written to the journal or as evidence")


def _iso(instant: datetime) -> str:
    if instant.tzinfo is None:
        return instant.isoformat()
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _breaks(entry: Entry, seq: int, previous: str, torn: list[bytes]) -> list[str]:
    breaks = []
    if entry.previous != previous:
        breaks.append(
            "does not carry the hash of the line before it; one of the two was changed, or one is"
            " gone"
        )
    if entry.seq != seq:
        breaks.append(f"is numbered {entry.seq}, expected {seq}")
    if torn and entry.event != TORN:
        breaks.append("follows a line that is no entry, and does not record it as torn")
    if entry.event == TORN and entry.facts.get("text") != _text(torn):
        breaks.append("records another torn line than the one before it")
    return breaks


def _mend(descriptor: int) -> Line | None:
    """The last whole line, after what is torn behind it was recorded and ended."""
    last, torn, ended = _tail(descriptor)
    if not ended:
        os.write(descriptor, b"\n")
    if torn:
        entry = _write(descriptor, last, TORN, {"text": _text(torn)})
        return Line(entry.line(), entry)
    return last


def _write(descriptor: int, last: Line | None, event: str, facts: dict[str, Any]) -> Entry:
    seq = last.entry.seq + 1 if last and last.entry else 1
    entry = Entry(
        seq=seq,
        at=_now(),
        event=event,
        facts=plain(facts),
        previous=last.sha256 if last else GENESIS,
    )
    rest = entry.line() + b"\n"
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)
    return entry


def _tail(descriptor: int) -> tuple[Line | None, list[bytes], bool]:
    """The last whole line, the torn ones after it, and whether the file ends with a line break."""
    size = os.fstat(descriptor).st_size
    span = TAIL
    while True:
        start = max(0, size - span)
        raw = os.pread(descriptor, size - start, start)
        pieces = raw.split(b"\n")
        ended, lines = pieces[-1] == b"", [_parse(piece) for piece in pieces if piece]
        # The first piece may begin in the middle of a line; unless the file begins there, it proves
        # nothing.
        whole = [
            position
            for position, line in enumerate(lines)
            if line.entry and (start == 0 or position > 0)
        ]
        if whole:
            return lines[whole[-1]], [line.raw for line in lines[whole[-1] + 1 :]], ended
        if start == 0:
            return None, [line.raw for line in lines], ended or size == 0
        span *= 8


def _lines(path: Path) -> list[Line]:
    return [_parse(raw) for raw in path.read_bytes().split(b"\n") if raw] if path.exists() else []


def _parse(raw: bytes) -> Line:
    try:
        record = json.loads(raw)
        seq, at, event, previous = (record.pop(name) for name in OURS)
    except (ValueError, KeyError, AttributeError, TypeError):
        return Line(raw, None)
    typed = isinstance(seq, int) and all(isinstance(value, str) for value in (at, event, previous))
    return Line(
        raw, Entry(seq=seq, at=at, event=event, facts=record, previous=previous) if typed else None
    )


def _text(torn: list[bytes]) -> str:
    return b"\n".join(torn).decode("utf-8", "backslashreplace")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
