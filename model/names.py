"""From an instance's name to every other name it has, so that no two instances can ever meet.

An instance's name is unique over all tenants (it commonly becomes a host name), it is the release's name as it
stands and the namespace's with a prefix: two different names cannot collide. Limits are Kubernetes' (RFC 1123
labels, 63 characters) and Helm's (release names, 53 characters).
"""

from __future__ import annotations

import re

from .errors import BadInput

LONGEST_NAME = 40
"""Characters; leaves room for the namespace's prefix and for what charts append to a release's name."""

NAMESPACE_PREFIX = "inn-"
WORKFLOW_PREFIX = "instance/"
SWEEP_PREFIX = "sweep-"
"""Of the request ids of repairs that a sweep asks for: nobody else's, or a lost operation could never be repaired."""
DRIFT_PREFIX = "drift-"
"""Of the request ids of repairs that a plan's policy on drift asks for."""
EXPIRY_PREFIX = "expiry-"
"""Of the request ids of stops that a plan's `stop_after` or `idle_stop_after` asks for, likewise."""
HANDOVER_PREFIX = "handover/"
RECONCILE_PREFIX = "reconcile/"

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_TENANT = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RELEASE = re.compile(r"(?=.{1,53}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_CLUSTERS_OWN = re.compile(r"default|kube-.*")
_REQUEST = re.compile(r"[!#-&(-\[\]-~]{1,200}")
_REQUEST_FIX = "use 1 to 200 printable ASCII characters, without spaces, quotes or backslashes"


def normalise(name: str) -> str:
    """A person's spelling of a name as an instance's name.

    Lower case, without spaces around it; inner spaces and underscores become hyphens.

    Raises:
        BadInput: what results is not a DNS label that starts with a letter, or is longer than 40 characters.
    """
    label = re.sub(r"[\s_]+", "-", name.strip().lower())
    if len(label) > LONGEST_NAME:
        raise BadInput("name", name, f"has {len(label)} characters", fix=f"use {LONGEST_NAME} characters at the most")
    if not _LABEL.fullmatch(label):
        raise BadInput(
            "name",
            name,
            "is not a DNS label",
            fix="use letters, digits and hyphens; start with a letter and end with a letter or digit",
        )
    return label


def check_tenant(tenant: str) -> str:
    """The tenant's id, if it can stand as a Kubernetes label value.

    Raises:
        BadInput: it cannot.
    """
    if not _TENANT.fullmatch(tenant):
        raise BadInput(
            "tenant",
            tenant,
            "is not a tenant id",
            fix="use 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends (a UUID fits)",
        )
    return tenant


def check_request_id(request_id: str) -> str:
    """The request's id, if it can be stored, printed and searched for anywhere.

    Quotes and backslashes cannot: Temporal's visibility does not find a value that holds them.

    Raises:
        BadInput: it cannot.
    """
    if not _REQUEST.fullmatch(request_id):
        raise BadInput("request_id", request_id, "is not a request id", fix=_REQUEST_FIX)
    return request_id


def check_key(key: str) -> str:
    """An idempotency key of a report, under the same rules as a request's id.

    Raises:
        BadInput: it cannot be one.
    """
    if not _REQUEST.fullmatch(key):
        raise BadInput("key", key, "is no key", fix=_REQUEST_FIX)
    return key


def check_new_request_id(request_id: str) -> str:
    """The id of a request that a caller makes: one that passes `check_request_id` and is not Innkeeper's own.

    Raises:
        BadInput: it cannot be.
    """
    for prefix, whose in (
        (SWEEP_PREFIX, "the sweep's"),
        (DRIFT_PREFIX, "kept for drift"),
        (EXPIRY_PREFIX, "the metering's"),
    ):
        if request_id.startswith(prefix):
            raise BadInput("request_id", request_id, f"is {whose}", fix=f"use one that does not begin with {prefix!r}")
    return check_request_id(request_id)


def check_namespace(namespace: str) -> str:
    """The name of a namespace that can be given to an instance.

    Raises:
        BadInput: it is none, or the cluster's own, which cannot be purged.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise BadInput("namespace", namespace, "is not a namespace's name", fix="use the name as kubectl shows it")
    if _CLUSTERS_OWN.fullmatch(namespace):
        raise BadInput(
            "namespace",
            namespace,
            "is the cluster's own, and an instance is stopped and purged with its namespace",
            fix="install the release in a namespace of its own",
        )
    return namespace


def check_release(release: str) -> str:
    """The name of a Helm release, if it can be one.

    Raises:
        BadInput: it cannot.
    """
    if not _RELEASE.fullmatch(release):
        raise BadInput("release", release, "is not a release's name", fix="use the name as `helm list` shows it")
    return release


def namespace_of(instance: str) -> str:
    """The namespace of an instance that is made here; one that was adopted has another, which its row names."""
    return NAMESPACE_PREFIX + instance


def release_of(instance: str) -> str:
    """The Helm release of an instance that is made here."""
    return instance


def workflow_id_of(instance: str) -> str:
    """The one workflow ID that every operation on the instance runs under: Temporal itself allows one at a time."""
    return WORKFLOW_PREFIX + instance


def handover_id_of(request_id: str) -> str:
    """The workflow ID of the delivery of a request that waited."""
    return HANDOVER_PREFIX + request_id


def reconcile_id_of(instance: str | None) -> str:
    """The workflow ID of a look for drift that somebody asked for, at one instance or at all."""
    return RECONCILE_PREFIX + (instance or "*")
