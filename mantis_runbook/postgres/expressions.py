"""Expressions as PostgreSQL writes them: brought to the form they have after a dump and restore."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["flattened"]

#: Strings and quoted names, in which a parenthesis is only text.
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
CONNECTIVES = (" AND ", " OR ")

Group = list["str | Group"]


def flattened(definition: str) -> str:
    """`((a AND b) AND c)` as `(a AND b AND c)`, as PostgreSQL's parser makes it.

    A definition keeps its inner parentheses until it is read once more, which a restore does; so a
    database and its restored copy would differ in text and not in meaning. Anything that is not
    balanced is returned as it is.
    """
    if "((" not in definition or not any(word in definition for word in CONNECTIVES):
        return definition
    group = _parse(definition)
    return definition if group is None else "".join(_text(_flatten(group)))


def _parse(text: str) -> Group | None:
    """Pieces of text and, for each pair of parentheses, a group of its own."""
    stack: list[Group] = [[""]]
    position = 0
    for match in re.finditer(rf"{QUOTED.pattern}|[()]", text):
        _add(stack[-1], text[position : match.start()])
        position = match.end()
        if match[0] == "(":
            stack.append([""])
        elif match[0] == ")":
            if len(stack) == 1:
                return None
            group = stack.pop()
            stack[-1] += [group, ""]
        else:
            _add(stack[-1], match[0])
    _add(stack[-1], text[position:])
    return stack[0] if len(stack) == 1 else None


def _add(group: Group, text: str) -> None:
    last = group[-1]
    assert isinstance(last, str)
    group[-1] = last + text


def _flatten(group: Group) -> Group:
    """From the inside out: where the first operand of a chain is a chain of the same connective,
    its parts join it.
    """
    inner: Group = [part if isinstance(part, str) else _flatten(part) for part in group]
    while (
        len(inner) > 2
        and inner[0] == ""
        and isinstance(inner[1], list)
        and _continues(inner[1], inner[2])
    ):
        first = inner[1]
        last, after = first[-1], inner[2]
        assert isinstance(last, str)
        assert isinstance(after, str)
        inner = [*first[:-1], last + after, *inner[3:]]
    return inner


def _continues(first: Group, after: str | Group) -> bool:
    return isinstance(after, str) and any(
        after.startswith(word)
        and any(isinstance(part, str) and word in QUOTED.sub("", part) for part in first)
        for word in CONNECTIVES
    )


def _text(group: Group) -> Iterator[str]:
    for part in group:
        if isinstance(part, str):
            yield part
        else:
            yield "("
            yield from _text(part)
            yield ")"
