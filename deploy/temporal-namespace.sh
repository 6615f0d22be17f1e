#!/bin/sh
# Makes the namespace and the search attributes that operations carry. Run at every start: what is there stays.
set -eu
namespace=${TEMPORAL_NAMESPACE:-default}
temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$namespace" --retention 30d
present=$(temporal operator search-attribute list --namespace "$namespace")
for pair in InnkeeperInstance:Keyword InnkeeperTenant:Keyword InnkeeperKind:Keyword InnkeeperRequest:Keyword \
    InnkeeperParked:Bool; do
    name=${pair%%:*}
    case $present in
    *"$name"*) ;;
    *) temporal operator search-attribute create --namespace "$namespace" --name "$name" --type "${pair#*:}" ;;
    esac
done
