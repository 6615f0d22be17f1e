"""What an operation knows of itself is there when it is asked for: before that, asking is a defect."""

from __future__ import annotations

import pytest

from innkeeper.model.instance import Kind
from innkeeper.model.messages import Request
from innkeeper.workflows.saga import Saga


def test_a_step_before_the_claim_and_a_result_before_the_end_are_defects() -> None:
    saga = Saga(Request.of(Kind.STOP, "acme", request_id="r1"))
    with pytest.raises(RuntimeError, match="a step before the claim"):
        _ = saga.work
    with pytest.raises(RuntimeError, match="an operation without an end"):
        _ = saga.result
