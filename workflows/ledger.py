"""The ledger of one operation: how to take back each of its steps, and the walk that does it, the newest first."""

from __future__ import annotations

from typing import Any, NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from ..activities.namespaces import Namespaces
    from ..activities.workloads import Workloads
    from ..model.catalog import Deadlines
    from ..model.endings import NOTHING_OF_OURS
    from ..model.errors import Cause
    from ..model.messages import Choice, Ready, StepState, Work

from . import calls, causes
from .calls import Activity
from .journal import Journal
from .parking import Parking


class Undo(NamedTuple):
    """An entry of the ledger: how to take back one step."""

    step: str
    activity: Activity[Any]
    settles: bool = False
    """It takes nothing back, but finds ready again what ran: for a row that is to say so."""


class Ledger:
    """The undos registered so far, each before its step began, so that it accepts that its step was never made."""

    def __init__(self, journal: Journal, parking: Parking) -> None:
        self.ready: Ready | None = None
        """What an undo found to run, None while none looked."""
        self.sure = False
        """An undo has seen the instance to be as its row said: all that ran is ready, or no pod is left."""
        self.taken_back = False
        """All was taken back; what is left, if anything, is that nothing has found the instance ready again."""
        self._journal = journal
        self._parking = parking
        self._entries: list[Undo] = []

    def register(self, step: str, undo: Activity[Any], *, settles: bool = False) -> None:
        """Have something done when the ledger is walked: the last registered is done first."""
        self._entries.append(Undo(step, undo, settles))

    def clear(self) -> None:
        """Nothing is to be taken back any more."""
        self._entries.clear()

    async def walk(self, work: Work, deadlines: Deadlines, *, settled: bool) -> list[str]:
        """Take back all; each undo is tried although another failed. Returns what is left behind.

        Args:
            work: the operation's.
            deadlines: its plan's.
            settled: the row is to say afterwards what it said before.
        """
        left: list[str] = []
        aborted = False
        self.taken_back = True
        while self._entries:
            entry = self._entries.pop()
            if entry.settles and not settled:
                continue
            cause = None if aborted else await self._undo(entry, work, deadlines)
            # Where there is nothing of ours any more, nothing can be found ready, however often an operator says so.
            while cause is not None and cause.code not in NOTHING_OF_OURS:  # pragma: no branch  # python/cpython#106749
                choice = await self._parking.ask(entry.step, cause, undo=True, within=deadlines.decision)
                aborted = choice is Choice.ABORT
                if choice is not Choice.RETRY:
                    break
                cause = await self._undo(entry, work, deadlines)
            if cause is not None or aborted:
                why = cause.message if cause else "not undone, as was decided"
                self._journal.say(entry.step, StepState.LEFT_BEHIND, why)
                left.append(f"{entry.step}: {why}")
                self.taken_back = self.taken_back and entry.settles
        return left

    async def _undo(self, entry: Undo, work: Work, deadlines: Deadlines) -> Cause | None:
        """Try one undo; why it failed, None where nothing is left of the step."""
        self._journal.say(entry.step, StepState.UNDOING)
        try:
            undone = await calls.undo(entry.step, entry.activity, work, within=deadlines.longest)
        except ActivityError as error:
            cause = causes.cause_of(error, f"undo of {entry.step}")
            if entry.settles or cause.code not in NOTHING_OF_OURS:
                return cause
            self._journal.say(entry.step, StepState.UNDONE, cause.message)
        else:
            self._journal.say(entry.step, StepState.UNDONE)
            self.ready = undone if isinstance(undone, Ready) else self.ready
            self.sure = self.sure or entry.settles or entry.activity == Workloads.halt
        return None

    async def survey(self, work: Work) -> list[str]:
        """What this operation made that is still there, object by object, or that this cannot be told."""
        try:
            return await calls.attempt("survey", Namespaces.survey, work, within=60)
        except ActivityError as error:
            return [f"what else is there could not be listed: {causes.cause_of(error, 'survey').message}"]
