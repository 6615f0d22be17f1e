"""What a person is told about a parked operation: what cannot go on, until when, and the exact commands that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session import Session

if TYPE_CHECKING:
    from ..model.messages import Question


def commands(session: Session, instance: str, question: Question) -> list[str]:
    """One command an answer, each of which answers this question and no other."""
    told = []
    for choice in question.choices:
        told.append(f"  {session.hint('decide', instance, choice.value, '--question', question.id)}")
        told.append(f"    to {question.meaning(choice)}")
    return told


def how_to_answer(session: Session, instance: str, question: Question) -> list[str]:
    """The commands that answer, and what happens without an answer."""
    from . import tables

    until = tables.moment(question.answer_by)
    first = f"an operator is asked; {question.otherwise.value} is taken at {until} UTC, or now one of:"
    return [first, *commands(session, instance, question)]


def tell(session: Session, instance: str, question: Question | None) -> None:
    """Say what is asked and how it is answered, if anything is; nothing where a program reads."""
    if question is None:
        return
    session.say(f"parked: {question.headline}: {question.cause}", "bold yellow")
    for line in how_to_answer(session, instance, question):
        session.say(line)
