"""What a step is told of its operation, with the boring parts filled in, for tests of what is decided from it."""

from __future__ import annotations

from typing import Any

from innkeeper.model import names
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Work


def work(name: str = "acme", **told: Any) -> Work:
    """A provision of an instance of tenant t1 on plan starter, but for what is told."""
    usual = {
        "request_id": "r1",
        "kind": Kind.PROVISION,
        "tenant": "t1",
        "plan": "starter",
        "namespace": names.namespace_of(name),
        "release": names.release_of(name),
        "generation": 1,
    }
    return Work.model_validate({**usual, "instance": name, **told})
