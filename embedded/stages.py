"""How the simulated nodes behave, as kwok's Stage documents (https://kwok.sigs.k8s.io/docs/user/stages-configuration/).

A pod is ready as soon as it is scheduled, a Job's pod then completes, a deleted pod goes at once, a claim gets a
volume and a load balancer an address. A chart under test can play what goes wrong, by a pod's annotation or, where a
chart lets only images be chosen, by an image ``faults.innkeeper.dev/<fault>``, which spoils that container only:

==========================================  =========================================================================
``kwok.innkeeper.dev/fault: image``         ErrImagePull, then ImagePullBackOff
``… crash``                                 the container exits with 1, then CrashLoopBackOff, restart after restart
``… init``                                  the same in the first init container
``… config``                                CreateContainerConfigError, as for a Secret that is missing
``… pending``                               creates its containers for ever
``… fail``                                  runs, then fails for good: phase Failed, exit code 1
``… slow``                                  runs, and is ready after 20 s
``kwok.innkeeper.dev/ready-after: 5s``      runs, and is ready that much later
``kwok.innkeeper.dev/runs-for: 5s``         how long a Job's pod, or one that fails, runs
``kwok.innkeeper.dev/stops-after: 5s``      how long a deleted pod stays
==========================================  =========================================================================

An unschedulable pod needs no fault: the scheduler is the real one, so it is enough to ask for more than a node has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import stage_templates as templates

PROVISIONER = "innkeeper.dev/simulated"
"""Of the storage class whose claims get a volume."""

Stage = dict[str, Any]

_MARK = "kwok.innkeeper.dev"
_FAULT = f'.metadata.annotations["{_MARK}/fault"]'
_IMAGES = ".spec | .initContainers[]?, .containers[] | .image"
_IMAGE_FAULT = f'{_IMAGES} | capture("^faults[.]innkeeper[.]dev/(?<fault>[a-z]+)") | .fault'
_FAULTS = f"{_FAULT} // ({_IMAGE_FAULT})"
_IS_SLOW = f'.metadata.annotations["{_MARK}/ready-after"] or ([{_FAULTS}] | index("slow"))'
_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
_WAITING = ".status.containerStatuses.[].state.waiting.reason"
_NEVER_READY = ("image", "crash", "init", "config", "pending")

_ALIVE = (".metadata.deletionTimestamp", "DoesNotExist", ())
_NOT_STARTED = (".status.startTime", "DoesNotExist", ())
_SOUND = (_FAULTS, "NotIn", _NEVER_READY)

Condition = tuple[str, str, Sequence[str]]


def documents() -> str:
    """All stages, as kwok's configuration file. JSON is YAML, and needs no care about indentation."""
    return "---\n".join(json.dumps(stage, indent=1) + "\n" for stage in [*_nodes(), *_pods(), *_faults(), *_others()])


def _nodes() -> list[Stage]:
    return [
        _stage("node-initialize", "Node", [(_READY, "NotIn", ["True"])], status=templates.NODE),
        _stage("node-heartbeat", "Node", [(_READY, "In", ["True"])], status=templates.HEARTBEAT, after=300_000),
    ]


def _pods() -> list[Stage]:
    ready_after = f'.metadata.annotations["{_MARK}/ready-after"] // (if {_IS_SLOW} then "20s" else "0s" end)'
    # A slow pod is due only when it is seen to run, so that the two stages never compete for it.
    due = f'if {_IS_SLOW} then (.status.startTime // "no") else "yes" end'
    runs_for = f'.metadata.annotations["{_MARK}/runs-for"]'
    running_ready: list[Condition] = [_ALIVE, (".status.phase", "In", ["Running"]), (_READY, "In", ["True"])]
    return [
        _stage(
            "pod-starting",
            "Pod",
            [_ALIVE, _SOUND, _NOT_STARTED, (f'if {_IS_SLOW} then "slow" else "fast" end', "In", ["slow"])],
            status=templates.running(ready=False),
        ),
        _stage(
            "pod-ready",
            "Pod",
            [
                _ALIVE,
                _SOUND,
                (".status.phase", "In", ["Pending", "Running"]),
                (_READY, "NotIn", ["True"]),
                (due, "NotIn", ["no"]),
            ],
            status=templates.running(ready=True),
            after_what=ready_after,
        ),
        _stage(
            "pod-complete",
            "Pod",
            [*running_ready, (_FAULTS, "NotIn", ["fail"]), (".metadata.ownerReferences.[].kind", "In", ["Job"])],
            status=templates.ended(exit_code=0),
            after_what=runs_for,
        ),
        _stage(
            "pod-fail",
            "Pod",
            [*running_ready, (_FAULTS, "In", ["fail"])],
            status=templates.ended(exit_code=1),
            after_what=runs_for,
        ),
        _stage(
            "pod-delete",
            "Pod",
            [(".metadata.deletionTimestamp", "Exists", ()), (".metadata.finalizers", "DoesNotExist", ())],
            does={"delete": True},
            after_what=f'.metadata.annotations["{_MARK}/stops-after"]',
        ),
    ]


def _faults() -> list[Stage]:
    terminated = ".status.containerStatuses.[].state.terminated.reason"
    return [
        _fault("image", "error", [_NOT_STARTED], templates.IMAGE_ERROR, says="Failed: Failed to pull image: not found"),
        _fault(
            "image",
            "back-off",
            [(_WAITING, "In", ["ErrImagePull"])],
            templates.IMAGE_BACK_OFF,
            after=500,
            says="BackOff: Back-off pulling image",
        ),
        _fault(
            "config", "error", [_NOT_STARTED], templates.CONFIG_ERROR, says='Failed: secret "credentials" not found'
        ),
        _fault("pending", "forever", [_NOT_STARTED], templates.CREATING),
        _fault("crash", "exit", [_NOT_STARTED], templates.CRASHED),
        _fault("crash", "back-off", [(terminated, "In", ["Error"])], templates.CRASH_LOOP, after=200, says=_BACK_OFF),
        _fault(
            "crash",
            "again",
            [(_WAITING, "In", ["CrashLoopBackOff"])],
            templates.CRASH_LOOP,
            after=10_000,
            says=_BACK_OFF,
        ),
        _fault("init", "back-off", [_NOT_STARTED], templates.INIT_CRASH_LOOP, says=_BACK_OFF),
    ]


_BACK_OFF = "BackOff: Back-off restarting failed container"


def _others() -> list[Stage]:
    """Volumes, by the protocol of a real provisioner, and load balancers."""
    by_us = ('.metadata.annotations["pv.kubernetes.io/provisioned-by"]', "In", [PROVISIONER])
    asked = ('.metadata.annotations["volume.kubernetes.io/storage-provisioner"]', "In", [PROVISIONER])
    return [
        _stage(
            "volume-provision",
            "PersistentVolumeClaim",
            [_ALIVE, asked, (".spec.volumeName", "DoesNotExist", ())],
            # The volume only, made for its claim: the controller manager binds the two. Binding them here as well
            # races with it, and the claim is then seen as Lost for a moment.
            steps=[{"apply": {"template": templates.VOLUME.replace("PROVISIONER", PROVISIONER)}}],
        ),
        _stage(
            "volume-delete",
            "PersistentVolume",
            [
                _ALIVE,
                by_us,
                (".spec.persistentVolumeReclaimPolicy", "In", ["Delete"]),
                (".status.phase", "In", ["Released"]),
            ],
            steps=[{"delete": True}],
        ),
        _stage(
            "load-balancer",
            "Service",
            [_ALIVE, (".spec.type", "In", ["LoadBalancer"]), (".status.loadBalancer.ingress", "DoesNotExist", ())],
            status="loadBalancer:\n  ingress:\n  - ip: 192.0.2.1\n",
        ),
    ]


def _fault(
    fault: str, name: str, when: Sequence[Condition], status: str, *, after: int = 0, says: str | None = None
) -> Stage:
    selectors = [_ALIVE, (_FAULTS, "In", [fault]), *when]
    return _stage(f"pod-{fault}-{name}", "Pod", selectors, status=status, after=after, says=says)


def _stage(
    name: str,
    kind: str,
    when: Sequence[Condition],
    *,
    status: str | None = None,
    does: Mapping[str, Any] | None = None,
    steps: Sequence[Mapping[str, Any]] | None = None,
    after: int = 0,
    after_what: str | None = None,
    says: str | None = None,
) -> Stage:
    """One document: for objects of `kind` that meet every condition, `after` milliseconds or what the object says."""
    spec: Stage = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {
            "matchExpressions": [
                {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
                for key, operator, values in when
            ]
        },
    }
    if after or after_what:
        spec["delay"] = {"durationMilliseconds": after}
        if after_what:
            spec["delay"]["durationFrom"] = {"expressionFrom": after_what}
    if steps is not None:
        spec["steps"] = list(steps)
    else:
        spec["next"] = {**(does or {}), **({"statusTemplate": status} if status else {})}
        if says:
            reason, message = says.split(": ", 1)
            spec["next"]["event"] = {"type": "Warning", "reason": reason, "message": message}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
