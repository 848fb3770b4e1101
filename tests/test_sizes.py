"""Nothing grows out of its room: how long a module, a class and a function may be, and what a
subclass leaves alone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from project import REPOSITORY

from mantis_runbook import notebook

PACKAGE = REPOSITORY / "mantis_runbook"
MODULES = sorted(PACKAGE.rglob("*.py"))

MODULE, CLASS, FUNCTION = 400, 200, 50

every_module = partial(
    pytest.mark.parametrize, "path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)


def too_long(source: str) -> Iterator[str]:
    """What is longer than it may be, in lines; a function's are counted with its docstring, without
    its decorators.
    """
    if (lines := len(source.splitlines())) > MODULE:
        yield f"the module has {lines} lines, at most {MODULE}: it knows more than one thing"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        most = CLASS if isinstance(node, ast.ClassDef) else FUNCTION
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > most:
            yield f"{node.name} has {lines} lines, at most {most}"


def reached_into(module: ModuleType) -> list[str]:
    """Private names of a class of another module that a subclass in this one defines anew;
    `_repr_html_` is public.
    """
    return [
        f"{one.__name__} overrides {name} of {base.__module__}.{base.__name__}"
        for _, one in inspect.getmembers(module, inspect.isclass)
        if one.__module__ == module.__name__
        for base in one.__mro__[1:]
        if base.__module__ != module.__name__
        for name, thing in vars(one).items()
        if name.startswith("_")
        and not name.endswith("_")
        and callable(thing)
        and name in vars(base)
    ]


@every_module()
def test_no_module_class_or_function_is_too_long(path: Path) -> None:
    assert list(too_long(path.read_text())) == []


@every_module()
def test_no_subclass_overrides_a_private_method_of_another_room(path: Path) -> None:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    assert reached_into(importlib.import_module(".".join(parts).removesuffix(".__init__"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("\n" * 401, "the module has 401 lines"),
        ("class Long:\n" + "    x = 1\n" * 200, "Long has 201 lines, at most 200"),
        ("def long():\n" + "    pass\n" * 50, "long has 51 lines, at most 50"),
        ("async def long():\n" + "    pass\n" * 50, "long has 51 lines, at most 50"),
        (
            "class A:\n    @cache\n    def long(self):\n" + "        pass\n" * 50,
            "long has 51 lines, at most 50",
        ),
        ("def short():\n" + "    pass\n" * 49, ""),
    ],
)
def test_what_is_one_line_too_long_is_found(source: str, found: str) -> None:
    assert found in "; ".join(too_long(source))
    assert bool(found) == bool(list(too_long(source)))


def test_a_subclass_that_reaches_into_another_room_is_found() -> None:
    class Reaching(notebook.MigrationPhase):
        def precheck(self) -> None:  # type: ignore[override]
            """A public verb may be another's."""

        def _do(self) -> None:  # type: ignore[override]
            """A private method may not."""

        def _repr_html_(self) -> str:
            return ""

    module = ModuleType("elsewhere")
    Reaching.__module__, module.Reaching = module.__name__, Reaching  # type: ignore[attr-defined]
    assert reached_into(module) == [
        "Reaching overrides _do of mantis_runbook.phases.migrating_phase.MigrationPhase"
    ]
