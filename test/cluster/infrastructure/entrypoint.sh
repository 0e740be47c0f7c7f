#!/bin/sh
# Does what the entrypoint of PostgreSQL's official image does, as far as the chart needs it:
# initializes an empty data directory, then executes the command.
set -eu

if [ "$1" = postgres ] && [ ! -e "$PGDATA/PG_VERSION" ]; then
	# In another directory, which is renamed at the end: after a crash, initialization starts again.
	new=$PGDATA.new
	rm -rf "$new"
	password=$(mktemp)
	echo "$POSTGRES_PASSWORD" >"$password"
	initdb --pgdata "$new" --username postgres --pwfile "$password" --auth-local trust --auth-host scram-sha-256 --encoding UTF8 --locale C.UTF-8
	rm "$password"
	echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$new/postgresql.conf"
	pg_ctl --pgdata "$new" --options "-c listen_addresses=''" --wait start
	for script in /docker-entrypoint-initdb.d/*.sql; do
		psql --username postgres --no-psqlrc --set ON_ERROR_STOP=1 --file "$script"
	done
	pg_ctl --pgdata "$new" --wait stop
	mv "$new" "$PGDATA"
fi
exec "$@"
