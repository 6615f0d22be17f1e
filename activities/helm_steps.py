"""Which steps run Helm. They have a task queue of their own, from which a worker takes few at once.

A step that a worker has taken gives a sign of life every other second, each of which is a write of Temporal's: a
hundred releases that wait for four Helms would cost as much again as they do. In a queue they cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Step = TypeVar("Step", bound=Callable[..., Any])

_MARK = "__innkeeper_runs_helm__"

STEPS_A_HELM = 2
"""Steps of one worker at once for each Helm that it may run: one in it, and one before or after."""


def runs_helm(step: Step) -> Step:
    """Say so of an activity."""
    setattr(step, _MARK, True)
    return step


def is_helm_step(step: Callable[..., Any]) -> bool:
    """Whether it was said of the activity."""
    return bool(getattr(step, _MARK, False))


def queue_of(task_queue: str) -> str:
    """The queue of the steps that run Helm, beside the one of workflows and all other steps."""
    return f"{task_queue}-helm"
