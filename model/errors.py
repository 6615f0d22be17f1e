"""The one tree of errors, so that a failure says the same thing in a log, a row, a workflow and a terminal.

InnkeeperError
├── Permanent                 trying again changes nothing: the operation compensates
│   ├── BadInput              what was asked cannot be; nothing was touched
│   │   ├── DuplicateName     the name is taken
│   │   └── IllegalTransition the instance's status does not allow it
│   ├── NotOurs               an object in the way does not carry this instance's mark
│   ├── AlreadyExists         a create met an object of the same name
│   ├── Forbidden             the cluster, the database or a policy said no
│   ├── ReleaseFailed         Helm said no
│   ├── NeverReady            a workload failed for good
│   └── Superseded            a later operation claimed the instance: every further effect stops
├── Transient                 trying again may help
│   ├── Unreachable           a part did not answer
│   ├── Conflict              the object changed between reading and writing
│   └── Pending               the world is on its way, and was not there within the step's deadline
└── Answer                    what a client is told about its request
    ├── Busy                  another operation runs on the instance
    ├── Refused               the operation refused the request; nothing was touched
    ├── OperationFailed       the operation ended undone, or left something behind
    └── MissingExtra          the installation lacks an optional part
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from .messages import OperationResult

LONGEST_TEXT = 2_000
"""Characters of a foreign text that reach a cause: long answers may quote values that are nobody's business."""


LATER = "Later"
"""The type of what a fast call is told by a part that wants to be left alone for more than a moment."""


class Cause(BaseModel):
    """Why something failed, for a person: what, on which object, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    """Stable and machine-readable, e.g. ``ImagePull`` or ``NotOurs``."""
    message: str
    """One sentence that says what failed."""
    object: str = ""
    """The object it failed on, e.g. ``Pod inn-acme/web-0``; empty where there is none."""
    fix: str = ""
    """What a person can do; empty only where trying again is all there is."""

    def __str__(self) -> str:
        where = f" ({self.object})" if self.object and self.object not in self.message else ""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.message}{where}{fix}"


class InnkeeperError(Exception):
    """The root of everything this package raises on purpose."""

    code: str = ""

    def __init__(self, message: str, *, code: str = "", object: str = "", fix: str = "") -> None:
        self.cause = Cause(
            code=code or self.code or type(self).__name__,
            message=message[:LONGEST_TEXT],
            object=object,
            fix=fix[:LONGEST_TEXT],
        )
        super().__init__(str(self.cause))

    @classmethod
    def of(cls, cause: Cause) -> Self:
        """The error with a cause that is known already: one that crossed Temporal, or another error's."""
        return cls(cause.message, code=cause.code, object=cause.object, fix=cause.fix)


class Permanent(InnkeeperError):
    """Trying again changes nothing."""


class BadInput(Permanent):
    """What was asked cannot be; nothing was touched. Names the field, the value and the fix."""

    def __init__(self, field: str, value: object, problem: str, *, fix: str, code: str = "") -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 200 else shown[:197] + "..."
        super().__init__(f"{field}: {shown} {problem}.", code=code, fix=fix)
        self.field = field

    @classmethod
    def of(cls, cause: Cause) -> Self:
        """The same error from a cause that crossed Temporal, as it was worded there."""
        error = cls.__new__(cls, str(cause))
        error.cause, error.field = cause, cause.message.partition(":")[0]
        return error


class DuplicateName(BadInput):
    """The name is taken, by this tenant or another."""


class IllegalTransition(BadInput):
    """The instance's status does not allow what was asked."""


class NotOurs(Permanent):
    """An object in the way does not carry this instance's mark, so it is neither adopted nor deleted."""


class AlreadyExists(Permanent):
    """A create met an object of the same name; read it to see whose it is."""


class Forbidden(Permanent):
    """The cluster, the database or a policy refused."""


class ReleaseFailed(Permanent):
    """Helm refused or failed; the message is Helm's own, capped."""


class NeverReady(Permanent):
    """A workload failed for good: the reason and the object are in the cause."""


class Superseded(Permanent):
    """A later operation claimed the instance; nothing of this one may be written any more."""


class Transient(InnkeeperError):
    """Trying again may help; `retry_after` is the answering part's own wish, in seconds."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        object: str = "",
        fix: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, object=object, fix=fix)
        self.retry_after = retry_after


class Unreachable(Transient):
    """A part did not answer, or answered that it cannot now."""


class Conflict(Transient):
    """The object changed between reading and writing: read again."""


class Pending(Transient):
    """The world was on its way to what was wanted, and was not there within the deadline."""


class Answer(InnkeeperError):
    """What a client is told about its request."""


class Busy(Answer):
    """Another operation runs on the instance; nothing was touched."""


class Refused(Answer):
    """The operation refused the request; nothing was touched."""


class OperationFailed(Answer):
    """The operation ended without what was asked; the cause says why and what is left."""

    result: OperationResult | None = None
    """The end of the operation in full; None where the run ended abnormally, e.g. was terminated by hand."""


class MissingExtra(Answer):
    """This installation lacks an optional part of the package."""
