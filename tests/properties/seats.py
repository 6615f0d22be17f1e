"""What a sequence knows of each of its instances while it is played."""

from __future__ import annotations

from dataclasses import dataclass, field

from innkeeper.client import OperationHandle
from innkeeper.gateways.faults import Hang
from innkeeper.model.messages import Question, Request

from .invariants import Seen


class Wrong(AssertionError):
    """The world is not as it must be; says where."""


@dataclass
class Seat:
    """One instance."""

    name: str
    handle: OperationHandle | None = None
    """The operation that runs: held, or parked."""
    request: Request | None = None
    before: Seen | None = None
    """The instance before that operation; None where one gave way to it."""
    hold: Hang | None = None
    question: Question | None = None
    next: Request | None = None
    lost: bool = False
    """An operation was terminated, and none has come to an end on the instance since."""
    asked: list[Request] = field(default_factory=list)
    generation: int = 0
    data: dict[str, str] = field(default_factory=dict)
    """The customer's data when it was last looked at."""

    @property
    def is_lost(self) -> bool:
        """Nothing runs that would take up what was terminated, not even an operation that is held at its beginning."""
        return self.lost and self.handle is None

    def demand(self, holds: bool, what: str) -> None:
        """Pass only if it holds.

        Raises:
            Wrong: it does not; names the instance.
        """
        if not holds:
            raise Wrong(f"{self.name}: {what}")

    def let_go(self) -> None:
        """Let the call that is held answer, or never be held."""
        if self.hold is not None:
            self.hold.release()
            self.hold = None
