"""What a sweep asks for and how it counts: any number of sweeps ask once for the same lost operation."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import Request
from innkeeper.model.names import LONGEST_NAME, check_request_id
from innkeeper.model.sweeps import MOST_NAMED, Look, Swept, is_lost, repair_of

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def row(name: str = "acme", *, status: Status = Status.STOPPING, generation: int = 4) -> Instance:
    return Instance(
        name=name,
        tenant="t1",
        plan="starter",
        namespace=f"inn-{name}",
        release=name,
        status=status,
        generation=generation,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def test_a_lost_operation_is_answered_with_a_repair_in_the_name_of_its_tenant() -> None:
    assert repair_of(row()) == Request(
        kind=Kind.REPAIR, instance="acme", request_id="sweep-acme-4", tenant="t1", plan=None, asked_by="sweep"
    )


@given(st.tuples(st.sampled_from(["a", "a-1", "b"]), st.integers(1, 30)), st.tuples(st.just("a"), st.integers(1, 30)))
def test_two_repairs_have_one_request_id_only_for_one_generation_of_one_instance(
    one: tuple[str, int], other: tuple[str, int]
) -> None:
    ids = [check_request_id(repair_of(row(name, generation=n)).request_id) for name, n in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


@pytest.mark.parametrize("status", list(Status))
def test_a_row_that_still_waits_under_the_same_generation_is_lost(status: Status) -> None:
    assert is_lost(row(), row(status=status)) is not status.settled


def test_a_row_that_is_gone_or_was_claimed_since_is_not_lost() -> None:
    assert not is_lost(row(), None)
    assert not is_lost(row(), row(generation=5))


@pytest.mark.parametrize(
    ("look", "swept"),
    [
        (Look("a"), Swept(looked_at=1, busy=1)),
        (Look("a", asked=True), Swept(looked_at=1, asked=1, repairs=["a"])),
        (Look("a", failure="no answer"), Swept(looked_at=1, failed=1, failures=["a: no answer"])),
        (Look("a", held=True), Swept(looked_at=1, held=1)),
    ],
)
def test_each_row_counts_once(look: Look, swept: Swept) -> None:
    assert look.swept == swept


LOOKS = st.builds(
    Look, st.sampled_from("abc"), st.booleans(), st.sampled_from(["", "no answer"]), st.booleans()
).filter(lambda look: [look.asked, look.failure != "", look.held].count(True) <= 1)


@given(st.lists(LOOKS, max_size=70))
def test_every_row_is_counted_and_the_first_are_named_in_order(looks: list[Look]) -> None:
    swept = reduce(Swept.plus, (look.swept for look in looks), Swept())
    repairs = [look.instance for look in looks if look.asked]
    failures = [f"{look.instance}: {look.failure}" for look in looks if look.failure]
    held = sum(look.held for look in looks)
    assert swept == Swept(
        looked_at=len(looks),
        busy=len(looks) - len(repairs) - len(failures) - held,
        held=held,
        asked=len(repairs),
        failed=len(failures),
        repairs=repairs[:MOST_NAMED],
        failures=failures[:MOST_NAMED],
    )


def test_no_more_are_named_than_a_person_reads() -> None:
    many = reduce(
        Swept.plus, (Look(f"i{n}", asked=n % 2 == 0, failure="" if n % 2 == 0 else "x").swept for n in range(60))
    )
    assert (many.asked, many.failed, len(many.repairs), len(many.failures)) == (30, 30, 20, 20)


def test_the_longest_name_still_makes_a_request_id() -> None:
    longest = row(name="a" * LONGEST_NAME, generation=10**18)
    assert check_request_id(repair_of(longest).request_id)
