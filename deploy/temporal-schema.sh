#!/bin/sh
# Makes or updates Temporal's two databases. Run at every start: each command leaves alone what is there already.
#
# SQL_HOST and SQL_PASSWORD, which temporal-sql-tool reads itself, are required.
set -eu
: "${SQL_HOST:?} ${SQL_PASSWORD:?}"
export SQL_PLUGIN=postgres12 SQL_PORT="${SQL_PORT:-5432}" SQL_USER="${SQL_USER:-temporal}"
for name in temporal temporal_visibility; do
    temporal-sql-tool --db "$name" create
    temporal-sql-tool --db "$name" setup-schema -v 0.0
    temporal-sql-tool --db "$name" update-schema -d "/etc/temporal/schema/postgresql/v12/${name#temporal_}/versioned"
done
