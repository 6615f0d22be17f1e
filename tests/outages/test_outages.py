"""A selection of outages on real parts: each part, each way, in the middle of an operation. `make outages` has all."""

from __future__ import annotations

from pathlib import Path

from innkeeper.embedded.options import Addresses

from .cells import named, play_all
from .rig import site_of

CELLS = (
    "provision/api-server/refused/middle/5",
    "stop/api-server/half-open/middle/5",
    "start/api-server/5xx/middle/5",
    "purge/api-server/429/middle/5",
    "restart/supabase/black-holed/end/5",
    "provision/supabase/5xx/begin/5",
    "stop/supabase/answers-cut/end/5",
    "upgrade-stopped/supabase/429/begin/5",
    "provision/temporal/refused/middle/8",
    "stop/temporal/half-open/middle/5",
    "repair-stop/temporal/answers-cut/middle/5",
)


async def test_what_an_operation_leaves_is_the_same_with_an_outage_in_its_middle(
    addresses: Addresses, tmp_path: Path
) -> None:
    async with site_of(addresses, tmp_path) as site:
        verdicts = await play_all(site, [named(name) for name in CELLS], at_once=len(CELLS))
    assert {str(verdict.cell): verdict.wrong for verdict in verdicts if verdict.wrong} == {}
    assert len(verdicts) == len(CELLS)
