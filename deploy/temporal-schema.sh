#!/bin/sh
# Makes or updates Temporal's two databases. Run at every start: each command leaves alone what is there already.
set -eu
for name in temporal temporal_visibility; do
    schema=${name#temporal_}
    tool() { temporal-sql-tool --plugin postgres12 --ep temporal-db --port 5432 --user temporal --db "$name" "$@"; }
    tool create
    tool setup-schema -v 0.0 || true # there already
    tool update-schema -d "/etc/temporal/schema/postgresql/v12/$schema/versioned"
done
