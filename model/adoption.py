"""What the adoption of somebody's Helm release marks, makes and leaves: pure, from what stands in its namespace.

Nothing here concerns a workload: no pod template is ever patched, so no pod is replaced. What is marked keeps in an
annotation what its labels were, so that an adoption that fails takes its marks off again exactly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from . import fence, manifests, marks, surroundings
from .catalog import Copied, Plan
from .errors import BadInput, NotOurs
from .messages import Work
from .ports import Manifest, Ref
from .preview import Adoption, Planned
from .quotas import Used, unfit
from .release import Revision, State, objects_of, revisions_of, settled_at
from .sizes import sizes_of
from .workloads import controlled

_LEVEL = "pod-security.kubernetes.io/enforce"


class Found(NamedTuple):
    """What stands in the namespace."""

    namespace: Manifest
    secrets: Sequence[Manifest]
    around: Sequence[Manifest]
    """Of the kinds of `surroundings.KINDS`, with version and kind."""
    workloads: Sequence[Manifest]
    pods: Sequence[Manifest]
    claims: Sequence[Manifest]

    @property
    def live_pods(self) -> list[Manifest]:
        """The pods that have not done their work."""
        return [pod for pod in self.pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]


def demand_free(namespace: Manifest, work: Work) -> None:
    """Pass only a namespace that is nobody's of Innkeeper's, or this instance's own, and is not going.

    Raises:
        BadInput: it is another instance's, or Innkeeper's own.
    """
    labels = namespace["metadata"].get("labels") or {}
    taken = labels.get(marks.MANAGED_BY) == marks.MANAGER or {marks.INSTANCE, marks.TENANT} & labels.keys()
    if taken and not marks.is_ours(namespace, work.instance, work.tenant):
        raise BadInput(
            "namespace",
            work.namespace,
            "carries the marks of another instance, or is Innkeeper's own",
            fix="use the namespace of a release that no instance has; it was not touched",
            code="NotOurs",
        )
    if namespace["metadata"].get("deletionTimestamp"):
        raise BadInput("namespace", work.namespace, "is being deleted", fix="use one that stays")


def deployed(found: Found, work: Work) -> Revision:
    """The one revision of the release, which is to be the only one in its namespace.

    Raises:
        BadInput: there is none, it is not deployed, another release is there, or the release reaches elsewhere.
    """
    revisions = [each for each in revisions_of(found.secrets) if each.state is not State.UNINSTALLED]
    own = [each for each in revisions if each.release == work.release]
    others = sorted({each.release for each in revisions} - {work.release})
    if not own:
        there = f"; there is {', '.join(others)}" if others else ""
        raise BadInput(
            "release",
            work.release,
            f"is no release in namespace {work.namespace}{there}",
            fix="use namespace and name as `helm list --all-namespaces` shows them",
        )
    if others:
        raise BadInput(
            "namespace",
            work.namespace,
            f"holds other releases, too: {', '.join(others)}",
            fix="an instance is one release in one namespace: move the others elsewhere first",
        )
    revision = settled_at(own)
    if revision is None:
        raise BadInput(
            "release",
            work.release,
            f"is not settled: its newest is {own[-1]}",
            fix="bring it to one deployed revision first, see `helm history` and `helm rollback`",
        )
    outside = [ref for ref in objects_of(revision) if ref.namespace not in (None, work.namespace)]
    if outside:
        raise BadInput(
            "release",
            work.release,
            f"has {outside[0]}, outside its namespace",
            fix="an instance is one release in one namespace: take the object out of the release first",
        )
    return revision


def has_binding(found: Found, work: Work) -> bool:
    """Whether the binding that says whose Helm may write is there, and this instance's.

    Raises:
        BadInput: one of its name is somebody else's.
    """
    for each in found.around:
        if each["kind"] == "RoleBinding" and each["metadata"]["name"] == fence.BINDING:
            try:
                fence.demand_ours(each, work.instance, work.tenant)
            except NotOurs as error:
                cause = error.cause
                raise BadInput(
                    "namespace", work.namespace, f"cannot be used: {cause.message}", fix=cause.fix, code=cause.code
                ) from None
            return True
    return False


def mark_patch(manifest: Manifest, work: Work, *, data: bool = False) -> Manifest | None:
    """The patch that puts the instance's marks on somebody's object; None where it has them.

    `data` marks what only purge may delete.
    """
    if marks.is_ours(manifest, work.instance, work.tenant):
        return None
    meta = manifest["metadata"]
    wanted = _labels(work, data=data)
    before = {name: (meta.get("labels") or {}).get(name) for name in wanted}
    annotations = {marks.ADOPTED_BY: work.request_id, marks.BEFORE_ADOPTION: json.dumps(before)}
    return {
        "metadata": {"resourceVersion": meta["resourceVersion"], "labels": wanted, "annotations": annotations},
    }


def unmark_patch(manifest: Manifest, work: Work) -> Manifest | None:
    """The patch that takes off the marks of this very adoption; None where there are none of it."""
    meta = manifest["metadata"]
    annotations = meta.get("annotations") or {}
    if annotations.get(marks.ADOPTED_BY) != work.request_id:
        return None
    return {
        "metadata": {
            "resourceVersion": meta["resourceVersion"],
            "labels": json.loads(annotations[marks.BEFORE_ADOPTION]),
            "annotations": {marks.ADOPTED_BY: None, marks.BEFORE_ADOPTION: None},
        }
    }


def _labels(work: Work, *, data: bool) -> dict[str, str]:
    ours = marks.labels(instance=work.instance, tenant=work.tenant, plan=work.plan)
    return {**ours, marks.DATA: "true"} if data else ours


def secrets_to_mark(found: Found, work: Work, plan: Plan) -> list[Manifest]:
    """The Secrets that the plan would generate or copy and that are there already: they are the customer's data.

    Not those of the release itself, which Helm takes away with it, and would give its own marks back.
    """
    wanted = {secret.name for secret in plan.secrets}
    return [
        each
        for each in found.secrets
        if each["metadata"]["name"] in wanted and manifests.release_of(each) != work.release
    ]


def missing(found: Found, work: Work, plan: Plan) -> list[Manifest]:
    """What the plan asks for around the release, the namespace has nothing of, and the pods that run fit into."""
    wanted = surroundings.around(work, plan)
    return [each for each in wanted if not _theirs(each, found, work) and not _unfit(each, found, plan)]


def _theirs(wanted: Manifest, found: Found, work: Work) -> list[str]:
    """The objects of its kind that others have put into the namespace."""
    return [
        each["metadata"]["name"]
        for each in found.around
        if each["kind"] == wanted["kind"] and not marks.is_ours(each, work.instance, work.tenant)
    ]


def _unfit(wanted: Manifest, found: Found, plan: Plan) -> str:
    if wanted["kind"] != "ResourceQuota":
        return ""
    # Where others' LimitRange stands, its defaults are in the pods by now.
    limited = any(each["kind"] == "LimitRange" for each in found.around)
    return unfit(plan.quota, Used(found.live_pods, found.claims, {} if limited else plan.container_defaults))


def is_begun(found: Found, work: Work) -> bool:
    """Whether this very adoption has marked or made anything."""
    each = [found.namespace, *found.secrets, *found.around]
    annotations = [manifest["metadata"].get("annotations") or {} for manifest in each]
    return any(work.request_id in (told.get(marks.ADOPTED_BY), told.get(marks.CREATED_BY)) for told in annotations)


def demand_confirmed(seen: Adoption, confirmed: str | None) -> None:
    """Pass only what was confirmed, if anything was.

    Raises:
        BadInput: the adoption would by now do something else.
    """
    if confirmed not in (None, seen.digest):
        raise BadInput(
            "namespace",
            seen.namespace,
            "is not what it was when its adoption was confirmed; nothing was touched",
            fix="look at what the adoption would do now, by --dry-run, and confirm that",
            code="NotAsConfirmed",
        )


def _digest(seen: Adoption) -> str:
    """A fingerprint of what is done; not of what comes and goes by itself, as pods and their use of a quota do."""
    told = seen.model_dump(mode="json", include={"namespace", "release", "revision", "marked", "made", "beside"})
    told["left"] = [each.object for each in seen.left]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def outline(found: Found, work: Work, plan: Plan, revision: Revision) -> Adoption:
    """What an adoption will do, for people."""
    seen = _outline(found, work, plan, revision)
    return seen.model_copy(update={"digest": _digest(seen)})


def _outline(found: Found, work: Work, plan: Plan, revision: Revision) -> Adoption:
    given = [(found.namespace, False), *((each, True) for each in secrets_to_mark(found, work, plan))]
    return Adoption(
        instance=work.instance,
        tenant=work.tenant,
        plan=work.plan,
        namespace=work.namespace,
        release=work.release,
        revision=revision.version,
        chart=revision.chart,
        pods=len(found.live_pods),
        storage_mib=sizes_of(found.claims).storage_mib,
        marked=[
            Planned(object=_named(each), what=_changes(each, work, data=data))
            for each, data in given
            if mark_patch(each, work, data=data) is not None
        ],
        made=list(_made(found, work, plan)),
        left=[*_left_around(found, work, plan), *_left_secrets(found, work, plan), *_left_volumes(revision, work)],
        beside=[
            str(Ref.to(each))
            for each in found.workloads
            if not controlled(each) and manifests.release_of(each) != work.release
        ],
    )


def _named(manifest: Manifest) -> str:
    """The object's name; what a list was read of says no kind."""
    meta = manifest["metadata"]
    return f"Secret {meta['namespace']}/{meta['name']}" if meta.get("namespace") else f"Namespace {meta['name']}"


def _changes(manifest: Manifest, work: Work, *, data: bool) -> str:
    before = manifest["metadata"].get("labels") or {}
    wanted = _labels(work, data=data).items()
    return ", ".join(
        f"{name}={value}{f' (was {before[name]})' if before.get(name, value) != value else ''}"
        for name, value in wanted
    )


def _made(found: Found, work: Work, plan: Plan) -> Iterator[Planned]:
    own = {(each["kind"], each["metadata"]["name"]) for each in found.around}
    binding = surroundings.release_binding(work)
    for each in (*missing(found, work, plan), binding):
        if (each["kind"], each["metadata"]["name"]) not in own:
            yield Planned(object=str(Ref.to(each)), what=_purpose(each))


_PURPOSES = {
    "LimitRange": "what containers get that ask for nothing",
    "NetworkPolicy": "pods of other instances cannot reach this one's",
    "RoleBinding": "says whose Helm may work here",
}


def _purpose(manifest: Manifest) -> str:
    if manifest["kind"] == "ResourceQuota":
        return ", ".join(f"{key} {value}" for key, value in manifest["spec"]["hard"].items())
    return _PURPOSES[manifest["kind"]]


def _left_around(found: Found, work: Work, plan: Plan) -> Iterator[Planned]:
    for each in surroundings.around(work, plan):
        theirs = _theirs(each, found, work)
        why = f"{', '.join(theirs)} of others stands there" if theirs else _unfit(each, found, plan)
        if why:
            yield Planned(object=str(Ref.to(each)), what=f"is not made: {why}")
    level = (found.namespace["metadata"].get("labels") or {}).get(_LEVEL)
    if level != plan.pod_security:
        yield Planned(
            object=f"Namespace {work.namespace}",
            what=f"Pod Security stays {level or 'as the cluster has it'}: the next upgrade sets {plan.pod_security}",
        )


def _left_secrets(found: Found, work: Work, plan: Plan) -> Iterator[Planned]:
    there = {each["metadata"]["name"]: each for each in found.secrets}
    for secret in plan.secrets:
        ref = f"Secret {work.namespace}/{secret.name}"
        if secret.name not in there:
            yield Planned(object=ref, what="is not there: the next upgrade makes it")
        elif manifests.release_of(there[secret.name]) == work.release:
            yield Planned(
                object=ref,
                what="is the release's own, and not marked: an upgrade is refused until the plan's has another name",
            )
        elif isinstance(secret, Copied):
            yield Planned(
                object=ref,
                what="is kept as it is: an upgrade that would copy over it is refused (SecretIsData)",
            )


def _left_volumes(revision: Revision, work: Work) -> Iterable[Planned]:
    return [
        Planned(
            object=str(Ref.to(each)._replace(namespace=work.namespace)),
            what="forgets to keep its volumes: an uninstall asks first (WouldLoseData) until the instance was upgraded",
        )
        for each in revision.manifest
        if manifests.forgets_data(each)
    ]
