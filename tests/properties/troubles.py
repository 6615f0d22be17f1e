"""What can go wrong with one operation of a sequence: a call that fails, before or after its effect, or that hangs."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from innkeeper.gateways.faults import Faults, Hang, When
from innkeeper.model.errors import Conflict, Forbidden, ReleaseFailed, Unreachable

ERRORS: dict[str, BaseException] = {
    "unreachable": Unreachable("no answer"),
    "conflict": Conflict("somebody else wrote"),
    "forbidden": Forbidden("it is not allowed", fix="allow it"),
    "unforeseen": RuntimeError("odd"),
}

CALLS = (
    "cluster.get",
    "cluster.list_objects",
    "cluster.create",
    "cluster.apply",
    "cluster.patch",
    "cluster.delete",
    "helm.upgrade",
    "helm.rollback",
    "helm.uninstall",
    "db.claim",
    "db.finish",
)
"""Calls with an effect, or whose answer decides one."""

WITHIN_HELM = (
    "helm.upgrade.pending",
    "helm.upgrade.objects",
    "helm.upgrade.superseded",
    "helm.upgrade.deployed",
    "helm.rollback.pending",
    "helm.rollback.objects",
    "helm.rollback.deployed",
    "helm.uninstall.uninstalling",
    "helm.uninstall.objects",
)
"""Where a Helm can be killed."""


class Trouble(NamedTuple):
    """A call of one instance's operations that fails."""

    call: str
    error: str
    when: When = "before"
    times: int = 1
    skip: int = 0
    """Calls that are let pass first."""

    def befall(self, instance: str, faults: Faults) -> None:
        """Have it happen to the instance's next operations."""
        faults.fail(f"{instance} * {self.call}", self._error, times=self.times, when=self.when, skip=self.skip)

    @property
    def _error(self) -> BaseException:
        return ReleaseFailed("the chart says no") if self.error == "refused" else ERRORS[self.error]


class Hold(NamedTuple):
    """A call of one instance's operations that does not come back before it is let go."""

    call: str
    when: When = "before"
    skip: int = 0

    def befall(self, instance: str, faults: Faults) -> Hang:
        """Have it happen to the instance's next operations."""
        return faults.hang(f"{instance} * {self.call}", when=self.when, skip=self.skip)


_WHEN = st.sampled_from(("before", "after"))
_ONCE = st.just(1)
_FEW = st.integers(1, 3)
_ERROR = st.sampled_from(sorted(ERRORS))
_AT_ONCE = st.just(0)
_SOON = st.integers(0, 3)
_ANYWHERE = st.integers(0, 25)
"""An operation makes some twenty calls."""

TROUBLES = st.one_of(
    st.builds(Trouble, st.just("*"), _ERROR, _WHEN, _FEW, _ANYWHERE),
    st.builds(Trouble, st.sampled_from(CALLS), _ERROR, _WHEN, _FEW, _SOON),
    st.builds(Trouble, st.sampled_from(WITHIN_HELM), st.just("unreachable"), _WHEN, _ONCE, st.integers(0, 1)),
    st.builds(
        Trouble, st.sampled_from(("helm.upgrade", "helm.upgrade.objects")), st.just("refused"), _WHEN, _ONCE, _AT_ONCE
    ),
)

HOLDS = st.one_of(
    st.builds(Hold, st.just("*"), _WHEN, _ANYWHERE),
    st.builds(Hold, st.sampled_from(CALLS), _WHEN, _SOON),
)
