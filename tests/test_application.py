"""What is declared of an application, and that no room of the engine knows one by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from project import REPOSITORY

from mantis_runbook import application, settings
from mantis_runbook.checks import named_checks
from mantis_runbook.errors import ParameterError

PACKAGE = REPOSITORY / "mantis_runbook"
BASELINE = REPOSITORY / "sql" / "baseline"

#: Rooms, and modules of other rooms, that are MantisNXT's own: its phases, its tenants, its contract,
#: its sandbox, and the command line's options.
OWN_ROOMS = {"finance", "advanced", "final", "tenants"}
OWN = {"cli", "compatibility", "contract", "sandbox"}

#: Words of plain English, or of other programs, that are names of MantisNXT's too: (module, word) →
#: what it means there.
HONEST = {
    ("notebook_page", "widget"): "an output of Jupyter's",
    ("learnt_scripts", "authenticated"): "the role in a token's claims",
}

#: Folders of SQL that are MantisNXT's own.
OF_MANTISNXT = {
    "application",
    "baseline",
    "compatibility",
    "finance",
    "migrations",
    "roles",
    "tenants",
    "tests",
    "workload",
}

SQL_NAME = (
    r"(?m)^CREATE (?:OR REPLACE )?(?:TABLE|VIEW|FUNCTION|TYPE) (?:IF NOT EXISTS"
    r" )?(?:public\.)?(\w+)"
)


def mantisnxt() -> set[str]:
    """Tables, views, functions, types and roles of MantisNXT's baseline, and what its rows say
    whose they are by.
    """
    files = ("02_types", "03_tables", "04_indexes", "05_functions", "08_views")
    text = "\n".join((BASELINE / f"{name}.sql").read_text() for name in files)
    return {
        *re.findall(SQL_NAME, text),
        "org_id",
        "anon",
        "authenticated",
        "service_role",
        "currency_code",
    }


def modules() -> list[Path]:
    ours = (
        path
        for path in PACKAGE.rglob("*.py")
        if path.stem not in OWN and OWN_ROOMS.isdisjoint(path.parent.parts)
    )
    return sorted(ours)


def named(text: str, names: set[str]) -> set[str]:
    return {word for word in re.findall(r"\w+", text) if word in names}


def test_the_names_come_from_the_baseline() -> None:
    assert {
        "organization",
        "audit_log",
        "current_org_id",
        "v_inventory_alerts",
        "customer",
        "org_id",
    } <= mantisnxt()
    assert len(mantisnxt()) > 70


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_no_room_of_the_engine_names_a_table_of_mantisnxt(path: Path) -> None:
    honest = {word for module, word in HONEST if module == path.stem}
    assert named(path.read_text(), mantisnxt()) - honest == set()


def test_a_module_that_names_one_would_be_found() -> None:
    assert named('CENTRAL = ("organization", "customer")', mantisnxt()) == {
        "organization",
        "customer",
    }
    assert named("# org_id, or audit_log: in a comment too", mantisnxt()) == {"org_id", "audit_log"}


@pytest.mark.parametrize(("module", "word"), HONEST)
def test_an_exception_that_nobody_needs_any_more_is_no_exception(module: str, word: str) -> None:
    [path] = PACKAGE.rglob(f"{module}.py")
    assert word in named(path.read_text(), mantisnxt())


@pytest.mark.parametrize("name", sorted(OWN | OWN_ROOMS))
def test_what_is_of_mantisnxt_is_there(name: str) -> None:
    found = [*PACKAGE.rglob(f"{name}.py"), *PACKAGE.rglob(f"{name}/__init__.py")]
    assert found, f"{name} is gone: take it off the list"


def test_the_runbooks_own_sql_names_no_table_of_mantisnxt() -> None:
    #: A function of the strategy, for whoever works with psql: it finds nothing where there are no
    #: such tables.
    honest = {"020_validate_schema_integrity": {"org_id", "organization"}}
    paths = [
        path for path in settings.own_sql().rglob("*.sql") if OF_MANTISNXT.isdisjoint(path.parts)
    ]
    assert len(paths) > 100
    for path in paths:
        code = re.sub(r"--.*", "", path.read_text())
        assert named(code, mantisnxt()) - honest.get(path.stem, set()) == set(), path.name


# -- what is declared ------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "shop"
    (home / "sql").mkdir(parents=True)
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(home))
    return home


def test_mantisnxt_is_declared() -> None:
    known = application.load()
    assert (known.name, known.tenant_column, known.audit_trail) == (
        "MantisNXT",
        "org_id",
        "public.audit_log",
    )
    assert known.recognition is not None
    assert len(known.recognition.tables) == 28
    assert set(known.recognition.tables) <= mantisnxt()
    assert known.recognition.check in {one.name for one in named_checks.load()}


def test_an_application_may_declare_nothing(home: Path) -> None:
    known = application.load()
    assert (known.name, known.probed, known.tenants, known.recognition) == ("shop", (), None, None)
    assert {one.name for one in named_checks.load()} == {
        path.stem
        for path in (settings.own_sql() / "checks").glob("*.sql")
        if not path.stem.startswith("report_")
    }


def test_an_application_brings_checks_of_its_own(home: Path) -> None:
    folder = home / "sql" / "checks" / "application"
    folder.mkdir(parents=True)
    text = (settings.own_sql() / "checks" / "server_version.sql").read_text()
    (folder / "till_is_shut.sql").write_text(
        text.replace("check: server_version", "check: till_is_shut")
    )
    names = [one.name for one in named_checks.load()]
    assert "till_is_shut" in names
    assert names == sorted(names)
    assert "is_mantisnxt" not in names


def test_a_check_of_the_application_does_not_take_the_place_of_one_of_ours(home: Path) -> None:
    folder = home / "sql" / "checks" / "application"
    folder.mkdir(parents=True)
    (folder / "durability.sql").write_text(
        (settings.own_sql() / "checks" / "durability.sql").read_text()
    )
    with pytest.raises(ParameterError, match="check durability is there twice"):
        named_checks.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name: .*field required"),
        ('name = "Shop"\ntable = "x"', "table: found 'x', expected extra inputs are not permitted"),
        ('name = "Shop"\n[tenants]\ntable = "shop"', "tenants.users"),
        (
            'name = "Shop"\n[recognition]\ntables = ["till"]\nfewest = 0',
            "recognition.fewest: found 0",
        ),
        ("name = ", "cannot be read"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(home: Path, text: str, message: str) -> None:
    (home / "sql" / "application.toml").write_text(text)
    with pytest.raises(ParameterError, match=message):
        application.load()
