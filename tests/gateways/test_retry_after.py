"""A Retry-After is read in both of its forms, and what cannot be read asks for nothing."""

from __future__ import annotations

import pytest

from innkeeper.gateways.retry_after import retry_after

NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Wed, 21 Oct 2026 07:29:30 GMT", 90.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
    ],
)
def test_seconds_and_dates_are_read(wish: str, seconds: float) -> None:
    assert retry_after({"Date": NOW, "Retry-After": wish}) == seconds


@pytest.mark.parametrize("wish", ["", "soon", "-1", "1.5", "9999999", "Wed, 35 Oct 2026 07:28:00 GMT", "Wed"])
def test_what_cannot_be_read_asks_for_nothing(wish: str) -> None:
    assert retry_after({"Date": NOW, "Retry-After": wish}) is None


def test_a_date_without_the_answers_own_asks_for_nothing() -> None:
    assert retry_after({"Retry-After": NOW}) is None
    assert retry_after({}) is None
