"""Backfill statements: whether one can be walked over a table, a range of keys at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mantis_runbook.postgres.statements import Statement, grammar, nodes, relation_name, tree

__all__ = ["FORM", "flaw", "parameters"]

#: What a backfill statement has to be.
FORM = "one UPDATE, DELETE or INSERT … SELECT of the rows whose key is > $1 and <= $2"

#: How a bound may be compared, as (side of the parameter, operator); anything else meets a row
#: twice or never.
BOUNDS = {1: {("right", ">"), ("left", "<")}, 2: {("right", "<="), ("left", ">=")}}


def flaw(statement: Statement, table: str) -> str:
    """Why the statement cannot be a backfill over that table; "" when it can."""
    if not _is_batchable(statement):
        return f"is {statement.summary}"
    if parameters(statement) != [1, 2]:
        return "uses " + (
            ", ".join(f"${number}" for number in parameters(statement)) or "no parameters"
        )
    tables = {relation_name(one) for one in nodes(tree(statement.text), "RangeVar")}
    return _wrong_bounds(statement) or (
        "" if table in tables else f"touches only {', '.join(sorted(tables))}"
    )


def parameters(statement: Statement) -> list[int]:
    """Numbers of the parameters that a caller must give; those of functions and prepared statements
    are their own.
    """
    if statement.kind in {"CreateFunctionStmt", "PrepareStmt"}:
        return []
    return sorted({one.number for one in nodes(tree(statement.text), "ParamRef")})


def _is_batchable(statement: Statement) -> bool:
    node = tree(statement.text)
    if statement.kind == "InsertStmt":
        return bool(node.HasField("select_stmt")) and not node.select_stmt.select_stmt.values_lists
    return statement.kind in {"UpdateStmt", "DeleteStmt"}


def _wrong_bounds(statement: Statement) -> str:
    comparisons = list(_comparisons(tree(statement.text)))
    for number in (1, 2):
        bounds = [(side, operator) for given, side, operator in comparisons if given == number]
        if wrong := [
            operator for side, operator in bounds if (side, operator) not in BOUNDS[number]
        ]:
            return f"compares ${number} by {wrong[0]}"
        if not bounds:
            return f"compares nothing with ${number}"
    return ""


def _comparisons(root: Any) -> Iterable[tuple[int, str, str]]:
    """Each comparison of a parameter, cast or not: its number, its side, the operator."""
    for comparison in nodes(root, "A_Expr"):
        operator = comparison.name[-1].string.sval
        if comparison.kind in (grammar.AEXPR_BETWEEN, grammar.AEXPR_NOT_BETWEEN):
            yield from (
                (number, "right", operator)
                for number in _direct_parameters(comparison.rexpr.list.items)
            )
        elif operator in {"<", "<=", ">", ">=", "=", "<>"}:
            yield from (
                (number, "left", operator) for number in _direct_parameters([comparison.lexpr])
            )
            yield from (
                (number, "right", operator) for number in _direct_parameters([comparison.rexpr])
            )


def _direct_parameters(wrapped: Iterable[Any]) -> list[int]:
    numbers = []
    for node in wrapped:
        inner = node
        while inner.WhichOneof("node") == "type_cast":
            inner = inner.type_cast.arg
        if inner.WhichOneof("node") == "param_ref":
            numbers.append(inner.param_ref.number)
    return numbers
