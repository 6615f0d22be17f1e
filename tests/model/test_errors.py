"""Errors say what, where and what to do, and never more text than is good."""

from __future__ import annotations

from innkeeper.model.errors import LONGEST_TEXT, BadInput, Busy, Cause, NotOurs, OperationFailed, Transient


def test_an_error_reads_as_message_object_and_fix() -> None:
    error = NotOurs("the namespace is taken", object="Namespace inn-acme", fix="use another name")
    assert str(error) == "the namespace is taken (Namespace inn-acme) Fix: use another name"
    assert error.cause.code == "NotOurs"


def test_an_object_that_the_message_names_is_not_told_twice() -> None:
    assert str(Cause(code="x", message="Pod a/b crashed", object="Pod a/b")) == "Pod a/b crashed"


def test_foreign_text_is_capped() -> None:
    assert len(Transient("x" * 10_000).cause.message) == LONGEST_TEXT


def test_an_answer_carries_the_cause_that_crossed_temporal() -> None:
    cause = Cause(code="ImagePull", message="no such image", object="Pod a/b", fix="correct the tag")
    answer = OperationFailed.of(cause)
    assert isinstance(answer, OperationFailed)
    assert answer.cause == cause
    assert not isinstance(answer, Busy)


def test_bad_input_keeps_its_words_when_it_crosses_temporal() -> None:
    told = BadInput("choice", "skip", "is no answer to ready-1", fix="use one of: retry, abort")
    again = BadInput.of(told.cause)
    assert (again.cause, str(again), again.field) == (told.cause, str(told), "choice")
