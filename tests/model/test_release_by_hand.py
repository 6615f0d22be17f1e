"""What somebody made of a release by hand is told from what operations made, whatever its labels say."""

from __future__ import annotations

import pytest
from revisions import LIMIT, NOW, history, revision

from innkeeper.model.release import (
    Nothing,
    Rollback,
    RollbackThenUpgrade,
    Upgrade,
    decide,
    decide_undo,
    fallback,
    wish_of,
)

BY_HAND = "Upgrade complete"


@pytest.mark.parametrize(
    ("said", "wish"),
    [
        ([None], "m"),
        (["Install complete"], ""),
        ([None, BY_HAND], ""),
        ([None, BY_HAND, None], "m"),
        ([None, BY_HAND, "Rollback to 1"], "m"),
        ([None, BY_HAND, "Rollback to 2"], ""),
        ([None, BY_HAND, "Rollback to 1", "Rollback to 3"], "m"),
        ([None, "Rollback to 7"], ""),
        ([None, "Rollback to 2"], ""),
        ([None, "Rollback to 1 or so"], ""),
    ],
)
def test_a_label_is_believed_only_of_what_an_operation_made(said: list[str | None], wish: str) -> None:
    revisions = [revision(version, "superseded", said=words) for version, words in enumerate(said, start=1)]
    assert wish_of(revisions[-1], revisions) == wish


def test_what_somebody_upgraded_by_hand_is_upgraded_to_the_wish() -> None:
    revisions = [revision(1, "superseded"), revision(2, "deployed", said=BY_HAND)]
    assert decide(revisions, "m", NOW, LIMIT) == Upgrade()


def test_an_undo_goes_back_to_what_somebody_made_by_hand_once() -> None:
    revisions = [revision(1, "superseded"), revision(2, "superseded", said=BY_HAND), revision(3, "deployed", "other")]
    assert decide_undo(revisions, 2, NOW, LIMIT) == Rollback(2)
    back = [*revisions[:2], revision(3, "superseded", "other"), revision(4, "deployed", said="Rollback to 2")]
    assert decide_undo(back, 2, NOW, LIMIT) == Nothing()


@pytest.mark.parametrize(
    ("states", "known", "back"),
    [
        ((), None, None),
        ((), 1, None),
        (("deployed",), None, 1),
        (("superseded",), None, 1),
        (("superseded", "deployed"), None, 2),
        (("superseded", "deployed"), 1, 1),
        (("superseded", "deployed"), 7, 2),
        (("deployed", "failed"), 2, 1),
        (("failed",), 1, None),
        (("superseded", "pending-upgrade"), None, 1),
        (("superseded", "superseded", "failed"), 3, 2),
        (("superseded", "pending-rollback"), None, 1),
        (("superseded", "uninstalling"), None, None),
        (("superseded", "uninstalled"), None, None),
        (("superseded", "superseded", "uninstalled"), None, None),
        (("superseded", "pending-install"), None, None),
        (("deployed", "pending-install"), None, 1),
        (("deployed", "uninstalling"), None, 1),
    ],
)
def test_what_was_ready_once_is_gone_back_to_where_it_is_stored(
    states: tuple[str, ...], known: int | None, back: int | None
) -> None:
    assert fallback(history(*states), known) == back


@pytest.mark.parametrize("torn", ["pending-upgrade", "pending-rollback", "failed", "unknown"])
def test_what_is_recovered_is_what_is_gone_back_to(torn: str) -> None:
    storage = history("superseded", torn)
    assert decide(storage, "m", NOW, LIMIT) == RollbackThenUpgrade(1)
    assert decide_undo(storage, fallback(storage, None), NOW, LIMIT) == Rollback(1)


def test_an_undo_does_not_take_somebodys_upgrade_for_the_revision_before_it() -> None:
    revisions = [revision(1, "superseded"), revision(2, "deployed", said=BY_HAND)]
    assert decide_undo(revisions, 1, NOW, LIMIT) == Rollback(1)
