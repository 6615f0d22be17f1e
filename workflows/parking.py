"""Parking: an operation that cannot go on by itself asks an operator, and takes the safe answer when nobody comes.

What is asked can be found (the search attribute `InnkeeperParked`), is explained with the commands that answer it
(current details), and every answer is kept with who gave it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from ..model.errors import BadInput, Cause
    from ..model.messages import Choice, Decided, Decision, Question, StepState

from .journal import Journal

PARKED = SearchAttributeKey.for_bool("InnkeeperParked")

STEP_CHOICES = (Choice.RETRY, Choice.ABORT)
UNDO_CHOICES = (Choice.RETRY, Choice.SKIP, Choice.ABORT)

DEADLINE, REPLACED = "deadline", "replace"
"""Who decided where no person did."""

NOBODY = "nobody answered in time"


class Parking:
    """The questions of one operation, one at a time."""

    def __init__(self, instance: str, journal: Journal) -> None:
        self.question: Question | None = None
        self.decided: list[Decided] = []
        self._instance = instance
        self._journal = journal
        self._asked = 0
        self._answer: Decided | None = None
        self._gives_way = ""
        """Why no undo waits for an operator any more; empty while they do."""

    async def ask(self, step: str, cause: Cause, *, undo: bool, within: float) -> Choice:
        """Wait for an operator's choice, `within` seconds at the most, then take the safe one.

        A cancellation of the operation ends the waiting, unless an undo is what waits: compensation is not cancelled.
        """
        self._asked += 1
        now = workflow.now()
        self.question = Question(
            id=f"{'undo-' if undo else ''}{step}-{self._asked}",
            step=step,
            undo=undo,
            cause=cause,
            choices=list(UNDO_CHOICES if undo else STEP_CHOICES),
            asked_at=now,
            answer_by=now + timedelta(seconds=within),
            # Of an undo the others are still tried; of a step what can be taken back is.
            otherwise=Choice.SKIP if undo else Choice.ABORT,
        )
        self._journal.say(step, StepState.PARKED, str(cause))
        if undo and self._gives_way:
            self._take(self.question, Decision(choice=Choice.ABORT, operator=REPLACED, note=self._gives_way))
        workflow.upsert_search_attributes([PARKED.value_set(True)])
        self._journal.ask(self.question, self._instance)
        try:
            choice = await self._answered(self.question, within)
        except asyncio.CancelledError:
            # No `finally`: when a worker stops, it closes what waits here, outside of any workflow.
            self._close()
            raise
        self._close()
        return choice

    def _close(self) -> None:
        self.question = None
        self._answer = None
        workflow.upsert_search_attributes([PARKED.value_set(False)])
        self._journal.asked()

    async def _answered(self, question: Question, within: float) -> Choice:
        try:
            await workflow.wait_condition(
                lambda: self._answer is not None,
                timeout=timedelta(seconds=within),
                timeout_summary=f"then {question.otherwise} is taken for {question.id}",
            )
        except asyncio.TimeoutError:  # noqa: UP041  # what the SDK raises, which is another class before Python 3.11
            self._take(question, Decision(choice=question.otherwise, operator=DEADLINE, note=NOBODY))
        return self.decided[-1].choice

    def refuse(self, decision: Decision) -> Question:
        """Pass only a decision that answers what is asked now, which is returned.

        Raises:
            ApplicationError: of the type `BadInput`; says what is asked, if anything is.
        """
        question = self.question
        if question is None or self._answer is not None:
            raise _bad("decision", decision.choice, "answers nothing: the operation is not parked", "see what runs")
        if decision.question not in (None, question.id):
            raise _bad(
                "question", decision.question, f"is not what is asked now, which is {question.id}", "read it first"
            )
        if decision.choice not in question.choices:
            offered = ", ".join(question.choices)
            raise _bad("choice", decision.choice, f"is no answer to {question.id}", f"use one of: {offered}")
        return question

    def decide(self, decision: Decision) -> Decided:
        """Take an operator's decision, which `refuse` let pass."""
        return self._take(self.refuse(decision), decision)

    def give_way(self, because: str) -> None:
        """Ask about no undo any more: another request has the next turn, and begins from what is left behind.

        A step's question is ended by the cancellation that comes with it.
        """
        self._gives_way = because
        if self.question is not None and self.question.undo and self._answer is None:
            self._take(self.question, Decision(choice=Choice.ABORT, operator=REPLACED, note=because))

    def _take(self, question: Question, decision: Decision) -> Decided:
        decided = Decided(
            question=question.id,
            step=question.step,
            undo=question.undo,
            choice=decision.choice,
            operator=decision.operator,
            note=decision.note,
            at=workflow.now(),
        )
        self._answer = decided
        self.decided.append(decided)
        note = f": {decision.note}" if decision.note else ""
        self._journal.say(question.step, StepState.DECIDED, f"{decision.choice} by {decision.operator}{note}")
        return decided


def _bad(field: str, value: object, problem: str, fix: str) -> ApplicationError:
    cause = BadInput(field, str(value), problem, fix=fix).cause
    return ApplicationError(cause.message, cause, type="BadInput", non_retryable=True)
