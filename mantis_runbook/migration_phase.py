"""A phase that migrates: check, back up, prove, rehearse, approve, migrate, validate, compare."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import psycopg

from mantis_runbook import (
    backup,
    blockers,
    charts,
    checks,
    commands,
    criteria,
    display,
    evidence_tables,
    fingerprint,
    lint,
    losses,
    migrations,
    performance,
    predicted,
    promises,
    recognition,
    rehearsal,
    repertoire,
    replay,
    restorable,
    rights,
    samples,
    validation,
)
from mantis_runbook import plan as plans
from mantis_runbook import rollback as rollbacks
from mantis_runbook import scratch as scratch_databases
from mantis_runbook import target as targets
from mantis_runbook.alerts import Alert
from mantis_runbook.apply import Applied, Engine, refuse_unable
from mantis_runbook.backup import Backup, Proof
from mantis_runbook.database import Connection, connect, refuse_pooler, refuse_read_only
from mantis_runbook.errors import (
    ApprovalMissing,
    BackupNotProven,
    Failed,
    FenceLost,
    Inconclusive,
    Refused,
    RunbookError,
)
from mantis_runbook.evidence import Evidence, Table
from mantis_runbook.guard import Trip
from mantis_runbook.learnt import statements as statements_learnt
from mantis_runbook.ledger import Ledger, LedgerRow, StepJournal
from mantis_runbook.lock import hold
from mantis_runbook.losses import Deletions, Loss
from mantis_runbook.migrations import Migration
from mantis_runbook.monitor import MonitorResult
from mantis_runbook.performance import Gate
from mantis_runbook.progress import live
from mantis_runbook.recording import UNDO, Recording
from mantis_runbook.rehearsal import Rehearsal
from mantis_runbook.repertoire import Repertoire
from mantis_runbook.run import is_at_work
from mantis_runbook.scratch import Mark
from mantis_runbook.target import Target
from mantis_runbook.watch import Watch, require_seen, watching

__all__ = ["MigrationPhase"]

READ_RED = "Nothing was changed. Each failed row says what to do; do it and run this cell again."
READ_AMBER = "Nothing here stops the phase. Read each warning and decide; it is on record that it was there."
READ_LOST = (
    "Rows are fewer than in the snapshot, and the server did not count as many deletions. TRUNCATE is not counted, and"
    " counters begin anew after a crash or a reset: find out what emptied these tables. The proven backup has the rows."
)
NOT_WATCHED = "No picture: nothing was migrated in this run, so nothing was watched."


class MigrationPhase(Recording):
    """The verbs of one phase, on one run. Calling a verb again shows what it found the first time."""

    # -- the verbs -----------------------------------------------------------------------------------------------

    def precheck(self) -> Evidence:
        """Read only: is everything as the phase needs it? Raises `PrecheckFailed` when it is not."""
        return self._verb("precheck", self._precheck)

    def back_up(self) -> Evidence:
        """Dump and fingerprint the database from one snapshot."""
        return self._verb("back_up", self._back_up)

    def prove(self) -> Evidence:
        """Restore the dump into a scratch database and compare it with the snapshot."""
        return self._verb("prove", self._prove)

    def rehearse(self) -> Evidence:
        """Apply, validate, roll back and apply again, on the restored copy."""
        return self._verb("rehearse", self._rehearse)

    def plan(self) -> Evidence:
        """What will run, and the hash that approves it. Reads only; it can be shown at any time."""
        plan = self._plan()
        tables = (Table(display.many(len(plan.records), "step"), plan.records),) if plan.records else ()
        return Evidence(self.number, "plan", "passed", f"this plan's hash is {plan.hash}", tables, {"hash": plan.hash})

    def approve(self, answer: str = "") -> Evidence:
        """Bind the approval to this plan. Raises `ApprovalMissing` where one is needed and none, or another, is given."""
        return self._verb("approve", lambda: self._approve(answer))

    def migrate(self) -> Evidence:
        """Carry the migrations out, or what is left of them."""
        return self._verb("migrate", self._migrate)

    def validate(self) -> Evidence:
        """Every validation of the phase. One that fails rolls the phase back where the environment says so."""
        return self._verb("validate", self._validate)

    def compare(self) -> Evidence:
        """Before beside after: predicted and actual durations, rows then and now."""
        return self._verb("compare", self._compare)

    def _finished(self) -> None:
        self._drop_scratch()

    # -- precheck ------------------------------------------------------------------------------------------------

    def _precheck(self) -> Evidence:
        repertoire.refuse_unfit(self.run.environment)
        refuse_pooler(self.run.target)
        with (
            self.run.read("precheck", patience_s=checks.PATIENCE_S) as connection,
            blockers.refusing(connection),
        ):
            refuse_read_only(connection, self.run.target)
            book = Ledger(connection)
            states = book.all()
            if self.definition.kind != "preparation":
                self._refuse_unready(book.require(), states)
                refuse_unable(connection, self.migrations)
            self._refuse_another_schema(connection)
            limits = self.run.environment
            lax = {"durability"} if limits.unsafe_durability else set[str]()
            lax |= {"publications_that_grow"} if limits.publications_may_grow else set[str]()
            found = checks.run(connection, self.number, tolerate=lax)
            with connect(self._scratch_server(), "precheck", lock_timeout="10s") as scratch:
                of_copies = (restorable.check(connection, scratch), rights.may_restore(connection, scratch))
            found = replace(found, results=(*found.results, *of_copies))
            free = backup.refuse_full_disk(connection, self.run.backups, self.run.environment.disk_factor)
        for program in ("pg_dump", "pg_dumpall"):
            commands.command(program, self.run.target)
        commands.command("pg_restore", self._scratch_server())
        left = self._left_behind()
        evidence = Evidence(
            self.number,
            "precheck",
            {"pass": "passed", "warn": "warned", "fail": "failed"}[found.verdict],
            f"{display.many(len(found.results), 'check')}: {len(found.failed)} failed, {len(found.warned)} warned",
            (*evidence_tables.checks_tables(found), self._state_table(states), *left),
            {"free_bytes": free},
            advice="" if found.verdict == "pass" else READ_RED if found.failed else READ_AMBER,
        )
        if found.failed:
            self._show_red(evidence)
            found.require()
        return evidence

    def _refuse_another_schema(self, connection: Connection) -> None:
        """What the database is, in one sentence and before all details, where it is not the one to be migrated."""
        recognised = recognition.recognise(connection, self.number)
        if recognised.kind != "baseline":
            there = Table(
                "what is there already", [dict(one) for one in recognised.objects], folded=len(recognised.objects) > 12
            )
            tables = (there,) if recognised.objects else ()
            self._show_red(Evidence(self.number, "precheck", "failed", recognised.sentence, tables))
            recognition.require_baseline(connection, self.number)

    def _refuse_unready(self, book: Ledger, states: Mapping[str, LedgerRow]) -> None:
        """Files that changed or are unsafe, and migrations this phase stands on that are missing."""
        plans.refuse_edited(migrations.load(), states)
        for one in self.migrations:
            lint.refuse_unsafe(one)
            missing = [
                version
                for version in one.requires
                if states.get(version) is None or states[version].status != "completed"
            ]
            missing = [version for version in missing if version not in {m.version for m in self.migrations}]
            if missing:
                raise Refused(
                    f"migration {one.label} stands on {', '.join(missing)}",
                    found="not completed",
                    expected="completed",
                    action="run the notebook of that phase first; `mantis-runbook status` shows where things stand",
                )

    def _state_table(self, states: Mapping[str, LedgerRow]) -> Table:
        records = [
            {
                "migration": one.label,
                "title": one.title,
                "state": states[one.version].status if one.version in states else "not applied",
            }
            for one in migrations.load()
        ]
        return Table("ledger", records)

    # -- backup, proof, rehearsal --------------------------------------------------------------------------------

    def _nothing_to_do(self) -> bool:
        """Every migration of this phase is applied and recorded as such."""
        with self.run.connect("status") as connection:
            completed = Ledger(connection).completed()
        return bool(self.migrations) and all(one.version in completed for one in self.migrations)

    def _not_needed(self, verb: str, why: str = "the phase is already applied") -> Evidence:
        """Nothing was done, so it is evidence of nothing: the mark says so to who counts."""
        return Evidence(self.number, verb, "passed", f"not needed: {why}", facts={criteria.NOT_NEEDED: True})

    def _back_up(self) -> Evidence:
        if self._nothing_to_do():
            return self._not_needed("back_up")
        folder = self.run.backups / f"phase-{self.number}"
        if folder.exists():  # left by a run that was cut off while it dumped
            shutil.rmtree(folder)
        with self.run.read("statistics") as connection:
            deleted = losses.deletions(connection)
        taken = backup.take(self.run.target, folder, derived=self.definition.kind == "preparation")
        identifiers = {}
        with self.run.connect("backup") as connection:
            book = Ledger(connection).require()
            for name in (name for name in taken.sizes if name.startswith("mantis_")):
                location = str(folder / name)
                identifiers[name] = book.record_backup(self.number, location, taken.sizes[name], taken.checksums[name])
        content = taken.fingerprint
        records = [
            {"file": name, "MiB": round(size / 2**20, 2), "SHA-256": taken.checksums[name]}
            for name, size in taken.sizes.items()
        ]
        summary = f"{content.rows:,} rows of {len(content.tables)} tables dumped and fingerprinted from one snapshot"
        organisations = Counter[str]()
        for table in content.tables.values():
            organisations.update({name: sums.rows for name, sums in table.organisations.items() if name})
        per_organisation = [{"organisation": name[:8], "rows": count} for name, count in organisations.most_common()]
        return Evidence(
            self.number,
            "back_up",
            "passed",
            summary,
            (Table(f"files in {folder}", records), Table("rows per organisation", per_organisation, folded=True)),
            {"backup": taken.as_dict(), "ids": identifiers, "deletions": vars(deleted)},
            chart="organisations",
            charted=1,
        )

    def _backup(self) -> Backup:
        return Backup.from_dict(self._facts("back_up")["backup"])

    def _prove(self) -> Evidence:
        if self._nothing_to_do():
            return self._not_needed("prove")
        taken = self._backup()
        proof = backup.prove(taken, self._new_scratch())
        self._record_proof(taken.full.name, is_valid=proof.is_valid)
        records = [
            {
                "table": v.table,
                "verdict": "pass" if v.is_equal else "fail",
                "rows restored": v.found,
                "rows in the snapshot": v.expected,
            }
            for v in proof.content.verdicts
        ]
        content = Table("content, table by table", records, "verdict", folded=proof.is_valid)
        if not proof.is_valid:
            self._show_red(Evidence(self.number, "prove", "failed", proof.content.message, (content,)))
            raise BackupNotProven(
                f"backup of phase {self.number} does not match its snapshot",
                found=_mismatch(proof),
                expected="equal content and an equal catalogue",
                action=f"the dump is kept at {taken.folder}; take another before you go on",
            )
        summary = f"restored copy equals the snapshot: {proof.content.message}; {proof.catalogue.summary}"
        tables = (content, *evidence_tables.proof_tables(proof))
        if proof.left_out:
            summary += f"; not proven: {', '.join(f'extension {one.extension}' for one in proof.left_out)}"
        word = "warned" if proof.left_out else "passed"
        facts = {"scratch": proof.scratch, "lacking": proof.lacking}
        return Evidence(self.number, "prove", word, summary, tables, facts)

    def _record_proof(self, name: str, *, is_valid: bool) -> None:
        with self.run.connect("proof") as connection:
            Ledger(connection).require().record_proof(self._facts("back_up")["ids"][name], is_valid=is_valid)

    def _scratch_server(self) -> Target:
        """Where backups are restored: beside the target where the environment allows it, else a server that was named."""
        if self.parameters.scratch:
            server = targets.resolve(self.parameters.scratch)
            if self.run.environment.scratch == "other":
                scratch_databases.refuse_same_server(self.run.target, server, self.run.environment.name)
            return server
        if self.run.environment.scratch == "beside":
            return self.run.target
        raise Refused(
            f"environment {self.run.environment.name} restores backups on another server",
            found="no parameter `scratch`",
            expected="a target on another server",
            action="name one (parameter `scratch`, or --scratch)",
        )

    def _left_behind(self) -> tuple[Table, ...]:
        """Scratch databases of runs that were killed: they hold personal data, and disk."""
        found = scratch_databases.all_on(self._scratch_server(), is_at_work)
        records = [
            {"database": one.name, "MiB": round((one.bytes or 0) / 2**20, 1), "what": one.why}
            for one in found
            if one.state == "left"
        ]
        what = "scratch databases that killed runs left: `mantis-runbook clean` drops them"
        return (Table(what, records),) if records else ()

    def _scratch_name(self) -> str:
        return scratch_databases.name_for(self.run, self.number)

    def _new_scratch(self) -> Target:
        like = self._backup().likeness
        return backup.create_scratch(self._scratch_server(), self._scratch_name(), like, self._mark())

    def _mark(self) -> Mark:
        return scratch_databases.mark_of(self.run.name, self.run.target.name, self.run.identity.database)

    def _drop_scratch(self) -> None:
        if self.parameters.scratch or self.run.environment.scratch == "beside":
            backup.drop_scratch(self._scratch_server(), self._scratch_name())

    def _rehearse(self) -> Evidence:
        if self._nothing_to_do():
            return self._not_needed("rehearse")
        scratch = self._scratch_server().database(self._scratch_name())
        self._require_fresh_copy()
        before = self._promises_before(scratch)
        found, gate, played = self._rehearsed_and_measured(scratch)
        with self._proving() as watch:
            kept = promises.kept(scratch, before, watch)
        word = gate.combined(self.run.environment) if gate else "passed"
        unjudged = f"performance not judged: {played.missing}" if played and played.missing else ""
        broken = [*found.problems, *kept.problems]
        slow = [gate.summary(self.run.environment)] if gate and word != "passed" else []
        problems = [*broken, *kept.doubts, *slow]
        if unjudged and self.run.environment.performance.timed_decides:
            problems.append(unjudged)
        trace = found.left_behind.summary if found.left_behind.labels_left else ""
        undone = f"rolled back ({trace})" if trace else "rolled back without a trace"
        tested = f"validated with {found.suite.statements_of_tests} statements of tests"
        aside = (
            f"; {display.many(len(found.side_effects), 'side effect')} of the rehearsal" if found.side_effects else ""
        )
        summary = f"applied, {tested}, {undone} and applied again; {found.content.message}{aside}; {kept.summary}"
        evidence = Evidence(
            self.number,
            "rehearse",
            "failed"
            if broken or word == "failed"
            else "inconclusive"
            if problems
            else "warned"
            if unjudged
            else "passed",
            "; ".join(problems) or evidence_tables.with_performance(summary, gate, played),
            (
                *evidence_tables.rehearsal_tables(found),
                *kept.tables,
                *(evidence_tables.gate_tables(gate) if gate else ()),
                *(evidence_tables.repertoire_tables(played) if played else ()),
            ),
            {
                "durations_ms": predicted.durations(found.applied),
                "locks": predicted.locks(found.locks),
                "touched": list(found.touched),
                "test_statements": found.suite.statements_of_tests,
                **(
                    {promises.KEPT: before.as_dict()}
                    if migrations.first_version() in [one.version for one in self.migrations]
                    else {}
                ),
                **(evidence_tables.gate_facts(gate, self.run.environment) if gate else {}),
                **(evidence_tables.repertoire_facts(played) if played else {}),
            },
            advice=unjudged,
        )
        if problems:
            self._show_red(evidence)
            raise (Failed if evidence.verdict == "failed" else Inconclusive)(
                "the rehearsal did not go as it must",
                found="; ".join(problems),
                expected="no finding",
                action="nothing was changed on the target; correct the migration first",
            )
        return evidence

    def _promises_before(self, scratch: Target) -> promises.Before:
        """Both proofs on the copy as it was restored: what does not hold there is nothing that a migration did."""
        with self.run.read("learnt") as connection:
            learnt = statements_learnt(connection)
        with self._proving() as watch:
            return promises.before(scratch, learnt, watch)

    def _rehearsed_and_measured(self, scratch: Target) -> tuple[Rehearsal, Gate | None, Repertoire | None]:
        """The rehearsal; where the environment asks for it, the copy as it was is kept beside and measured against."""
        if not self.run.environment.performance.in_rehearsal:
            return self._rehearsed(scratch), None, None
        with replay.copied(scratch) as before:
            played = self._playable(before)
            rehearsed = self._rehearsed(scratch)
            return rehearsed, None if played.missing else self._measured(before, scratch, played), played

    def _playable(self, before: Target) -> Repertoire:
        """What runs on the copy as it was; tried in a copy of that one, which is measured later."""
        folder = self.run.folder / "workload" / f"phase_{self.number}"
        with replay.copied(before) as copy:
            return repertoire.for_the_gate(copy, self.run.target, self.run.environment, folder)

    def _rehearsed(self, scratch: Target) -> Rehearsal:
        with self._progress("rehearsal", journalled=False) as progress:
            return rehearsal.rehearse(
                scratch,
                self.migrations,
                self._backup().fingerprint,
                self.run.environment,
                run=self.run.name,
                who=self.run.operator,
                watch=progress,
            )

    def _measured(self, before: Target, after: Target, played: Repertoire) -> Gate:
        """The restored backup against the same backup migrated, statement by statement."""
        with live() as update:
            return performance.measure(
                before,
                after,
                self.run.environment,
                accepted=played.accepted(one.version for one in self.migrations),
                scripts=played.scripts,
                touched=played.touched,
                wider_rows=played.source != "ours",
                watch=lambda part: update(display.callout("info", f"performance: {part}")),
            )

    def _require_fresh_copy(self) -> None:
        """The restored backup, as it was dumped: restored again if it is gone, or a rehearsal was cut off on it."""
        server, name = self._scratch_server(), self._scratch_name()
        if self._was_cut("rehearse") or not backup.has_scratch(server, name):
            backup.prove(self._backup(), self._new_scratch())
        else:
            scratch_databases.adopt(server, name, self._mark())

    # -- approval ------------------------------------------------------------------------------------------------

    def _plan(self) -> plans.Plan:
        return plans.Plan(self.number, self.run.identity, self.migrations)

    def _approve(self, answer: str) -> Evidence:
        plan = self._plan()
        if not self.run.environment.approval_required:
            return Evidence(
                self.number,
                "approve",
                "passed",
                f"{self.run.environment.name} needs no approval",
                facts={"hash": plan.hash},
            )
        given = (
            answer
            or self.parameters.approve
            or self._ask(f"type {plan.hash} to approve the plan of phase {self.number}: ", f"hash {plan.hash}")
        )
        plans.require_approval(plan.hash, given, what=f"plan of phase {self.number}")
        summary = f"approved by {self.run.operator}: {plan.hash}"
        return Evidence(
            self.number, "approve", "passed", summary, facts={"hash": plan.hash, "approver": self.run.operator}
        )

    def _refuse_other_plan(self) -> None:
        """What was approved must be what runs: files and target may have changed since."""
        approved = self._facts("approve").get("hash", "")
        current = plans.Plan(self.number, self.run.identity, migrations.order_for(migrations.load(), self.number)).hash
        if approved != current:
            raise ApprovalMissing(
                f"the plan of phase {self.number} changed after it was approved",
                found=current,
                expected=approved,
                action="begin a new run: back up, rehearse and approve what is there now",
            )

    # -- migration -----------------------------------------------------------------------------------------------

    def _migrate(self) -> Evidence:
        self._refuse_other_plan()
        if self._nothing_to_do():
            self._refuse_unseen()
            return self._not_needed("migrate")
        with (
            hold(self.run.target, self.run.name, self.run.operator) as fence,
            self._progress("migration") as progress,
            live() as now,
            watching(
                self.run,
                self.number,
                self._facts("rehearse").get("touched", ()),
                show=lambda reading: now(display.callout("info", f"the database now: {reading}")),
                told=self._tell_trip,
            ) as watch,
        ):
            engine = Engine(
                self.run.target,
                self.run.environment,
                self.run.name,
                self.run.operator,
                fence,
                progress,
                stop=watch.stop,
            )
            with self.run.connect("status") as connection:
                completed = Ledger(connection).completed()
            applied = tuple(engine.up(one) for one in self.migrations if one.version not in completed)
            watch.stop()  # a limit that was reached at the very end counts, too
        evidence = self._migrated(applied, watch)
        try:
            watch.require()
        except RunbookError as error:
            self._red = evidence
            self._show_red(self._of_error("migrate", error))
            raise
        return evidence

    def _migrated(self, applied: tuple[Applied, ...], watch: Watch) -> Evidence:
        """The steps, and what was seen meanwhile; amber where the monitor was blind in one eye."""
        steps = display.many(sum(len(one.steps) for one in applied), "step")
        waits = display.many(sum(step.lock_waits for one in applied for step in one.steps), "lock wait")
        gap, noise = watch.facts["longest_gap_ms"], watch.facts["noise_gap_ms"]
        unseen = f"; not probed: {', '.join(watch.not_probed)}" if watch.not_probed else ""
        return Evidence(
            self.number,
            "migrate",
            "warned" if watch.notes else "passed",
            f"{steps}, {waits}; longest gap that readers or writers saw {display.duration(gap)}"
            f" ({display.duration(noise)} before the first step){unseen}",
            (
                evidence_tables.steps_table("steps", applied),
                evidence_tables.lanes_table(watch.probed),
            ),
            {
                "durations_ms": predicted.durations(applied),
                "lock_waits": predicted.lock_waits(applied),
                **watch.facts,
            },
            advice="; ".join(watch.notes),
        )

    def _refuse_unseen(self) -> None:
        """What this run applied while the probe did not see all of it stays in doubt: nothing is left to be measured."""
        problems = self._facts("migrate").get("probe", {}).get("problems", ())
        if problems:
            self._show_red(self._kept("migrate"))
            require_seen(problems)

    def _tell_trip(self, trip: Trip) -> None:
        """Beside the migration, which is being stopped. Who waits for whom stays here: it may show a statement's values."""
        policy = {"pause": "is left as it is", "roll back": "is rolled back"}[self.run.environment.on_trip]
        self.alerts.send(
            Alert(
                "guard tripped",
                f"Mantis Runbook: the guard stopped phase {self.number} on {self.run.target.name}",
                f"run {self.run.name} in {self.run.environment.name}: {replace(trip, detail='')}; what was done {policy}",
                "failure",
            )
        )

    def latency(self) -> Any:
        """The probe's picture: latency over time, the steps drawn in."""
        path = self.run.folder / f"probe-{self.number}.csv"
        if not path.is_file():
            return display.callout("info", NOT_WATCHED)
        steps = [
            {"step": name.partition(" ")[2], "started": began, "finished": ended}
            for name, (began, ended) in self._spans().items()
        ]
        return charts.latency(samples.frame(path), pd.DataFrame(steps), samples.migration_span(path))

    def _spans(self) -> dict[str, tuple[datetime, datetime]]:
        return predicted.spans(self.run.journal.entries(), self.number)

    def monitoring(self) -> Any:
        """The monitor's picture: connections, waiting, query time and cache hits while the phase migrated."""
        path = self.run.folder / f"monitor-{self.number}.jsonl"
        if not path.is_file():
            return display.callout("info", NOT_WATCHED)
        return charts.monitoring(MonitorResult(path, 0, {}, ()).frame)

    def _after_failure(self, verb: str, error: Exception) -> None:
        """A migration that failed, or does not validate, is rolled back where the environment says so."""
        if (
            verb in ("migrate", "validate")
            and isinstance(error, (Failed, psycopg.Error))
            and not isinstance(error, FenceLost)
        ):
            self._undo(error)

    def _undo(self, cause: Exception) -> None:
        """Roll back what this run began, and nothing older; the cause stays the phase's failure."""
        chosen = self._begun_here() if self.run.environment.on_trip == "roll back" else ()
        if not chosen:
            return
        self.run.journal.append("verb.started", phase=self.number, verb=UNDO, cause=str(cause))
        try:
            with self._progress("rollback") as progress:
                done = rollbacks.roll_back(self.run, chosen, rollbacks.salvage_folder(self.run), watch=progress)
        except (RunbookError, psycopg.Error) as error:
            verdict, said = "failed", f"could not be rolled back by itself: {error}"
        else:
            verdict = "passed" if done.left_behind.is_empty else "failed"
            said = (
                f"rolled back by itself; {done.left_behind.summary}; {display.many(done.salvage.rows, 'row')} salvaged;"
                f" {rollbacks.NOT_WATCHED}"
            )
        self.run.journal.append("verb.finished", phase=self.number, verb=UNDO, verdict=verdict, summary=said)

    def _begun_here(self) -> tuple[Migration, ...]:
        """Migrations of this phase that this run began and that are not rolled back, newest first."""
        try:
            with self.run.connect("status") as connection:
                book, journal = Ledger(connection), StepJournal(connection, "", "")
                states = book.all()
                return tuple(
                    one
                    for one in reversed(self.migrations)
                    if one.version in states
                    and states[one.version].status in rollbacks.APPLIED
                    and journal.run_of(one.version) == self.run.name
                )
        except (RunbookError, psycopg.Error):
            return ()  # the server is gone: the next run reads what happened from ledger and journal

    # -- validation ----------------------------------------------------------------------------------------------

    def _validate(self) -> Evidence:
        with self.run.read("validation") as connection:
            suite = validation.validate_suite(connection, self.migrations)
        found = suite.problems
        evidence = Evidence(
            self.number,
            "validate",
            "failed" if found else "passed",
            f"{display.many(suite.statements, 'validation')}, {len(found)} failed",
            (evidence_tables.validations(suite.scripts),),
        )
        if found:
            self._show_red(evidence)
            validation.require(suite.scripts)
        return evidence

    # -- comparison ----------------------------------------------------------------------------------------------

    def _compare(self) -> Evidence:
        if "backup" not in self._facts("back_up"):
            return self._not_needed("compare", "nothing was migrated in this run")
        path = self.run.folder / f"probe-{self.number}.csv"
        gaps = samples.longest_gaps(samples.read(path), self._spans()) if path.is_file() else {}
        steps = predicted.beside_actual(self._facts("rehearse"), self._facts("migrate"), gaps)
        rate_hz = self._facts("migrate").get("probe", {}).get("rate_hz")
        before = self._backup().fingerprint
        with self.run.read("comparison") as connection:
            counts = fingerprint.counts(connection, before.tables)
            then = {name: table.total.rows for name, table in before.tables.items()}
            noted = self._facts("back_up").get("deletions")
            lost = losses.found(connection, then, counts, Deletions.from_dict(noted) if noted else None)
        missing = sorted(then.keys() - counts.keys())
        total, predicted_ms = (sum(row[name] for row in steps) for name in ("actual_ms", "predicted_ms"))
        took = f"{display.many(len(steps), 'step')} took {display.duration(total)}, predicted {display.duration(predicted_ms)}"
        problems = [*([f"tables gone: {', '.join(missing)}"] if missing else []), *map(str, lost)]
        bad = bool(missing) or any(one.word == "failed" for one in lost)
        verdict = "failed" if bad else "warned" if lost else "passed"
        summary = "; ".join(problems) or f"{took}; no table is missing, and no row that nobody deleted"
        tables = (
            Table(
                "predicted (on the copy) and actual: durations, locks, and the longest gap that anybody saw",
                steps,
                note=predicted.rhythm(rate_hz) if rate_hz else "",
            ),
            Table(
                "rows in the snapshot and now (the application writes on)",
                _content(then, counts, lost),
                "verdict",
                folded=not problems,
            ),
        )
        return Evidence(
            self.number, "compare", verdict, summary, tables, advice=READ_LOST if lost else "", chart="durations"
        )


def _content(then: Mapping[str, int], now: Mapping[str, int], lost: Sequence[Loss]) -> list[dict[str, Any]]:
    """A row for each table of the snapshot, those that are gone or lost rows first."""
    words = {one.table: {"failed": "fail", "warned": "warn"}[one.word] for one in lost}
    words |= dict.fromkeys(then.keys() - now.keys(), "fail")
    return [
        {
            "table": name,
            "verdict": words.get(name, "pass"),
            "rows then": then[name],
            "rows now": now.get(name, "missing"),
            "change": now[name] - then[name] if name in now else "missing",
        }
        for name in sorted(then, key=lambda one: (("fail", "warn", "pass").index(words.get(one, "pass")), one))
    ]


def _mismatch(proof: Proof) -> str:
    content = "" if proof.content.is_equal else proof.content.message
    catalogue = "" if proof.catalogue.is_empty else str(proof.catalogue)
    return "; ".join(part for part in (content, catalogue) if part)
