"""pgbench scripts as data: their statements, and the values their variables take for a seed."""

from __future__ import annotations

import ast
import operator
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mantis_runbook.errors import MigrationFileError

__all__ = ["Assignment", "Scenario", "Statement", "Value", "bind", "evaluate", "read"]

Value = int | float | str

#: What pgbench's language has and a script of ours may hold;
#: https://www.postgresql.org/docs/current/pgbench.html
KNOWN = r"\set name expression, \gset [prefix], and SQL statements"

OPERATORS: dict[type[ast.operator | ast.unaryop], Callable[..., int | float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

#: Strings, quoted names, dollar quotes and comments are passed over whole; then what ends a
#: statement.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
    |(?P<quoted>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"
        |\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<meta>^[ \t]*\\[^\n]*|\\gset[^\n]*)
    |(?P<end>;)
    |(?P<other>[^'"$;\\/\-eE]+|.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)

#: A variable outside of quotes; `::` is a cast.
VARIABLE = re.compile(
    r"""([eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")|(?<!:):([A-Za-z_]\w*)"""
)

TRANSACTION = {
    "BEGIN": "begin",
    "START": "begin",
    "COMMIT": "commit",
    "END": "commit",
    "ROLLBACK": "rollback",
    "ABORT": "rollback",
}

#: A savepoint's end is none of the transaction's.
TO_SAVEPOINT = re.compile(r"ROLLBACK\s+(?:WORK\s+|TRANSACTION\s+)?TO\b", re.IGNORECASE)
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+(?:ONLY\s+)?(\w+)", re.IGNORECASE)
CALLED = re.compile(r"^SELECT\s+(\w+)\s*\(", re.IGNORECASE)
SETTING = re.compile(r"set_config\(\s*'([\w.]+)'", re.IGNORECASE)
#: Statements that say who acts, or draw a value that the application would bring along.
SETS = re.compile(
    r"\s*(RE)?SET\s|\s*SELECT\s+set_config\((?!.*\bFROM\b)|\s*SELECT\s+set_config\('drawn\.",
    re.IGNORECASE | re.DOTALL,
)
WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Assignment:
    r"""`\set name expression`."""

    name: str
    expression: str
    line: int


@dataclass(frozen=True)
class Statement:
    r"""One SQL statement as the script has it, variables unbound, without its semicolon.

    `kind` is begin, commit, rollback, setting (it says who acts, or draws a value for a statement)
    or plain. `gset` is the prefix of the variables that take the columns of its row, None when
    there are none.
    """

    scenario: str
    text: str
    line: int
    kind: str
    gset: str | None = None

    @property
    def name(self) -> str:
        """Where it stands and what it does: `lending:85 INSERT loan`."""
        return f"{self.scenario}:{self.line} {self.summary}"

    @property
    def summary(self) -> str:
        if self.kind != "plain":
            return self.text.split()[0].upper()
        # Only a statement that opens with SELECT or WITH can hide that it writes.
        verb = (WRITES.search(self.text) or re.match(r"\w+", self.text) or [self.text])[0].upper()
        if (
            verb in ("SELECT", "WITH")
            and (called := CALLED.match(self.text))
            and called[1].lower() != "set_config"
        ):
            return f"{verb} {called[1]}"
        after = self.text[self.text.upper().find(verb) :]
        table, setting = TABLE.search(after), SETTING.search(self.text)
        named = table[1] if table else setting[1] if setting else ""
        return f"{verb} {named}".strip()


@dataclass(frozen=True)
class Scenario:
    """A script: assignments and statements in their order."""

    name: str
    items: tuple[Assignment | Statement, ...]

    @property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(item for item in self.items if isinstance(item, Statement))


def read(path: Path) -> Scenario:
    """The scenario in a pgbench script. Raises `MigrationFileError` for what is not understood,
    with its line.
    """
    return parse(path.stem, path.read_text())


def parse(name: str, text: str) -> Scenario:
    """The scenario of that name in a text; see `read`."""
    items: list[Assignment | Statement] = []
    begun, start = "", 0
    for token in TOKEN.finditer(text):
        line = text.count("\n", 0, token.start()) + 1
        if token["comment"]:
            begun += " " if begun else ""
        elif token["meta"]:
            words = token["meta"].strip()
            if words.startswith("\\gset"):
                items.append(_statement(name, begun, start, words.removeprefix("\\gset").strip()))
                begun = ""
            else:
                items.append(_assignment(name, words, line))
        elif token["end"]:
            items.append(_statement(name, begun, start, None))
            begun = ""
        elif begun or token[0].strip():
            if not begun:
                start = line + token[0][: len(token[0]) - len(token[0].lstrip())].count("\n")
            begun += token[0]
    if begun.strip():
        items.append(_statement(name, begun, start, None))
    return Scenario(name, tuple(items))


def _statement(scenario: str, text: str, line: int, gset: str | None) -> Statement:
    if not text.strip():
        raise MigrationFileError(
            f"scenario {scenario}",
            found="an end of statement without one",
            expected=KNOWN,
            action="correct the script",
        )
    kind = TRANSACTION.get(text.split()[0].upper(), "setting" if SETS.match(text) else "plain")
    if TO_SAVEPOINT.match(text.strip()):
        kind = "plain"
    return Statement(scenario, text.strip(), line, kind, gset)


def _assignment(scenario: str, words: str, line: int) -> Assignment:
    parts = words.split(None, 2)
    if parts[0] != "\\set" or len(parts) < 3 or not parts[1].isidentifier():
        raise MigrationFileError(
            f"scenario {scenario}, line {line}",
            found=words,
            expected=KNOWN,
            action="write it in those",
        )
    return Assignment(parts[1], parts[2], line)


def evaluate(
    assignment: Assignment, variables: Mapping[str, Value], draw: random.Random
) -> int | float:
    """The value of a `\\set`: numbers, variables, `+ - * / %`, parentheses, and `random(lowest,
    highest)`.

    Whole numbers divide as in C, toward zero. Raises `MigrationFileError` for anything else.
    """
    try:
        tree = ast.parse(VARIABLE.sub(r"\2", assignment.expression), mode="eval").body
        return _value(tree, variables, draw)
    except (SyntaxError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise MigrationFileError(
            f"\\set {assignment.name}, line {assignment.line}",
            found=f"{assignment.expression} ({error})",
            expected="numbers, known variables, + - * / %, and random(lowest, highest)",
            action="write it in those",
        ) from None


def _value(node: ast.expr, variables: Mapping[str, Value], draw: random.Random) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if not isinstance(variables[name], str):
            return variables[name]  # type: ignore[return-value]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(operand, variables, draw))
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left, variables, draw), _value(right, variables, draw))
        case ast.Call(func=ast.Name(id="random"), args=[lowest, highest], keywords=[]):
            return draw.randint(
                int(_value(lowest, variables, draw)), int(_value(highest, variables, draw))
            )
    raise ValueError(f"{ast.unparse(node)} is not known")


def _binary(op: ast.operator, left: int | float, right: int | float) -> int | float:
    if isinstance(op, ast.Div | ast.Mod):
        if not (isinstance(left, int) and isinstance(right, int)):
            if isinstance(op, ast.Mod):
                raise ValueError("% takes whole numbers")
            return left / right
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if isinstance(op, ast.Div) else left - quotient * right
    return OPERATORS[type(op)](left, right)


def bind(text: str, variables: Mapping[str, Value]) -> str:
    """The statement with its variables' values in place, as literals. Raises `MigrationFileError`
    for an unset one.
    """

    def put(token: re.Match[str]) -> str:
        if token[1] is not None:
            return token[1]
        if token[2] not in variables:
            raise MigrationFileError(
                f"variable :{token[2]}",
                found="no value",
                expected=r"a \set or \gset before it",
                action="add one",
            )
        return _literal(variables[token[2]])

    return VARIABLE.sub(put, text)


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value) if value >= 0 else f"({value})"
