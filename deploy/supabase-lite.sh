#!/bin/sh
# Runs Supabase lite: keys that are nobody's defaults, migrations up to date, no admin mode. Run at every start.
#
# SUPABASE_SECRET_KEY, the service role's key, is required. SUPABASE_PUBLISHABLE_KEY and SUPABASE_JWT_SECRET are made
# once and kept in files beside the rows where they are not given. LITE_SIGNUP=true lets anyone who reaches it sign up.
set -eu
umask 077
port=${LITE_PORT:-54321}
data=${LITE_DATA:-/data}
migrations=${LITE_MIGRATIONS:-/opt/lite/migrations}
program=${LITE_PROGRAM:-/opt/lite/node_modules/@supabase/lite/dist/cli/index.js}

refuse() {
    echo "supabase-lite: $1" >&2
    exit 2
}

case $port in
*[!0-9]*) refuse "LITE_PORT is no port: $port" ;;
esac
case ${LITE_SIGNUP:-false} in
true | false) ;;
*) refuse "LITE_SIGNUP is neither true nor false: $LITE_SIGNUP" ;;
esac
# An empty key turns the check of keys off, and a guessable one opens every row.
case ${SUPABASE_SECRET_KEY:-} in
sb_secret_????????????????????*) ;;
*) refuse "SUPABASE_SECRET_KEY must be sb_secret_ and at least 20 characters; make one: echo sb_secret_\$(openssl rand -hex 24)" ;;
esac

# kept FILE PREFIX: the secret in a file, made if it is not there.
kept() {
    if [ ! -s "$data/$1" ]; then
        random=$(node -e 'process.stdout.write(require("crypto").randomBytes(48).toString("base64url"))')
        printf '%s%s' "$2" "$random" >"$data/$1.new"
        mv "$data/$1.new" "$data/$1"
    fi
    cat "$data/$1"
}

mkdir -p "$data/supabase"
[ -n "${SUPABASE_PUBLISHABLE_KEY:-}" ] || SUPABASE_PUBLISHABLE_KEY=$(kept publishable-key sb_publishable_)
[ -n "${SUPABASE_JWT_SECRET:-}" ] || SUPABASE_JWT_SECRET=$(kept jwt-secret '')
export SUPABASE_SECRET_KEY SUPABASE_PUBLISHABLE_KEY SUPABASE_JWT_SECRET
export LITE_TELEMETRY=0 DO_NOT_TRACK=1

rm -rf "$data/supabase/migrations"
cp -r "$migrations" "$data/supabase/migrations"
cat >"$data/supabase/config.toml" <<END
[api]
port = $port

[db]
driver = "pglite"
url = "supabase/.temp/data"

[auth]
enabled = true
jwt_secret = "env(SUPABASE_JWT_SECRET)"
jwt_expiry = 3600
enable_signup = ${LITE_SIGNUP:-false}
publishable_key = "env(SUPABASE_PUBLISHABLE_KEY)"
secret_key = "env(SUPABASE_SECRET_KEY)"

[auth.email]
enable_confirmations = false
END

cd "$data"
node "$program" migration up

# Lite prints its keys when it starts; logs are kept and shipped. The pipe has a name so that lite itself gets signals.
rm -f "$data/log"
mkfifo "$data/log"
sed -u 's/sb_secret_[^ ]*/sb_secret_(masked)/' <"$data/log" &
exec node "$program" start --host "${LITE_HOST:-0.0.0.0}" --no-admin >"$data/log" 2>&1
