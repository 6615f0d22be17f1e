"""The kinds of drift, what each says, and how soon somebody should look."""

from __future__ import annotations

from enum import StrEnum


class HowBad(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Policy(StrEnum):
    """What is to be done about a finding."""

    REPORT = "report"
    REPAIR = "repair"
    """A repair is asked for, once for each finding."""
    ASK = "ask"
    """An operator is asked."""


class What(StrEnum):
    """The kinds of findings."""

    NAMESPACE_MISSING = "namespace-missing"
    RELEASE_MISSING = "release-missing"
    RELEASE_UNSETTLED = "release-unsettled"
    RELEASE_BY_HAND = "release-by-hand"
    CHART_VERSION = "chart-version"
    PLAN_OUTDATED = "plan-outdated"
    PLAN_UNKNOWN = "plan-unknown"
    STATUS_WRONG = "status-wrong"
    TRANSITION_STUCK = "transition-stuck"
    WORKLOAD_MISSING = "workload-missing"
    REPLICAS_CHANGED = "replicas-changed"
    IMAGE_CHANGED = "image-changed"
    NOT_READY = "not-ready"
    PARTLY_READY = "partly-ready"
    HOOK_FAILED = "hook-failed"
    QUOTA_MISSING = "quota-missing"
    QUOTA_CHANGED = "quota-changed"
    LIMITS_MISSING = "limits-missing"
    LIMITS_CHANGED = "limits-changed"
    POLICY_MISSING = "policy-missing"
    POLICY_CHANGED = "policy-changed"
    SECRET_MISSING = "secret-missing"  # noqa: S105  # a word for people
    SECRET_CHANGED = "secret-changed"  # noqa: S105
    RELEASE_UNOWNED = "release-unowned"
    NAMESPACE_UNOWNED = "namespace-unowned"
    VOLUME_UNOWNED = "volume-unowned"

    @property
    def how_bad(self) -> HowBad:
        """How soon somebody should look."""
        return _MEANINGS[self][0]

    @property
    def is_repairable(self) -> bool:
        """Whether a repair mends it without a person's judgement."""
        return self in _REPAIRABLE

    @property
    def meaning(self) -> str:
        """What it says, in a few words."""
        return _MEANINGS[self][1]


_MEANINGS = {
    What.NAMESPACE_MISSING: (HowBad.ERROR, "the instance's namespace is gone, with its data"),
    What.RELEASE_MISSING: (HowBad.ERROR, "the row says that there is a release, and none is deployed"),
    What.RELEASE_UNSETTLED: (HowBad.WARNING, "the newest revision failed, or a Helm died at it"),
    What.RELEASE_BY_HAND: (HowBad.WARNING, "somebody upgraded the release, or rolled it back, by hand"),
    What.CHART_VERSION: (HowBad.WARNING, "another version of the chart is deployed than the plan names"),
    What.PLAN_OUTDATED: (HowBad.INFO, "chart or values of the plan were changed since the release was made"),
    What.PLAN_UNKNOWN: (HowBad.WARNING, "the row's plan is in the catalog no more"),
    What.STATUS_WRONG: (HowBad.ERROR, "the row's status is not what the cluster shows"),
    What.TRANSITION_STUCK: (HowBad.ERROR, "the row says that an operation is under way, and none is"),
    What.WORKLOAD_MISSING: (HowBad.ERROR, "a workload of the release was deleted"),
    What.REPLICAS_CHANGED: (HowBad.WARNING, "a workload was scaled by hand"),
    What.IMAGE_CHANGED: (HowBad.WARNING, "a container's image was changed by hand"),
    What.NOT_READY: (HowBad.ERROR, "the row says that the instance runs, and no pod of a workload is ready"),
    What.PARTLY_READY: (HowBad.WARNING, "fewer pods of a workload are ready than it asks for"),
    What.HOOK_FAILED: (HowBad.WARNING, "a hook of the newest revision failed"),
    What.QUOTA_MISSING: (HowBad.WARNING, "the plan's quota is gone, or the one that keeps a stopped instance stopped"),
    What.QUOTA_CHANGED: (HowBad.WARNING, "the quota is not the plan's"),
    What.LIMITS_MISSING: (HowBad.WARNING, "the plan's limits are gone"),
    What.LIMITS_CHANGED: (HowBad.WARNING, "the limits are not the plan's"),
    What.POLICY_MISSING: (HowBad.WARNING, "the network policy that isolates the instance is gone"),
    What.POLICY_CHANGED: (HowBad.WARNING, "network policy or Pod Security level are not the plan's"),
    What.SECRET_MISSING: (HowBad.ERROR, "a Secret of the plan, or a key of it, is gone"),
    What.SECRET_CHANGED: (HowBad.WARNING, "somebody else wrote a Secret that is generated once"),
    What.RELEASE_UNOWNED: (HowBad.WARNING, "a release that no row knows"),
    What.NAMESPACE_UNOWNED: (HowBad.INFO, "an instance's namespace that no row knows"),
    What.VOLUME_UNOWNED: (HowBad.WARNING, "a kept volume that no row knows"),
}

_REPAIRABLE = frozenset(
    {
        What.RELEASE_MISSING,
        What.RELEASE_UNSETTLED,
        What.STATUS_WRONG,
        What.TRANSITION_STUCK,
        What.WORKLOAD_MISSING,
        What.REPLICAS_CHANGED,
        What.IMAGE_CHANGED,
        What.QUOTA_MISSING,
        What.QUOTA_CHANGED,
        What.LIMITS_MISSING,
        What.LIMITS_CHANGED,
        What.POLICY_MISSING,
        What.POLICY_CHANGED,
    }
)
"""Not those whose data is gone: what a repair makes in place of a namespace or a Secret, a person has to want. Nor pods
that are not ready: nothing differs that a repair could put back."""
