"""All that can happen to two instances, as rules of which hypothesis makes sequences."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Awaitable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from in_memory import World

from innkeeper.model.instance import TRANSITIONS, Kind
from innkeeper.model.messages import Request

from .player import Player
from .seats import Seat
from .stage import playing
from .troubles import HOLDS, TROUBLES, Hold, Trouble

KINDS = [kind for kind in Kind if kind is not Kind.ADOPT]
"""What is asked here: an adoption begins from what somebody else has installed, which no sequence does."""

PLACES = st.sampled_from((0, 0, 0, 1))
PLANS = st.sampled_from(("starter", "starter", "crowded", "narrow", "careful"))
"""Two that can run, one that cannot, and one that cannot and asks what to do."""
MEETS = st.sampled_from(("reject", "wait", "replace"))
WAYS = st.sampled_from(("answer", "answer", "cancel", "terminate"))
OFTEN = st.sampled_from((True, True, True, False))
SELDOM = st.sampled_from((False, False, False, True))


class Sequences(RuleBasedStateMachine):
    """Two instances, one of which is provisioned first."""

    world: World
    loop: asyncio.AbstractEventLoop
    tally: Counter[str]
    player: Player

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.AsyncExitStack()
        self._broken = False

    def _do(self, doing: Awaitable[None]) -> None:
        async def done() -> None:
            await doing

        try:
            self.loop.run_until_complete(done())
        except BaseException:
            self._broken = True
            raise

    def _at(self, field: str) -> list[Seat]:
        """The seats of which something is so."""
        return [seat for seat in self.player.seats.values() if getattr(seat, field)]

    def _name(self, place: int) -> str:
        return list(self.player.seats)[place]

    def _legal(self, place: int) -> list[Kind]:
        """What may be asked of the instance, from the row's last settled status."""
        row = self.world.database.rows.get(self._name(place))
        if row is None:
            return [Kind.PROVISION]
        return [kind for kind in KINDS if row.settled in TRANSITIONS[kind].allowed_from]

    def _request(self, place: int, kind: Kind, plan: str) -> Request:
        takes_plan = kind in (Kind.PROVISION, Kind.UPGRADE)
        return Request.of(
            kind,
            self._name(place),
            request_id=uuid.uuid4().hex,
            tenant="t1" if kind is Kind.PROVISION else None,
            plan=plan if takes_plan else None,
        )

    @initialize(skips_time=st.booleans(), plan=PLANS)
    def open(self, skips_time: bool, plan: str) -> None:
        """The first instance is asked for, and how time passes from now on is settled."""

        async def opened() -> None:
            playing_it = playing(self.world, self.tally, skips_time=skips_time)
            self.player = await self._stack.enter_async_context(playing_it)

        self._do(opened())
        self._do(self.player.ask(self._request(0, Kind.PROVISION, plan), "reject", None, None))

    @rule(
        place=PLACES,
        pick=st.integers(0, 11),
        legal=OFTEN,
        plan=PLANS,
        meet=MEETS,
        trouble=st.none() | TROUBLES,
        hold=st.none() | HOLDS,
        twice=SELDOM,
    )
    def ask(
        self,
        place: int,
        pick: int,
        legal: bool,
        plan: str,
        meet: str,
        trouble: Trouble | None,
        hold: Hold | None,
        twice: bool,
    ) -> None:
        """A request, allowed or not, where nothing runs or something does; or asked twice under one id."""
        kinds = self._legal(place) if legal else KINDS
        # Hypothesis likes to repeat itself: what was asked before moves the choice on.
        turn = pick + sum(len(seat.asked) for seat in self.player.seats.values())
        request = self._request(place, kinds[turn % len(kinds)], plan)
        self._do(self.player.ask(request, meet, trouble, hold))
        if twice:
            self._do(self.player.again(request.instance))

    @precondition(lambda self: bool(self._at("handle")))
    @rule(place=PLACES, how=WAYS, answered=st.booleans(), pick=st.integers(0, 5))
    def go_on(self, place: int, how: str, answered: bool, pick: int) -> None:
        """What hangs answers, what asks is answered or not, or somebody cancels or terminates it."""
        busy = self._at("handle")
        seat = busy[place % len(busy)]
        if how == "cancel":
            self._do(self.player.cancel(seat.name, answered=answered))
        elif how == "terminate":
            self._do(self.player.terminate(seat.name, answered=answered))
        elif seat.question is None:
            self._do(self.player.let_go(seat.name))
        elif pick:
            self._do(self.player.decide(seat.name, seat.question.choices[pick % len(seat.question.choices)]))
        else:
            self._do(self.player.expire(seat.name))

    @precondition(lambda self: bool(self._at("is_lost")))
    @rule()
    def sweep(self) -> None:
        """The sweep comes by."""
        self._do(self.player.sweep())

    @precondition(lambda self: bool(self.player.watching.unplayed))
    @rule()
    def heal(self) -> None:
        """From now on everything works."""
        self._do(self.player.heal())

    def teardown(self) -> None:
        """Bring everything to its end, which must be possible from wherever the sequence has led."""

        async def closed() -> None:
            try:
                if not self._broken and hasattr(self, "player"):
                    await self.player.clean_up()
            finally:
                await self._stack.aclose()

        self.loop.run_until_complete(closed())


def play_one_of_each(world: World, loop: asyncio.AbstractEventLoop, tally: Counter[str]) -> None:
    """The one sequence that is not left to chance, nor to how often a busy machine looks: all that must be met.

    Raises:
        Wrong: an invariant does not hold.
    """
    machine = type("Here", (Sequences,), {"world": world, "loop": loop, "tally": tally})()

    def asks(
        place: int, kind: Kind, plan: str = "starter", *, trouble: Trouble | None = None, hold: Hold | None = None
    ) -> None:
        machine._do(machine.player.ask(machine._request(place, kind, plan), "reject", trouble, hold))

    try:
        machine.open(skips_time=False, plan="starter")
        asks(0, Kind.UPGRADE, "careful")
        machine.go_on(place=0, how="answer", answered=True, pick=1)
        asks(0, Kind.UPGRADE, "crowded")
        for kind in (Kind.STOP, Kind.START, Kind.RESTART):
            asks(0, kind)
        machine._do(machine.player.again(machine._name(0)))
        asks(1, Kind.PROVISION, trouble=Trouble("helm.upgrade", "refused"))
        asks(0, Kind.STOP, hold=Hold("cluster.patch"))
        machine.go_on(place=0, how="terminate", answered=True, pick=0)
        machine.sweep()
    finally:
        machine.teardown()


def play(world: World, loop: asyncio.AbstractEventLoop, sequences: int, *, steps: int = 10) -> Counter[str]:
    """Play so many sequences, the same ones each time unless the profile says otherwise; what happened, and how often.

    Raises:
        Wrong: an invariant does not hold. Only `make properties` looks for a shorter sequence that shows it.
    """
    tally: Counter[str] = Counter()
    machine = type("Here", (Sequences,), {"world": world, "loop": loop, "tally": tally})
    profile = settings()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            phases=[Phase.generate] if profile.derandomize else [Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return tally
