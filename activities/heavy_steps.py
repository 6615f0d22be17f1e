"""Which steps are heavy: they run Helm, or make many requests. They have a task queue of their own.

A worker takes few of them at once. What it cannot do yet is better left in a queue. There the tenants have their turns,
what is begun goes ahead of what is not, and waiting costs nothing; a step that a worker has taken gives a sign of life
every other second, each of which is a write of Temporal's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Step = TypeVar("Step", bound=Callable[..., Any])

_MARK = "__innkeeper_is_heavy__"

STEPS_A_HELM = 2
"""Steps of one worker at once for each Helm that it may run: one in it, and one before or after."""

AHEAD = 2
"""Temporal's priority of a heavy step whose operation had one before, where others have 3: a worker with a thousand
requests ends what it began before it begins more, so that an operation's turn is a turn at all of its steps."""


def heavy(step: Step) -> Step:
    """Say so of an activity."""
    setattr(step, _MARK, True)
    return step


def is_heavy(step: Callable[..., Any]) -> bool:
    """Whether it was said of the activity."""
    return bool(getattr(step, _MARK, False))


def queue_of(task_queue: str) -> str:
    """The queue of the heavy steps, beside the one of workflows and all other steps."""
    return f"{task_queue}-heavy"
