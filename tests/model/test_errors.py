"""Errors say what, where and what to do, and never more text than is good."""

from __future__ import annotations

import pytest

from innkeeper.model.errors import (
    LONGEST_TEXT,
    BadInput,
    Busy,
    Cause,
    DuplicateName,
    NotOurs,
    OperationFailed,
    Transient,
    Unreachable,
)


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


def test_an_error_that_is_told_nothing_more_says_nothing_more() -> None:
    assert NotOurs("the namespace is taken").cause == Cause(code="NotOurs", message="the namespace is taken")
    assert Transient("no answer").cause == Cause(code="Transient", message="no answer")
    assert Transient("no answer").retry_after is None


def test_what_may_pass_keeps_the_code_the_object_the_fix_and_the_answering_parts_wish() -> None:
    error = Unreachable("no answer", code="Late", object="Pod a/b", fix="wait", retry_after=3.5)
    assert error.cause == Cause(code="Late", message="no answer", object="Pod a/b", fix="wait")
    assert error.retry_after == 3.5


def test_bad_input_names_the_field_the_value_and_the_fix() -> None:
    error = DuplicateName("name", "acme", "is taken", fix="use another name")
    assert error.cause == Cause(code="DuplicateName", message="name: 'acme' is taken.", fix="use another name")
    assert error.field == "name"
    assert BadInput("plan", None, "is missing", fix="name one", code="NoPlan").cause.code == "NoPlan"


@pytest.mark.parametrize(("length", "shown"), [(198, 198), (199, 196), (5_000, 196)])
def test_a_long_value_is_shown_from_its_beginning(length: int, shown: int) -> None:
    """A value is told as Python writes it, quotes included, in 200 characters at the most."""
    told = BadInput("name", "x" * length, "is too long", fix="shorten it").cause.message
    end = "'" if shown == length else "..."
    assert told == f"name: '{'x' * shown}{end} is too long."


def test_bad_input_keeps_its_words_when_it_crosses_temporal() -> None:
    told = BadInput("choice", "a: b", "is no answer to ready-1", fix="use one of: retry, abort", code="NoAnswer")
    again = BadInput.of(told.cause)
    assert (again.cause, str(again), again.field) == (told.cause, str(told), "choice")
