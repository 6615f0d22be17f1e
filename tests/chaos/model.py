"""What the world must be after an operation and a fault, told without the product: a state machine of ten facts.

An effect that was lost, repeated, or cut off by a death must leave what the operation leaves that nothing happened to.
One that is not allowed must leave the operation undone; or, where there is no undo, or the undo is what is not allowed,
left behind, after an operator was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from innkeeper.model.instance import TRANSITIONS, Kind, Status

from .effects import Effect, Fault
from .scenarios import CATALOG, STARTER, Done, Scenario
from .world import NONE, World

CLAIMS, SECRETS = "PersistentVolumeClaim", "Secret"

GENERATED = "cluster.create Secret credentials"
LIFTED = "cluster.delete ResourceQuota innkeeper-stopped"
HELD = "cluster.create ResourceQuota innkeeper-stopped"
WEB, DB = "cluster.patch Deployment web", "cluster.patch StatefulSet db"

ALWAYS_TRIED = frozenset({"db.claim", "db.finish"})
"""What was claimed must be given back and what ended be written: a refusal by the database is tried again for ever."""


class _Any:
    """Equal to everything: a fact that the model leaves open."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANY: Any = _Any()


@dataclass(frozen=True)
class State:
    """An instance as the model knows it."""

    status: str = NONE
    plan: str = NONE
    pending: bool = False
    namespace: bool = False
    theirs: bool = False
    """The namespace is somebody's, and has no marks."""
    release: str = NONE
    version: int = 0
    web: int = 0
    """Wanted replicas; of db there is one where this is not 0."""
    db: int = 0
    remembered: frozenset[str] = frozenset()
    no_pods: bool = False
    around: str = NONE
    data: frozenset[str] = frozenset()
    operations: tuple[str, ...] = ()

    @property
    def up(self) -> State:
        """All that the release wants."""
        return replace(self, web=CATALOG[self.release].web, db=1, remembered=frozenset(), no_pods=False)

    @property
    def down(self) -> State:
        """Stopped, and remembered."""
        return replace(self, web=0, db=0, remembered=frozenset({"web", "db"}), no_pods=True)

    def released(self, plan: str) -> State:
        """Brought to a plan, in one revision more."""
        around = replace(self, namespace=True, plan=plan, around=plan, pending=False)
        return replace(around, release=plan, version=self.version + 1, data=frozenset({CLAIMS, SECRETS})).up


AS_ADOPTED = "NetworkPolicy, ResourceQuota of 20 pods, none"
"""What stands around a release that was adopted: Pod Security is for an upgrade to set."""

BY_HAND = State(
    namespace=True, theirs=True, release=STARTER, version=1, web=CATALOG[STARTER].web, db=1, data=frozenset({CLAIMS})
)


def start_of(scenario: Scenario) -> State:
    """The state in which the operation under test begins."""
    state = BY_HAND if scenario.by_hand else State()
    for done in scenario.start:
        if done.lost_after is None:
            state = ended(done_of(state, done.kind, done.plan), done.kind, "done")
        else:
            state = _lost(state, done)
    return state


def _lost(state: State, done: Done) -> State:
    """Claimed and begun; the row tells of it for ever, unless somebody repairs it."""
    begun = replace(state, status=TRANSITIONS[done.kind].during.value, plan=done.plan or state.plan)
    if done.lost_after and done.kind in (Kind.PROVISION, Kind.UPGRADE):
        begun = replace(begun, namespace=True, around=begun.plan, data=state.data | {SECRETS})
    return ended(begun, done.kind, "running")


def ended(state: State, kind: Kind, outcome: str) -> State:
    """With the operation's record; what was still running is superseded by it."""
    before = tuple(each.replace(" running", " superseded") for each in state.operations)
    return replace(state, operations=(*before, f"{kind} {outcome}"))


def done_of(state: State, kind: Kind, plan: str | None) -> State:
    """The state after an operation that came to its good end."""
    if kind is Kind.REPAIR:
        return _repaired(state)
    if kind is Kind.UPGRADE and state.status == Status.STOPPED:
        return replace(state, plan=plan or state.plan, pending=True)
    after = replace(state, status=TRANSITIONS[kind].after.value)
    match kind:
        case Kind.PROVISION | Kind.UPGRADE:
            return after.released(plan or state.plan)
        case Kind.ADOPT:
            data = state.data | {SECRETS}
            return replace(after, plan=plan or state.plan, theirs=False, around=AS_ADOPTED, data=data)
        case Kind.STOP:
            return after.down
        case Kind.START | Kind.RESTART:
            return after.released(state.plan) if state.pending else after.up
        case Kind.UNINSTALL:
            gone = replace(after, release=NONE, version=0, web=0, db=0, no_pods=False)
            return replace(gone, remembered=frozenset())
        case Kind.PURGE:
            return replace(State(), status=after.status, plan=state.plan, operations=state.operations)
    raise AssertionError(kind)


_DURING = {transition.during.value: kind for kind, transition in TRANSITIONS.items()}


def lost_kind(state: State) -> Kind | None:
    """What was lost, where a repair finds a transitional status."""
    return _DURING.get(state.status)


def _repaired(state: State) -> State:
    lost = lost_kind(state)
    return state if lost is None else done_of(state, lost, state.plan)


def undone_of(state: State, scenario: Scenario, happened: Sequence[str]) -> State:
    """The state after an operation that was refused something for good.

    Args:
        state: as it was before.
        scenario: what was asked.
        happened: the labels of its effects until then.
    """
    kind, ran = scenario.kind, 2 if "helm.upgrade" in happened else 0
    claimed = replace(state, status="error", plan=scenario.plan or state.plan)
    match kind:
        case Kind.PROVISION if not state.namespace:
            return _back_to_nothing(claimed, happened)
        case Kind.ADOPT:
            return ended(replace(claimed, status="purged"), kind, "undone")
        case Kind.UPGRADE:
            return ended(replace(state, version=state.version + ran), kind, "undone")
        case Kind.START | Kind.RESTART if state.pending:
            # Its surroundings may be those of the plan that waits: nothing runs in them.
            return ended(replace(claimed, version=state.version + ran, around=ANY), kind, "undone")
        case Kind.UNINSTALL | Kind.PURGE:
            return ended(_partly(claimed, happened), kind, "left_behind")
        case Kind.REPAIR:
            return _unrepaired(claimed, state, happened)
    return ended(claimed, kind, "undone")


def _back_to_nothing(state: State, happened: Sequence[str]) -> State:
    made = {label for label in happened if label in (GENERATED, "helm.upgrade")}
    data = frozenset({SECRETS, CLAIMS} if "helm.upgrade" in made else {SECRETS} if made else set())
    # What generated data is in is not taken back.
    return ended(replace(state, namespace=bool(data), data=data), Kind.PROVISION, "undone")


def _unrepaired(claimed: State, before: State, happened: Sequence[str]) -> State:
    """Only what belongs around and to the release is taken back; what else was held to the row belongs there."""
    lost = lost_kind(before)
    left = before.status == Status.STOPPED or lost in (Kind.STOP, Kind.UNINSTALL, Kind.PURGE)
    if "helm.upgrade" in happened:
        version = claimed.version + 2 if claimed.version else 0
        claimed = replace(claimed, version=version, data=claimed.data | {CLAIMS})
    # The wish of an upgrade that was lost stays open.
    state = replace(_partly(claimed, happened), pending=claimed.pending or lost is Kind.UPGRADE)
    return ended(state, Kind.REPAIR, "left_behind" if left else "undone")


def _partly(state: State, happened: Sequence[str]) -> State:
    """What these effects changed, where nobody takes it back."""
    for label in happened:
        was_up = state.web or state.db
        if label == LIFTED:
            state = replace(state, no_pods=False)
        elif label == HELD:
            state = replace(state, no_pods=True)
        elif label == WEB:
            state = _scaled(state, "web", 0 if was_up and state.web else CATALOG[state.release].web)
        elif label == DB:
            state = _scaled(state, "db", 0 if was_up and state.db else 1)
    return state


def _scaled(state: State, name: str, replicas: int) -> State:
    remembered = state.remembered - {name} if replicas else state.remembered | {name}
    return replace(state, remembered=remembered, **{name: replicas})  # type: ignore[arg-type]


def expected(scenario: Scenario, fault: Fault, effect: Effect, happened: Sequence[str]) -> World:
    """The one world that is right after a fault; open in what may differ."""
    start = start_of(scenario)
    kind = scenario.kind
    if scenario.refused:
        world = told(scenario, start, undone_of(start, scenario, [*happened, scenario.refused]), failed=True)
        if fault is Fault.PERMANENT and effect.label not in ALWAYS_TRIED:
            return _undo_refused(world, kind)
    elif fault is Fault.PERMANENT and effect.label not in ALWAYS_TRIED:
        world = told(scenario, start, undone_of(start, scenario, happened), failed=True)
        world = world._replace(asked=_asked(scenario, start))
    else:
        world = told(scenario, start, ended(done_of(start, kind, scenario.plan), kind, "done"), failed=False)
    recovered = effect.inner or fault is Fault.KILLED_WITHIN
    return world._replace(version=ANY) if recovered and world.version else world


def _asked(scenario: Scenario, start: State) -> str:
    """Uninstall and purge, and a repair that does their work, ask before they give up."""
    kind = lost_kind(start) if scenario.kind is Kind.REPAIR else scenario.kind
    return "abort by deadline" if kind in (Kind.UNINSTALL, Kind.PURGE) else ""


def _undo_refused(world: World, kind: Kind) -> World:
    """An undo was not allowed: whatever stands is named, and the data is what it was."""
    return world._replace(
        status="error",
        cause=True,
        plan=ANY,
        # What an upgrade went back to is not known: the row's plan is still to be released.
        pending=world.pending or kind is Kind.UPGRADE,
        operations=(*world.operations[:-1], f"{kind} left_behind"),
        asked="skip by deadline",
        release=ANY,
        version=ANY,
        replicas=ANY,
        remembered=ANY,
        rolled=ANY,
        pods=ANY,
        renewed=ANY,
        no_pods=ANY,
        around=ANY,
        # A Secret that is still marked is one more that counts as data.
        **({"marked": ANY, "data": ANY} if kind is Kind.ADOPT else {}),
    )


def told(scenario: Scenario, start: State, state: State, *, failed: bool) -> World:
    """A state as the world shows it, to whoever knows how it was before."""
    running = state.status in (Status.RUNNING, Status.ERROR) or state.theirs
    return World(
        status=state.status,
        generation=len(state.operations),
        cause=state.status == Status.ERROR,
        plan=state.plan,
        pending=state.pending,
        operations=state.operations,
        asked="",
        temporal="failed" if failed else "completed",
        agrees="yes",
        namespace=NONE if not state.namespace else "same" if start.namespace else "new",
        marked=state.namespace and not state.theirs,
        release=state.release,
        version=state.version,
        replicas=_replicas(state),
        remembered=_remembered(state),
        rolled="db, web" if scenario.kind is Kind.RESTART and not failed else NONE,
        pods="all" if running and not state.no_pods and state.web + state.db else ANY if _torn(state) else NONE,
        # Whatever becomes of an adoption, no pod is replaced.
        renewed=ANY if failed and not start.theirs else _renewed(scenario.kind, start, state),
        no_pods=state.no_pods,
        around=state.around,
        data=_data(start.data, state.data),
        foreign="untouched" if start.namespace and state.namespace else "gone" if start.namespace else NONE,
        unnamed=NONE,
    )


def _torn(state: State) -> bool:
    """Stopped in part, where nothing of it is taken back: pods of before may run on."""
    return state.no_pods and bool(state.web + state.db)


def _replicas(state: State) -> str:
    return NONE if state.release == NONE else f"db {state.db}, web {state.web}"


def _remembered(state: State) -> str:
    if state.release == NONE:
        return NONE
    wanted = {"db": 1, "web": CATALOG[state.release].web}
    return ", ".join(f"{name} {wanted[name]}" for name in sorted(state.remembered)) or NONE


def _renewed(kind: Kind, start: State, state: State) -> str:
    ran, runs = start.web + start.db, state.web + state.db
    if not runs:
        return NONE
    if not ran or kind is Kind.RESTART:
        return "new"
    return "same" if ran == runs else "some"


def _data(before: frozenset[str], now: frozenset[str]) -> str:
    if before - now:
        return "all lost"
    made = ", ".join(sorted(now - before))
    words = [*(["kept"] if before else []), *([f"made {made}"] if made else [])]
    return " and ".join(words) or NONE
