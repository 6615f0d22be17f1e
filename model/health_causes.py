"""What makes a workload fail for good, read from its pods and from what the API server refused to its controller.

Kept apart from `health`, which says how far a workload has come: here are the reasons, with the words for people.
The reasons are those of the kubelet (`pkg/kubelet/images/types.go`, `pkg/kubelet/kuberuntime`) and of admission (quota,
Pod Security); kstatus knows only some of them. What may pass by itself is in `health_delays`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .errors import Cause
from .ports import Manifest, Ref

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)

LONGEST_REASON = 600
"""Characters of the cluster's own words that go into a message."""

_NO_ACCOUNT_YET = re.compile(r"error looking up service account|serviceaccount .* not found")
_STOPPED_QUOTA = re.compile(r"limited: (?:\S*,)?pods=0(?!\d)")
_QUOTA = re.compile(r"exceeded quota: ([^,\s]+)")


def condition(obj: Manifest, kind: str) -> dict[str, Any]:
    """The status condition of this type; empty where there is none."""
    for found in obj.get("status", {}).get("conditions") or ():
        if found.get("type") == kind:
            return dict(found)
    return {}


def finished(pod: Manifest) -> bool:
    """The pod has ended and will not run again; its controller replaces it where one is wanted."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def explained(code: str, obj: Manifest, what: str, message: str, fix: str) -> Cause:
    """A cause in the words of this module: the object, what is wrong, and the cluster's own reason, capped."""
    ref = Ref.to(obj)
    told = f" ({message.strip()[:LONGEST_REASON]})" if message.strip() else ""
    return Cause(code=code, message=f"{ref.kind} {ref.name}: {what}{told}.", object=str(ref), fix=fix)


def pod_failure(pod: Manifest, *, crashes_count: bool = True) -> Cause | None:
    """Why this pod will not come up without a person; None while it may.

    With `crashes_count` false a crash loop is left to the pod's controller (a Job has its backoffLimit).
    """
    for container, waiting, status in _waiting(pod):
        reason, message = waiting.get("reason"), waiting.get("message", "")
        if reason in IMAGE_REASONS:
            image = status.get("image") or _image(pod, container)
            return explained(
                "ImagePull",
                pod,
                f"container {container} cannot get its image {image}: {reason}",
                message,
                "check the image's name and tag, and that the cluster's nodes may pull it (imagePullSecrets)",
            )
        if reason == "CreateContainerConfigError":
            return explained(
                "ContainerConfig",
                pod,
                f"container {container} cannot be configured: {reason}",
                message,
                "create the Secret or ConfigMap that is named, or correct the name or key in the plan's values",
            )
        if reason == "CrashLoopBackOff" and crashes_count:
            return _crash_loop(pod, container, status)
    return None


def refusal(obj: Manifest, message: str) -> Cause | None:
    """Why the API server will go on refusing pods to this controller; None where waiting may help.

    Waiting helps where a namespace is too young to have its service account, and where the quota is still seen as
    the one of a stopped instance (`pods: 0`, which no plan has): admission reads quotas from a cache.
    """
    if _NO_ACCOUNT_YET.search(message) or _STOPPED_QUOTA.search(message) or "is being terminated" in message:
        return None
    quota = _QUOTA.search(message)
    if quota:
        what = f"quota {quota[1]} does not allow its pods"
        return explained("QuotaExceeded", obj, what, message, "raise the plan's quota, or ask for less in its values")
    if "violates PodSecurity" in message:
        return explained(
            "PodSecurity",
            obj,
            "its pods violate the namespace's Pod Security level",
            message,
            "correct the chart's securityContext through the plan's values, or lower the plan's Pod Security level",
        )
    if "forbidden" in message or "is invalid" in message:
        what = "the API server refuses its pods"
        return explained("PodRefused", obj, what, message, "correct what the message names")
    return None


def _crash_loop(pod: Manifest, container: str, status: dict[str, Any]) -> Cause:
    last = status.get("lastState", {}).get("terminated") or {}
    ended = f", last exit code {last['exitCode']}" if "exitCode" in last else ""
    why = f" ({last['reason']})" if last.get("reason") not in (None, "Error", "Completed") else ""
    meta = pod["metadata"]
    logs = f"kubectl logs --previous -n {meta['namespace']} {meta['name']} -c {container}"
    times = f" after {status['restartCount']} restarts" if status.get("restartCount") else ""
    return explained(
        "CrashLoop",
        pod,
        f"container {container} keeps crashing{times}{ended}{why}",
        "",
        f"read its log: {logs}",
    )


def _waiting(pod: Manifest) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    status = pod.get("status", {})
    for field in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(field) or ():
            waiting = one.get("state", {}).get("waiting")
            if waiting:
                yield one["name"], waiting, one


def _image(pod: Manifest, container: str) -> str:
    spec = pod.get("spec", {})
    for field in ("initContainers", "containers"):
        for one in spec.get(field) or ():
            if one["name"] == container:
                return str(one.get("image", ""))
    return ""
