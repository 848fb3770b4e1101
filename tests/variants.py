"""Installations of MantisNXT as they are found in the wild: each a few lines of SQL on top of the
baseline, and what must come of it.

A file of `tests/installations/` opens with a header: `-- variant:` its name, `-- kind:` what it
stands for, `-- expect:` `passes`, `refused` or `passes or refused`; for a refusal `-- names:` a
word that its message must hold and `-- reason:` why it is right. Optional are `-- shape:`
(`extended`, `forced`, `empty`), `-- versions:`, `-- encoding:`, `-- role:` (who migrates, made by
`sql/roles/migration_role.sql`), `-- scratch: elsewhere`, `-- gate: on`, and `-- given:`, a
parameter that its owner gives the notebooks, such as `currency_map=EURO=EUR`; more of them are
separated by semicolons.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook import sandbox, settings
from mantis_runbook.postgres import commands, programs
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

__all__ = ["Variant", "build", "load", "make_role", "remove"]

FOLDER = Path(__file__).with_name("installations")
HEADER = re.compile(
    r"^-- (variant|kind|expect|names|reason|shape|versions|encoding|role|scratch|gate|given):"
    r" *(.*)$",
    re.MULTILINE,
)
EXPECTED = ("passes", "refused", "passes or refused")
ROLE = settings.sql() / "roles" / "migration_role.sql"
SCALE, SEED = 0.01, 2026

SUBSCRIBED = (
    "SELECT subname::text FROM pg_subscription JOIN pg_database ON pg_database.oid = subdbid WHERE"
    " datname = %s"
)
SUBSCRIPTIONS = f"SELECT count(*) FROM ({SUBSCRIBED}) AS here"


@dataclass(frozen=True)
class Variant:
    """One installation, and the outcomes that are right for it."""

    name: str
    kind: str
    expect: str
    text: str
    names: str = ""
    reason: str = ""
    shape: str = ""
    versions: str = ""
    encoding: str = ""
    role: str = ""
    scratch: str = ""
    gate: str = ""
    given: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """What the owner decided, as parameters of the notebooks."""
        return {
            name.strip(): value
            for name, _, value in (one.partition("=") for one in self.given.split(";") if one)
        }

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(self.expect.split(" or "))

    def runs_on(self, major: int) -> bool:
        return not self.versions or str(major) in self.versions.split(", ")


def load() -> tuple[Variant, ...]:
    """All variants by name. A header that is not whole is an error of the file's author."""
    variants = []
    for path in sorted(FOLDER.glob("*.sql")):
        header: dict[str, Any] = dict(HEADER.findall(path.read_text()))
        variant = Variant(name=header.pop("variant"), text=path.read_text(), **header)
        assert variant.name == path.stem, f"{path.name} calls itself {variant.name}"
        assert variant.expect in EXPECTED, f"{path.name}: expect is one of {', '.join(EXPECTED)}"
        assert "refused" not in variant.allowed or variant.names, (
            f"{path.name}: which word must the refusal hold?"
        )
        assert "refused" not in variant.allowed or variant.reason, (
            f"{path.name}: why is a refusal right?"
        )
        variants.append(variant)
    return tuple(variants)


def build(server: Server, variant: Variant, name: str) -> dict[str, str]:
    """Make the variant in a database of that name; the parameters by which the runbook is to reach
    it.
    """
    remove(server, name)
    if variant.encoding or "empty" in variant.shape:
        parameters = _of_its_own(server, variant, name)
    else:
        parameters = sandbox.clone(server, _template(server, variant.shape), name)
    with psycopg.connect(**parameters, autocommit=True, client_encoding="utf8") as connection:
        connection.execute(variant.text.encode())
    if variant.role:
        make_role(server, name, variant.role)
    return parameters | ({"user": variant.role} if variant.role else {})


def make_role(server: Server, database: str, role: str, *more: str) -> None:
    """As a DBA would, by the script of the repository."""
    target = Target(database, "variable", server.parameters | {"dbname": database})
    arguments = ["--output=/dev/null", f"--set=role={role}", *more, f"--file={ROLE}"]
    programs.run(commands.command("psql", target, *arguments))


def remove(server: Server, name: str) -> None:
    """Drop a database, its subscriptions first: they hold it, and their slots, if any, are
    nobody's.
    """
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        if connection.execute(SUBSCRIPTIONS, [name]).fetchone() == (0,):
            return sandbox.drop(server, name)
        held = [one for (one,) in connection.execute(SUBSCRIBED, [name]).fetchall()]
    with psycopg.connect(**server.parameters | {"dbname": name}, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for subscription in map(sql.Identifier, held):
            for command in (
                "ALTER SUBSCRIPTION {} DISABLE",
                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {}",
            ):
                connection.execute(sql.SQL(command).format(subscription))
    return sandbox.drop(server, name)


def _template(server: Server, shape: str) -> str:
    """The name of the baseline in that shape, made when the first variant asks for it."""
    name = "template_" + (re.sub(r"\W+", "_", shape) or "supabase")
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
    sandbox.load_baseline(
        server.parameters | {"dbname": name}, scale=SCALE, seed=SEED, **_options(shape)
    )
    return name


def _of_its_own(server: Server, variant: Variant, name: str) -> dict[str, str]:
    """A database without rows, in the variant's own encoding."""
    encoding = f" ENCODING '{variant.encoding}' LOCALE 'C'" if variant.encoding else ""
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0{encoding}'.encode())
    parameters = server.parameters | {"dbname": name}
    options = _options(variant.shape)
    files = [
        path for path in sandbox._baseline_files(options["auth"]) if path.name != "09_data.sql"
    ]
    files += [settings.sql() / "baseline" / "force_rls.sql"] if options["force_rls"] else []
    with psycopg.connect(**parameters, autocommit=True, client_encoding="utf8") as connection:
        for path in files:
            connection.execute(
                path.read_text().replace("…", "...").encode()
            )  # LATIN1 has no ellipsis
    return parameters


def _options(shape: str) -> Mapping[str, Any]:
    return {
        "auth": "extended" if "extended" in shape else "supabase",
        "force_rls": "forced" in shape,
    }
