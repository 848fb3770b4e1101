"""Phase 3: the currency of every existing amount, decided on the record and proven by control
totals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from mantis_runbook.backup.backup import sha256
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.rolling_back import APPLIED
from mantis_runbook.errors import Failed, Inconclusive, ParameterError, Refused
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.finance.control_totals import (
    Totals,
    compare,
    control_totals,
    differences,
    keep,
    summed,
)
from mantis_runbook.phases.finance.currencies import AMOUNT_DIGITS, GIVEN_UP, MINOR_UNITS
from mantis_runbook.phases.migrating_phase import Around, MigrationPhase, Verb
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.phases.verbs.already_applied import is_applied
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = [
    "FinancePhase",
    "amounts_file",
    "currency_additions",
    "currency_choices",
    "keep_amounts",
    "kept_amounts",
]

#: The migration that adds the labels, and gives every amount its currency.
FINANCE = "003"

#: The journal's word for: what every row of money held before the first step is in a file.
KEPT = "amounts.kept"


def currency_choices(text: str) -> dict[str, str]:
    """What `ZAR=USD, GPB=GBP` says: code as found → currency meant. Raises `ParameterError` for
    anything else.
    """
    choices: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        code, equals, currency = (piece.strip() for piece in part.partition("="))
        if not (code and equals and currency) or choices.get(code, currency) != currency:
            raise ParameterError(
                "parameter currency_map",
                found=repr(part),
                expected="CODE=CURRENCY pairs, parted by commas, each code once, such as ZAR=USD",
                action="write which currency each unknown code stands for",
            )
        choices[code] = currency
    return choices


def currency_additions(text: str) -> tuple[str, ...]:
    """The currencies that `ZAR, KRW` asks for. Raises `ParameterError` for what is no money in use.

    So too for one whose amounts have more digits than the schema's columns hold: they would be cut.
    """
    codes = tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    for code in codes:
        _refuse_unfit(code, "parameter currency_add")
    return codes


def _refuse_unfit(code: str, where: str) -> None:
    if code in GIVEN_UP:
        raise ParameterError(
            where,
            found=f"{code}, which is nobody's money since {GIVEN_UP[code]}",
            expected="codes of ISO 4217 that are money in use",
            action=(
                "convert its amounts to the currency that replaced it before you migrate; map it"
                " with currency_map only where one unit replaced one unit"
            ),
        )
    if code not in MINOR_UNITS:
        raise ParameterError(
            where,
            found=repr(code),
            expected="codes of ISO 4217 in capital letters, separated by commas, such as ZAR",
            action=(
                "correct the code; a typing error in the settings is mapped with currency_map, not"
                " added"
            ),
        )
    if MINOR_UNITS[code] > AMOUNT_DIGITS:
        raise ParameterError(
            where,
            found=f"{code}, whose amounts have {MINOR_UNITS[code]} digits after the point",
            expected=(
                f"a currency of at most {AMOUNT_DIGITS}, which is what the schema's amounts hold"
            ),
            action=(
                "map it with currency_map, or widen the amounts with a migration of your own first"
            ),
        )


def _after_decisions(record: PhaseRecord, precheck: Verb) -> Evidence:
    """Precheck, once what the operator decided is on record."""
    _record_decisions(record)
    return precheck(record)


def _record_decisions(record: PhaseRecord) -> None:
    """Keep what the operator decided, in the database, before anything is checked or dumped.

    A currency that is added is decided to stand for itself; the migration's first step makes it a
    label. Raises `ParameterError` for what is no currency, says two things, or comes too late to be
    carried out by the migration.
    """
    mapped = currency_choices(record.parameters.currency_map)
    added = currency_additions(record.parameters.currency_add)
    with record.run.connect("decisions") as connection:
        book = Ledger(connection).require()
        known, on_record = _labels(connection), book.decided("currency")
        added_before = (
            known & GIVEN_UP.keys()
        )  # while they were money; their amounts stay what they are
        for code in (
            code for code, value in on_record.items() if code == value and code not in added_before
        ):
            _refuse_unfit(code, "mantis_runbook.decision, where it stands to be added")
        _refuse_unclear(
            mapped, added, known | {code for code, value in on_record.items() if code == value}
        )
        choices = {**mapped, **{code: code for code in added}}
        news = {code: value for code, value in choices.items() if on_record.get(code) != value}
        if (row := book.all().get(FINANCE)) and row.status in APPLIED:
            _refuse_late(news, known, is_completed=row.status == "completed")
        book.decide("currency", choices, record.run.operator)
    if choices:
        record.run.journal.append(
            "decision.recorded", phase=record.number, subject="currency", choices=choices
        )


def _between_control_totals(record: PhaseRecord, rehearse: Verb) -> Evidence:
    """The rehearsal, with the control totals of the copy taken before and after."""
    if is_applied(record):
        return rehearse(record)
    copy = PhaseCopy(record)
    copy.require_fresh()
    with connect(copy.target, "control totals", lock_timeout="0") as connection:
        before = control_totals(connection, "before")
    rehearsed = rehearse(record)
    with connect(copy.target, "control totals", lock_timeout="0") as connection:
        after = control_totals(connection, "after")
    _require_agreement(record, before, after, "rehearse", "in the rehearsal")
    table = Table(f"{len(before)} control totals, equal before and after", summed(before))
    return replace(
        rehearsed,
        tables=(*rehearsed.tables, table),
        facts={**rehearsed.facts, "control_totals": len(before)},
    )


def _on_agreeing_totals(record: PhaseRecord, approve: Verb) -> Evidence:
    """The approval rests on control totals that agree: without them the rehearsal has not passed,
    and says none.
    """
    if is_applied(record):
        return approve(record)
    count = record.facts("rehearse").get("control_totals")
    if count is None:
        raise Refused(
            "phase 3 cannot be approved",
            found="no control totals",
            expected="totals that agree in the rehearsal",
            action="run the rehearsal's cell first",
        )
    approved = approve(record)
    grounds = (
        f"{count} control totals agree in the rehearsal"
        if count
        else "0 control totals, there is no money yet"
    )
    return replace(approved, summary=f"{approved.summary}; {grounds}")


def _after_keeping_amounts(record: PhaseRecord, migrate: Verb) -> Evidence:
    """The migration, once it is kept what every row of money holds."""
    if not is_applied(record):
        keep_amounts(record)
    return migrate(record)


def keep_amounts(record: PhaseRecord) -> None:
    """Keep the rows of money as they are before the first step. What a migration that was cut off
    began with stays.
    """
    path = amounts_file(record)
    with record.run.read("amounts before") as connection:
        row = Ledger(connection).all().get(FINANCE)
        is_begun = row is not None and row.status in APPLIED
        if is_begun and kept_amounts(record):
            return
        count = keep(connection, path)
    record.run.journal.append(
        KEPT,
        phase=record.number,
        file=path.name,
        rows=count,
        sha256=sha256(path),
        migration_had_begun=is_begun,
    )


def amounts_file(record: PhaseRecord) -> Path:
    """Where the rows of money are kept."""
    return record.run.backups / f"amounts-{FINANCE}.copy"


def kept_amounts(record: PhaseRecord) -> Mapping[str, Any] | None:
    """What the journal says about the amounts this run kept; None where this run migrated
    nothing.
    """
    found = [entry.facts for entry in record.run.journal.entries() if entry.event == KEPT]
    return found[-1] if found else None


def _with_the_amounts_kept(record: PhaseRecord, validate: Verb) -> Evidence:
    """The validations; then the amounts that were kept before the first step beside those on the
    target.

    An already applied phase is not asked again: the application has changed its amounts since, as
    it may.
    """
    validated, kept = validate(record), kept_amounts(record)
    if kept is None:
        return replace(
            validated,
            summary=f"{validated.summary}; no amounts to compare: nothing was migrated in this run",
        )
    _require_kept(record, kept)
    with record.run.read("control totals") as connection:
        found = compare(connection, amounts_file(record))
    _require_agreement(record, found.before, found.after, "validate", "on the target")
    late = "; they were kept when the migration had begun: what it did before is not covered"
    tables = [
        Table(
            f"{len(found.after)} control totals on the target, equal before and after",
            summed(found.after),
        )
    ]
    if found.left_out:
        tables.append(Table("left out of them, and why", found.left_out))
    return replace(
        validated,
        summary=(
            f"{validated.summary}; {found.summary}{late if kept['migration_had_begun'] else ''}"
        ),
        tables=(*validated.tables, *tables),
    )


def _require_kept(record: PhaseRecord, kept: Mapping[str, Any]) -> None:
    path = amounts_file(record)
    if not path.is_file() or sha256(path) != kept["sha256"]:
        raise Inconclusive(
            f"the amounts from before migration {FINANCE} are gone",
            found=f"no {path}, or another",
            expected=f"SHA-256 {kept['sha256']}",
            action="bring the file back; without it nobody can say whether an amount was lost",
        )


def _require_agreement(
    record: PhaseRecord, before: Totals, after: Totals, verb: str, where: str
) -> None:
    found = differences(before, after)
    if not found:
        return
    first, what = found[0], f"{len(found)} control totals differ {where}"
    record.show_red(Evidence(record.number, verb, "failed", what, (Table(what, found),)))
    raise Failed(
        what,
        found=(
            f"organisation {first['organisation']}, {first['amount']} {first['currency']}:"
            f" {first['after']}"
        ),
        expected=f"{first['before']}",
        action=(
            "no amount may be lost, change, or change its currency: look at the first difference"
            " before anything else"
        ),
    )


class FinancePhase(MigrationPhase):
    """The strategy's high risk: nothing is guessed, and no amount changes its currency
    unnoticed.
    """

    around: ClassVar[Mapping[str, Around]] = {
        "precheck": _after_decisions,
        "rehearse": _between_control_totals,
        "approve": _on_agreeing_totals,
        "migrate": _after_keeping_amounts,
        "validate": _with_the_amounts_kept,
    }


def _refuse_unclear(
    mapped: Mapping[str, str], added: Collection[str], known: Collection[str]
) -> None:
    """A code that is mapped although it is a currency of the schema, or mapped to what is none.
    Pure.

    `known` are the labels of the schema and the currencies on record to be added; empty labels are
    not asked about.
    """
    if twice := sorted(mapped.keys() & {*added, *known}):
        raise ParameterError(
            "parameter currency_map",
            found=", ".join(f"{code}={mapped[code]}" for code in twice),
            expected="codes that are no currency of the schema, nor added to it",
            action=(
                "leave them out: such a code stands for itself; amounts in it are converted, not"
                " renamed"
            ),
        )
    if known and (unknown := sorted(set(mapped.values()) - {*added, *known})):
        raise ParameterError(
            "parameter currency_map",
            found=", ".join(unknown),
            expected="one of " + ", ".join(sorted({*added, *known})),
            action=(
                "map the code to a currency the enhanced schema knows, or add that one too"
                " (parameter currency_add)"
            ),
        )


def _refuse_late(news: Mapping[str, str], known: Collection[str], *, is_completed: bool) -> None:
    """New decisions that the migration will not carry out any more, since it has begun, or ended.
    Pure.
    """
    added = [code for code, value in news.items() if code == value and code not in known]
    if added:
        statements = " ".join(
            f"ALTER TYPE public.currency_code ADD VALUE '{code}';" for code in added
        )
        raise ParameterError(
            "parameter currency_add",
            found=f"{', '.join(added)}, after migration {FINANCE} began",
            expected="currencies that are added before its first step",
            action=f"run {statements} and this cell again, which puts it on record",
        )
    mapped = [(code, value) for code, value in news.items() if code != value]
    if mapped and is_completed:
        statements = " ".join(
            f"SELECT decide_currency('{code}', '{value}', 'your name');" for code, value in mapped
        )
        raise ParameterError(
            "parameter currency_map",
            found=(
                f"{', '.join(code for code, _ in mapped)}, after migration {FINANCE} was completed"
            ),
            expected="codes that are mapped before",
            action=f"run {statements}",
        )


def _labels(connection: Connection) -> set[str]:
    found = connection.execute(
        "SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype('public.currency_code')"
    )
    return {str(row[0]) for row in found}
