"""From every state of Helm's storage follows one action, and none of them can end in a loop or touch a live Helm."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from revisions import LIMIT, NOW, YOUNG, history, revision

from innkeeper.model.release import (
    Action,
    Ambiguous,
    Install,
    Nothing,
    Revision,
    Rollback,
    RollbackThenUpgrade,
    State,
    UndoAction,
    Uninstall,
    UninstallAction,
    UninstallThenInstall,
    Upgrade,
    Wait,
    decide,
    decide_undo,
    decide_uninstall,
    is_in_flight,
    is_settled,
    running_revision,
)

WAIT = Wait(41.0, "")


def without_words(action: Action | UninstallAction | UndoAction) -> object:
    """The action without the sentences for people."""
    match action:
        case Wait(seconds, because):
            assert because
            return Wait(seconds, "")
        case Ambiguous(why):
            assert why
            return Ambiguous("")
    return action


@pytest.mark.parametrize(
    ("states", "action"),
    [
        ((), Install()),
        (("deployed",), Nothing()),
        (("deployed:other",), Upgrade()),
        (("superseded", "deployed"), Nothing()),
        (("superseded", "failed", "deployed"), Nothing()),
        (("superseded", "pending-upgrade", "deployed"), Nothing()),
        (("deployed", "failed"), Upgrade()),
        (("deployed", "failed", "failed"), Upgrade()),
        (("failed",), UninstallThenInstall()),
        (("failed", "failed"), UninstallThenInstall()),
        (("pending-install!",), WAIT),
        (("pending-install",), UninstallThenInstall()),
        (("failed", "pending-upgrade"), UninstallThenInstall()),
        (("superseded", "uninstalled", "pending-install"), UninstallThenInstall()),
        (("deployed", "pending-install"), RollbackThenUpgrade(1)),
        (("deployed", "pending-upgrade!"), WAIT),
        (("deployed", "pending-upgrade"), RollbackThenUpgrade(1)),
        (("superseded", "deployed", "pending-upgrade"), RollbackThenUpgrade(2)),
        (("superseded", "pending-upgrade"), RollbackThenUpgrade(1)),
        (("superseded", "superseded", "pending-upgrade"), RollbackThenUpgrade(2)),
        (("deployed", "pending-rollback!"), WAIT),
        (("deployed", "pending-rollback"), RollbackThenUpgrade(1)),
        (("superseded", "superseded", "failed"), RollbackThenUpgrade(2)),
        (("superseded",), RollbackThenUpgrade(1)),
        (("deployed", "deployed"), RollbackThenUpgrade(2)),
        (("deployed", "deployed", "failed"), RollbackThenUpgrade(2)),
        (("deployed", "unknown"), RollbackThenUpgrade(1)),
        (("unknown",), UninstallThenInstall()),
        (("uninstalling!",), WAIT),
        (("uninstalling",), UninstallThenInstall()),
        (("superseded", "uninstalling"), UninstallThenInstall()),
        (("uninstalled",), UninstallThenInstall()),
        (("deployed", "uninstalled"), UninstallThenInstall()),
    ],
)
def test_the_wanted_release_follows_from_what_helms_storage_shows(states: tuple[str, ...], action: Action) -> None:
    assert without_words(decide(history(*states), "m", NOW, LIMIT)) == action


@pytest.mark.parametrize(
    ("states", "action"),
    [
        ((), Nothing()),
        (("deployed",), Uninstall()),
        (("failed",), Uninstall()),
        (("pending-install!",), WAIT),
        (("pending-install",), Uninstall()),
        (("deployed", "pending-upgrade!"), WAIT),
        (("deployed", "pending-upgrade"), Uninstall()),
        (("uninstalling!",), WAIT),
        (("uninstalling",), Uninstall()),
        (("uninstalled",), Uninstall()),
        (("unknown",), Uninstall()),
    ],
)
def test_an_uninstall_only_goes_forward(states: tuple[str, ...], action: UninstallAction) -> None:
    assert without_words(decide_uninstall(history(*states), NOW, LIMIT)) == action
    assert without_words(decide_undo(history(*states), None, NOW, LIMIT)) == action


@pytest.mark.parametrize(
    ("former", "states", "action"),
    [
        (1, ("deployed",), Nothing()),
        (1, ("deployed", "failed:new"), Rollback(1)),
        (1, ("superseded", "deployed:new"), Rollback(1)),
        (1, ("superseded", "pending-upgrade:new!"), WAIT),
        (1, ("superseded", "pending-upgrade:new"), Rollback(1)),
        (1, ("superseded", "superseded:new", "pending-rollback"), Rollback(1)),
        (1, ("superseded", "superseded:new", "deployed"), Nothing()),
        (1, ("superseded", "deployed:new", "deployed"), Rollback(1)),
        (1, ("superseded:", "deployed:"), Nothing()),
        (2, ("superseded", "superseded", "failed:new"), Rollback(2)),
        (1, ("deployed", "uninstalling"), Rollback(1)),
        (1, (), Ambiguous("")),
        (7, ("deployed",), Ambiguous("")),
    ],
)
def test_an_undo_goes_back_to_the_revision_that_ran_before(
    former: int, states: tuple[str, ...], action: UndoAction
) -> None:
    assert without_words(decide_undo(history(*states), former, NOW, LIMIT)) == action


def test_a_revision_that_helm_has_forgotten_since_cannot_be_gone_back_to() -> None:
    told = decide_undo([revision(3, "deployed")], 1, NOW, LIMIT)
    assert told == Ambiguous("revision 1, which ran before, is no longer in Helm's history")
    assert decide_undo([], 1, NOW, LIMIT) == Ambiguous("the release is gone, although revision 1 ran before")


def recovered(*said: str | None, newest: str = "deployed") -> list[Revision]:
    """Storage that begins with revision 2; the text is Helm's description, None where an upgrade died."""
    states = ["pending-upgrade" if words is None else "superseded" for words in said[:-1]]
    texts = [words or "Preparing upgrade" for words in said]
    return [
        revision(version, state, "m" if text.startswith("Rollback") else "new", said=text)
        for version, (state, text) in enumerate(zip([*states, newest], texts, strict=True), start=2)
    ]


@pytest.mark.parametrize(
    ("storage", "action"),
    [
        (recovered(None, "Rollback to 1", None, "Rollback to 3", "by hand"), Rollback(5)),
        (recovered(None, "Rollback to 1", None, "Rollback to 3"), Nothing()),
        (recovered(None, "Rollback to 1", None), Rollback(3)),
        (recovered(None, "Rollback to 1", newest="failed"), Ambiguous("")),
        (recovered(None, "Rollback to 7", "by hand"), Ambiguous("")),
        (recovered(None, "Rollback to 2", "by hand"), Ambiguous("")),
    ],
)
def test_a_revision_that_helm_has_forgotten_is_gone_back_to_by_a_rollback_to_it_that_ran(
    storage: list[Revision], action: UndoAction
) -> None:
    assert without_words(decide_undo(storage, 1, NOW, LIMIT)) == action


def test_two_revisions_without_a_mark_are_not_taken_for_the_same_wish() -> None:
    unmarked = [revision(1, "superseded", ""), revision(2, "deployed", "")]
    assert decide_undo(unmarked, 1, NOW, LIMIT) == Rollback(1)


def test_the_order_in_which_revisions_are_listed_means_nothing() -> None:
    ordered = history("superseded", "deployed", "pending-upgrade")
    assert decide(reversed(ordered), "m", NOW, LIMIT) == decide(ordered, "m", NOW, LIMIT)
    assert not is_settled(reversed(ordered), "m")


@pytest.mark.parametrize(("age", "left"), [(0, 61.0), (-300, 61.0), (59, 2.0), (60, 1.0), (60.9, pytest.approx(0.1))])
def test_a_live_helm_is_given_its_whole_limit_whatever_the_clocks(age: float, left: float) -> None:
    live = [revision(1, "pending-install", changed=NOW - timedelta(seconds=age))]
    action = decide(live, "m", NOW, LIMIT)
    assert isinstance(action, Wait)
    assert action.seconds == left
    assert "revision 1 (pending-install)" in action.because


def test_a_helm_older_than_its_limit_is_dead() -> None:
    dead = [revision(1, "pending-install", changed=NOW - timedelta(seconds=61))]
    assert decide(dead, "m", NOW, LIMIT) == UninstallThenInstall()


def test_settled_is_one_deployed_revision_that_is_the_newest_and_as_wanted() -> None:
    assert is_settled(history("superseded", "deployed"), "m")
    assert not is_settled(history("superseded", "deployed"), "other")
    assert not is_settled(history("deployed", "deployed"), "m")
    assert not is_settled(history("deployed", "failed"), "m")
    assert not is_settled([], "m")


def test_what_runs_is_the_newest_deployed_revision() -> None:
    revisions = history("superseded", "deployed", "deployed", "failed")
    assert running_revision(reversed(revisions)) is revisions[2]
    assert running_revision(history("failed", "superseded")) is None


@pytest.mark.parametrize(
    ("states", "action"),
    [
        (("pending-install!",), UninstallThenInstall()),
        (("deployed", "pending-upgrade!"), RollbackThenUpgrade(1)),
        (("deployed", "pending-rollback!"), RollbackThenUpgrade(1)),
        (("deployed", "uninstalling!"), UninstallThenInstall()),
        (("deployed",), Nothing()),
        ((), Install()),
    ],
)
def test_who_is_alone_waits_for_nobody(states: tuple[str, ...], action: Action) -> None:
    assert decide(history(*states), "m", NOW, LIMIT, alone=True) == action


def test_who_is_alone_uninstalls_and_takes_back_at_once() -> None:
    pending = history("deployed", "pending-upgrade:new!")
    assert decide_uninstall(pending, NOW, LIMIT, alone=True) == Uninstall()
    assert decide_undo(pending, 1, NOW, LIMIT, alone=True) == Rollback(1)
    assert decide_undo(pending, None, NOW, LIMIT, alone=True) == Uninstall()


def test_only_the_newest_revision_shows_a_helm_at_work() -> None:
    assert is_in_flight(history("deployed", "pending-upgrade"))
    assert not is_in_flight(history("pending-upgrade", "deployed"))
    assert is_in_flight(history("superseded", "deployed", "pending-upgrade"))
    assert not is_in_flight(history("superseded", "pending-upgrade", "deployed"))
    assert not is_in_flight([])


STATES = st.sampled_from([state.value for state in State])
HISTORIES = st.lists(STATES.flatmap(lambda state: st.sampled_from([state, f"{state}!", f"{state}:other"])), max_size=6)


@given(HISTORIES)
def test_every_history_has_an_action(states: list[str]) -> None:
    revisions = history(*states)
    decide(revisions, "m", NOW, LIMIT)
    decide_uninstall(revisions, NOW, LIMIT)
    for former in (None, *range(1, len(states) + 2)):
        decide_undo(revisions, former, NOW, LIMIT)


@given(HISTORIES)
def test_success_is_only_reported_of_a_settled_release(states: list[str]) -> None:
    revisions = history(*states)
    assert (decide(revisions, "m", NOW, LIMIT) == Nothing()) == is_settled(revisions, "m")


@given(HISTORIES)
def test_nothing_is_done_while_a_helm_may_be_alive(states: list[str]) -> None:
    revisions = history(*states)
    live = bool(revisions) and revisions[-1].state.in_flight and revisions[-1].changed == YOUNG
    assert isinstance(decide(revisions, "m", NOW, LIMIT), Wait) == live
    assert isinstance(decide_uninstall(revisions, NOW, LIMIT), Wait) == live


def done(revisions: list[Revision], action: Action) -> list[Revision]:
    """The storage after an action that Helm carried out."""
    newest = revisions[-1].version if revisions else 0
    stale = [
        revision(each.version, "superseded" if each.state is State.DEPLOYED else each.state, each.mark)
        for each in revisions
    ]
    match action:
        case UninstallThenInstall():
            return []
        case RollbackThenUpgrade(to):
            mark = next(each.mark for each in revisions if each.version == to)
            return [*stale, revision(newest + 1, "deployed", mark)]
        case Install() | Upgrade():
            deployed = [each for each in revisions if each.state is State.DEPLOYED]
            assert not revisions or len(deployed) == 1
            return [*stale, revision(newest + 1, "deployed", "m")]
    raise AssertionError(action)


@given(HISTORIES)
def test_from_any_history_three_actions_lead_to_the_wanted_release(states: list[str]) -> None:
    revisions = [revision(each.version, each.state, each.mark) for each in history(*states)]
    for _ in range(3):
        action = decide(revisions, "m", NOW, LIMIT)
        if action == Nothing():
            return
        revisions = done(revisions, action)
    assert decide(revisions, "m", NOW, LIMIT) == Nothing()


def undone(revisions: list[Revision], action: UndoAction | UninstallAction) -> list[Revision]:
    """The storage after an undo's or an uninstall's action that Helm carried out."""
    match action:
        case Uninstall():
            return []
        case Rollback(to):
            stale = [
                revision(each.version, "superseded" if each.state is State.DEPLOYED else each.state, each.mark)
                for each in revisions
            ]
            mark = next(each.mark for each in revisions if each.version == to)
            return [*stale, revision(revisions[-1].version + 1, "deployed", mark, said=f"Rollback to {to}")]
    raise AssertionError(action)


@given(HISTORIES, st.none() | st.integers(1, 7))
def test_from_any_history_one_action_leads_back_or_a_person_has_to_look(states: list[str], former: int | None) -> None:
    revisions = [revision(each.version, each.state, each.mark) for each in history(*states)]
    action = decide_undo(revisions, former, NOW, LIMIT)
    if isinstance(action, Ambiguous):
        assert former not in (None, *(each.version for each in revisions))
    elif action != Nothing():
        assert decide_undo(undone(revisions, action), former, NOW, LIMIT) == Nothing()


@given(HISTORIES)
def test_from_any_history_one_action_leads_to_no_release(states: list[str]) -> None:
    revisions = [revision(each.version, each.state, each.mark) for each in history(*states)]
    action = decide_uninstall(revisions, NOW, LIMIT)
    assert (action == Nothing()) == (not revisions)
    if revisions:
        assert decide_uninstall(undone(revisions, action), NOW, LIMIT) == Nothing()
