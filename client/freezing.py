"""The part of the client that freezes: what automatic repairs, or everything, shall leave alone for a while."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from ..model import names
from ..model.errors import BadInput
from ..model.freezes import Freeze, Scope
from .rows import RowsSource

CLUSTER = "default"
"""The one cluster that there is so far."""


class Freezing:
    """Freezes and thaws (extra `rows`, the service role's key)."""

    def __init__(self, rows: RowsSource) -> None:
        self._rows = rows

    async def freeze(
        self,
        name: str | None = None,
        *,
        plan: str | None = None,
        cluster: bool = False,
        everything: bool = False,
        operator: str = "",
        note: str = "",
    ) -> Freeze:
        """Let neither drift nor the sweep ask for repairs of an instance, of a plan's instances, or of a whole cluster.

        With `everything`, operations that people ask for are refused, too; what runs already goes on. What is frozen
        already is said anew.

        Raises:
            BadInput: not exactly one of name, plan and cluster is given, or there is no such instance.
            MissingExtra: the extra `rows` is not installed.
            Unreachable: the database does not answer.
        """
        scope, what = _one(name, plan, cluster=cluster)
        if scope is Scope.INSTANCE and await (await self._rows.open()).instance(what) is None:
            raise BadInput("name", name, "is no instance", fix="see which there are: `innkeeper list`")
        try:
            wanted = Freeze(
                scope=scope, name=what, everything=everything, operator=operator, note=note, frozen_at=datetime.now(UTC)
            )
        except ValidationError as error:
            wrong = error.errors()[0]
            raise BadInput(str(wrong["loc"][0]), wrong["input"], "is not usable", fix=wrong["msg"]) from None
        await (await self._rows.open_freezes()).freeze(wanted)
        found = [each for each in await self.freezes() if (each.scope, each.name) == (scope, what)]
        return found[0] if found else wanted

    async def unfreeze(self, name: str | None = None, *, plan: str | None = None, cluster: bool = False) -> bool:
        """End a freeze; False where there is none. Raises as `freeze` does."""
        scope, what = _one(name, plan, cluster=cluster)
        return await (await self._rows.open_freezes()).unfreeze(scope, what)

    async def freezes(self) -> list[Freeze]:
        """All freezes, the oldest first."""
        return await (await self._rows.open_freezes()).freezes()


def _one(name: str | None, plan: str | None, *, cluster: bool) -> tuple[Scope, str]:
    if [name is not None, plan is not None, cluster].count(True) != 1:
        raise BadInput(
            "name", name, "is not the one thing to freeze", fix="give a name, a plan, or cluster: one of them"
        )
    if name is not None:
        return Scope.INSTANCE, names.normalise(name)
    return (Scope.PLAN, plan) if plan is not None else (Scope.CLUSTER, CLUSTER)
