"""Which settings tell the database who acts: read from its policies, or given by the operator."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mantis_runbook.errors import ParameterError

__all__ = ["KINDS", "VARIABLE", "ActsAs", "Person", "given", "kind_of", "settings_in"]

#: The operator's own word: `setting=kind`, separated by spaces or commas, such as
#: `MANTIS_RUNBOOK_ACTS_AS="app.tenant=org app.who=user"`. It goes before what is inferred, and is
#: not verified.
VARIABLE = "MANTIS_RUNBOOK_ACTS_AS"

#: What a setting may hold: the user's id, the organisation's, the e-mail address, the role in the
#: application, the role in the database, or all of that as JSON.
KINDS = ("user", "org", "email", "role", "database_role", "claims")

#: Both kinds of installation; what else is read is found in the policies.
STANDARD = {"request.jwt.claim.sub": "user", "app.current_user_id": "user"}

READ = re.compile(r"\bcurrent_setting\s*\(\s*'((?:[^']|'')+)'", re.IGNORECASE)
GIVEN = re.compile(r"([A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)+)=(\w+)")
KEY = re.compile(r"(?:->>?|#>>?)\s*'(?:\{)?([\w,\s]+)\}?'")

#: Words of a name, and what such a setting holds; the first that fits.
WORDS = (
    ("claims", {"claims", "jwt_claims"}),
    ("email", {"email", "mail"}),
    ("role", {"role", "roles"}),
    (
        "org",
        {
            "org",
            "orgid",
            "organization",
            "organisation",
            "tenant",
            "tenantid",
            "company",
            "workspace",
        },
    ),
    ("user", {"user", "userid", "uid", "sub", "profile", "member", "person"}),
)


@dataclass(frozen=True)
class Person:
    """What is known of somebody who acts; all of it empty for nobody."""

    user: str = ""
    org: str = ""
    email: str = ""
    role: str = ""


@dataclass(frozen=True)
class ActsAs:
    """Setting → what it holds (None: left unset). `keys` are those that policies look for in JSON;
    `unknown` the settings of which nobody knows what they must hold, with the tables whose policies
    read them; `doubt` says why the policies could not be asked, where the usual settings are taken
    instead.
    """

    kinds: Mapping[str, str | None] = field(default_factory=lambda: dict(STANDARD))
    keys: tuple[str, ...] = ()
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read: tuple[str, ...] = ()
    doubt: str = ""

    def values(self, person: Person, database_role: str = "authenticated") -> dict[str, str]:
        """Setting → value while that person acts."""
        holds = {
            "user": person.user,
            "org": person.org,
            "email": person.email,
            "role": person.role,
            "database_role": database_role if person.user else "",
            "claims": self._claims(person, database_role) if person.user else "",
        }
        return {name: holds[kind] for name, kind in self.kinds.items() if kind is not None}

    def trying(self, kinds: Mapping[str, str | None]) -> ActsAs:
        """The same with other kinds for some settings."""
        return replace(self, kinds={**self.kinds, **kinds})

    @property
    def tables_unknown(self) -> dict[str, str]:
        """Table → the settings it reads of which nobody knows what they must hold."""
        tables = sorted({table for named in self.unknown.values() for table in named})
        return {
            table: ", ".join(sorted(name for name, named in self.unknown.items() if table in named))
            for table in tables
        }

    @property
    def summary(self) -> str:
        """How sessions act as tenants here, in a sentence."""
        if self.doubt:
            return (
                f"how sessions act as tenants could not be learnt ({self.doubt}): the usual"
                " settings are taken"
            )
        used = [
            f"{name} ({kind})" for name, kind in self.kinds.items() if kind and name in self.read
        ]
        told = (
            f"sessions act as tenants through: {', '.join(used)}"
            if used
            else "no policy reads a setting"
        )
        if unset := [
            name for name in self.read if self.kinds.get(name) is None and name not in self.unknown
        ]:
            told += (
                f"; left unset, for nobody knows what it must hold: {', '.join(unset)} (see"
                f" {VARIABLE})"
            )
        if not self.unknown:
            return told
        lost = ", ".join(sorted(self.unknown))
        return (
            f"{told}; nobody knows what {lost} must hold: say so in {VARIABLE} (setting=kind, a"
            f" kind of {', '.join(KINDS)})"
        )

    def _claims(self, person: Person, database_role: str) -> str:
        by_kind = {
            "user": person.user,
            "org": person.org,
            "email": person.email,
            "role": person.role,
        }
        named = {key: by_kind[kind] for key in self.keys if (kind := kind_of(key)) in by_kind}
        named |= {"org_id": person.org, "email": person.email}
        beside = {"app_metadata": dict(named), "user_metadata": dict(named)}
        # In a token `role` is the database's; the application's own goes by another name, or in its
        # metadata.
        return json.dumps(
            {**named, **beside, "sub": person.user, "role": database_role, "aud": "authenticated"}
        )


def settings_in(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The application's settings that an expression or a function's body reads, and the keys it
    looks for in JSON.
    """
    names = tuple(
        dict.fromkeys(name.replace("''", "'") for name in READ.findall(text) if "." in name)
    )
    keys = [part.strip() for listed in KEY.findall(text) for part in listed.split(",")]
    return names, tuple(dict.fromkeys(key for key in keys if key))


def kind_of(name: str, used: Iterable[str] = ()) -> str | None:
    """What a setting, or a key of a token, holds by its name and by how the texts in `used` read
    it; None: it does not say.
    """
    if any(_is_json(name, text) for text in used):
        return "claims"
    if name == "request.jwt.claim.role":
        return "database_role"
    words = set(re.split(r"[._\-]", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))
    return next((kind for kind, known in WORDS if words & known), None)


def _is_json(name: str, text: str) -> bool:
    """Whether what `current_setting(name)` gives is cast to JSON, at once or after a function
    around it.
    """
    return bool(
        re.search(
            rf"current_setting\s*\(\s*'{re.escape(name)}'[^;>]{{0,80}}?::(?:pg_catalog\.)?jsonb?\b",
            text,
            re.I,
        )
    )


def given() -> dict[str, str]:
    """What the operator says in MANTIS_RUNBOOK_ACTS_AS: setting → kind. Raises `ParameterError` for
    anything else.
    """
    kinds: dict[str, str] = {}
    for part in re.split(r"[\s,]+", os.environ.get(VARIABLE, "").strip()):
        if not part:
            continue
        match = GIVEN.fullmatch(part)
        if not match or match[2] not in KINDS:
            raise ParameterError(
                f"variable {VARIABLE}",
                found=repr(part),
                expected=f"setting=kind, a kind of {', '.join(KINDS)}",
                action=(
                    "write for instance app.tenant=org app.who=user, separated by spaces or commas"
                ),
            )
        if kinds.setdefault(match[1], match[2]) != match[2]:
            raise ParameterError(
                f"variable {VARIABLE}",
                found=f"{match[1]} twice",
                expected="each setting once",
                action="remove one",
            )
    return kinds
