#!/bin/sh
# Makes the namespace and the search attributes that operations carry. Run at every start: what is there stays.
#
# For any server: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the other variables of the `temporal` command say which.
set -eu
namespace=${TEMPORAL_NAMESPACE:-default}
retention=${TEMPORAL_RETENTION:-30d}
tries=${TEMPORAL_TRIES:-30}

# A server that just started, or just learned of a namespace, answers "not found" for some seconds.
insist() {
    left=$tries
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 1
    done
}

has_namespace() {
    temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
        temporal operator namespace create --namespace "$namespace" --retention "$retention"
}

has_attribute() {
    present=$(temporal operator search-attribute list --namespace "$namespace") || return 1
    printf '%s\n' "$present" | grep -Eq "^ *$1 +$2 *\$" ||
        temporal operator search-attribute create --namespace "$namespace" --name "$1" --type "$2"
}

insist has_namespace
insist has_attribute InnkeeperInstance Keyword
insist has_attribute InnkeeperTenant Keyword
insist has_attribute InnkeeperKind Keyword
insist has_attribute InnkeeperRequest Keyword
insist has_attribute InnkeeperParked Bool
