"""Helm's stored revisions, as short words make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from innkeeper.model.release import Revision, State, described, pack

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMIT = 60.0
OLD = NOW - timedelta(seconds=600)
YOUNG = NOW - timedelta(seconds=20)


def revision(
    version: int, state: str, mark: str = "m", changed: datetime = OLD, manifest: str = "", said: str | None = None
) -> Revision:
    """A stored revision; `said` is Helm's description, None: that of one which an operation made."""
    description = described(mark) if said is None else said
    return Revision(
        release="acme",
        namespace="inn-acme",
        version=version,
        state=State(state),
        mark=mark,
        changed=changed,
        secret=f"sh.helm.release.v1.acme.v{version}",
        packed=pack({"manifest": manifest, "info": {"description": description}}),
    )


def history(*states: str) -> list[Revision]:
    """One revision a state, the first as number 1; ``state:mark`` has another mark, ``state!`` was just written."""
    found = []
    for version, text in enumerate(states, start=1):
        state, _, mark = text.rstrip("!").partition(":")
        found.append(revision(version, state, mark or "m", YOUNG if text.endswith("!") else OLD))
    return found
