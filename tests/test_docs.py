"""What is written about the project, held against the project."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from project import REPOSITORY

from mantis_runbook import cli, sandbox
from mantis_runbook.checks import named_checks
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import definitions
from mantis_runbook.phases.plan import preparation_files

PACKAGE = REPOSITORY / "mantis_runbook"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
NEEDED = [*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"]["dev"]]


def plain(requirement: str) -> str:
    """`psycopg[binary]>=3.2; …` → `psycopg`."""
    return re.split(r"[\[<>=;\s]", requirement.strip())[0].lower().replace("_", "-")


def dotted(path: Path) -> str:
    """`…/mantis_runbook/runs/report/build.py` → `runs.report.build`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def names(path: Path, *, when_loaded: bool = False) -> list[str]:
    """Modules of the package that a file imports, wherever in it, or only those without which it
    cannot be imported.
    """
    tree = ast.parse(path.read_text())
    found: list[str] = []
    for node in tree.body if when_loaded else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and re.match(r"mantis_runbook\b", node.module or ""):
            inner = str(node.module).removeprefix("mantis_runbook").removeprefix(".")
            is_room = (PACKAGE / inner.replace(".", "/")).is_dir()
            found += (
                [f"{inner}.{alias.name}".lstrip(".") for alias in node.names]
                if is_room
                else [inner]
            )
    return found


# -- installation ----------------------------------------------------------------------------------


def test_environment_yml_names_the_packages_of_pyproject_and_postgresql() -> None:
    lines = [line.strip() for line in (REPOSITORY / "environment.yml").read_text().splitlines()]
    listed = {
        plain(line[2:])
        for line in lines[lines.index("dependencies:") + 1 :]
        if line.startswith("- ")
    }
    assert {plain(one) for one in NEEDED} == listed - {
        "python",
        "postgresql",
        "pip",
        "pip:",
        "--editable",
    }
    assert "postgresql" in listed
    assert f"- python={PYPROJECT['requires-python'].removeprefix('>=')}" in lines


def test_the_lock_file_pins_every_package_with_its_hash() -> None:
    text = (REPOSITORY / "requirements.lock").read_text()
    pinned = {match[1].lower(): match[2] for match in re.finditer(r"(?m)^([\w.-]+)==(\S+)", text)}
    assert [one for one in NEEDED if plain(one) not in pinned] == []
    assert text.count("--hash=sha256:") >= len(pinned)


def test_no_tracked_file_names_the_host_of_a_package_registry() -> None:
    hosts = [
        "pypi" + ".org",
        "files.python" + "hosted.org",
        "conda.ana" + "conda.org",
        "registry.npm" + "js.org",
    ]
    patterns = [word for host in hosts for word in ("-e", host)]
    found = subprocess.run(
        ["git", "grep", "--files-with-matches", "--fixed-strings", *patterns],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode > 1:
        pytest.skip("no git checkout")
    assert found.stdout == ""


# -- commands that are shown -----------------------------------------------------------------------


def shown_commands() -> list[str]:
    """Lines of the README's code blocks, without their comments."""
    blocks = re.findall(r"(?s)```\w*\n(.*?)```", (REPOSITORY / "README.md").read_text())
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(make|mantis-runbook)\b", line)]


def test_the_readme_shows_commands() -> None:
    assert {"make run", "make test"} <= set(shown_commands())


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_of_the_readme_exists(command: str) -> None:
    words = command.split()
    if words[0] == "make":
        done = subprocess.run(
            ["make", "-n", *words[1:]], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return
    result = CliRunner().invoke(cli.main, [*words[1:2], "--help"])
    assert result.exit_code == 0, result.output
    for option in (word.split("=")[0] for word in words if word.startswith("--")):
        assert option in result.stdout, f"{command}: no option {option}"


def test_every_target_of_the_makefile_is_listed_by_its_help() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    listed = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True).stdout
    phony = next(line for line in text.splitlines() if line.startswith(".PHONY:")).split()[1:]
    assert [name for name in phony if f"make {name} " not in listed] == []


# -- files -----------------------------------------------------------------------------------------


def test_every_sql_file_is_reached_by_somebody() -> None:
    """By a loader that reads its folder, or by its name in the code."""
    folders = {"baseline", "checks", "migrations", "tests"}
    reached = {path.name for path in preparation_files()}
    sources = "\n".join(path.read_text() for path in MODULES)
    unknown = []
    for path in sorted((REPOSITORY / "sql").rglob("*.sql")):
        relative = path.relative_to(REPOSITORY / "sql")
        named = f"{relative.parts[0]}/{path.stem}" in sources or re.search(
            rf"\b{path.stem}\b", sources
        )
        by_folder = relative.parts[0] in folders or relative.parts[0] == "workload"
        if not (by_folder or path.name in reached or named or _read_by_pattern(relative, sources)):
            unknown.append(str(relative))
    assert unknown == []


def _read_by_pattern(path: Path, sources: str) -> bool:
    """Names that the code puts together: `query(f"finance/control_totals_{when}")`, or a whole
    folder by glob.
    """
    folder = path.parts[0]
    stems = re.findall(rf'f"{folder}/([\w]*)\{{', sources)
    return any(path.stem.startswith(stem) for stem in stems) or f'"{folder}").glob(' in sources


def test_the_loaders_read_every_file_of_their_folders() -> None:
    loaded = {
        script.path.name
        for one in migration_files.load()
        for script in (one.up, one.rollback, one.validation)
    }
    assert loaded == {path.name for path in (REPOSITORY / "sql" / "migrations").iterdir()}
    named = {one.name for one in named_checks.load()} | {
        f"report_{name}" for name in named_checks.reports()
    }
    assert named == {path.stem for path in (REPOSITORY / "sql" / "checks").rglob("*.sql")}
    sources = inspect.getsource(sandbox) + "".join(
        path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py")
    )
    for path in (REPOSITORY / "sql" / "baseline").glob("[a-z]*.sql"):
        assert re.sub(r"_[ab]$", "_", path.stem) in sources, path.name


def test_every_test_of_the_strategy_belongs_to_a_migration() -> None:
    versions = {one.version for one in migration_files.load()}
    for path in (REPOSITORY / "sql" / "tests").glob("*.sql"):
        match = re.search(r"(?<!\d)(\d{3})(?!\d)", path.stem)
        assert match, path.name
        assert match[1] in versions, path.name


def test_every_phase_has_its_migrations_and_every_migration_its_phase() -> None:
    assert {one.phase for one in migration_files.load()} <= {
        phase.number for phase in definitions.present()
    }


# -- the package -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_opens_with_a_line_that_says_what_it_knows(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    first = said.split("\n\n")[0]
    assert len(first.split()) >= 4, f"{path.name} opens with {first!r}"
    assert path.read_text().startswith('"""')


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_public_name_is_there_and_documented(path: Path) -> None:
    module = importlib.import_module(f"mantis_runbook.{dotted(path)}")
    public = getattr(module, "__all__", None)
    assert public is not None, f"{path.name} has no __all__"
    undocumented = []
    for name in public:
        thing = getattr(module, name)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not _is_documented(thing):
            undocumented.append(name)
    assert undocumented == []


def _is_documented(thing: type | object) -> bool:
    said = thing.__doc__ or ""
    generated = inspect.isclass(thing) and said.startswith(
        f"{thing.__name__}("
    )  # a dataclass without words
    return bool(said.strip()) and not generated


def test_a_command_starts_without_the_heavy_libraries() -> None:
    """They cost two seconds and more; only what draws, or runs notebooks, imports them, when it
    does.
    """
    heavy = {"pandas", "numpy", "matplotlib", "papermill", "nbconvert"}
    code = f"import sys, mantis_runbook.cli; print(*sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert found.stdout.split() == []


def rooms() -> dict[str, str]:
    """Room, or module at the top → floor, from the table in ARCHITECTURE.md."""
    rows = re.findall(
        r"(?m)^\| (\d+|beside) \| ([^|]+) \|", (REPOSITORY / "ARCHITECTURE.md").read_text()
    )
    listed = [(name, floor) for floor, cell in rows for name in re.findall(r"`(\w+)/?`", cell)]
    assert len(listed) == len(dict(listed)), "a room stands twice in the table"
    return dict(listed)


def test_the_table_of_rooms_names_every_folder_and_every_module_at_the_top() -> None:
    assert set(rooms()) == {dotted(path).split(".")[0] for path in MODULES}


def test_a_folder_opens_with_one_line_and_imports_nothing() -> None:
    """A face that imports would bring pandas and papermill into the start of every command."""
    for folder in {path.parent for path in MODULES}:
        (line,) = ast.parse((folder / "__init__.py").read_text()).body
        assert isinstance(line, ast.Expr), folder


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_imports_from_its_own_room_or_from_below(path: Path) -> None:
    """The engine never imports the sandbox; only the command line does."""
    table = rooms()
    own = dotted(path).split(".")[0]
    for name in names(path):
        room = name.split(".")[0]
        if table[room] == "beside" or name == "postgres.server":
            assert own in ("cli", "command_line", "sandbox"), f"{dotted(path)} imports {name}"
        elif room != own and table[own] != "beside" and not table[room] == table[own] == "0":
            assert int(table[room]) < int(table[own]), (
                f"{dotted(path)} (floor {table[own]}) imports {name} (floor {table[room]})"
            )


def test_no_file_needs_itself_to_be_imported() -> None:
    graphlib.TopologicalSorter(
        {dotted(path): names(path, when_loaded=True) for path in MODULES}
    ).prepare()
