"""What became of the mutants that `mutation.py` had tried: scores, survivors, and which of these have a reason.

Of a package whose tests take long only a sample is tried. A mutant that was not tried counts for nothing.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ACCEPTED = Path(__file__).with_name("mutation-accepted.toml")

NOTICED = {1, 3, -24, 24, 152, 255, 36}
"""Exit codes of tests that noticed a mutant: they failed, or ran for longer than the code itself ever does."""

UNNOTICED = {0, 5, 33}
"""All tests passed, or none runs the code at all."""

_MUTANT = re.compile(r"(?P<function>.+)__mutmut_(?P<number>\d+|orig)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Change(NamedTuple):
    """What a mutant changed: equal changes at one place are one survivor to accept."""

    place: str
    """Module and function, e.g. ``model/release.py decide``: lines move, this does not."""
    was: str
    now: str


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed."""

    change: Change
    line: int
    exit_code: int

    def __str__(self) -> str:
        module, _, function = self.change.place.partition(" ")
        return "\n".join(
            [
                f"{module}:{self.line} {function}{'' if self.exit_code == 0 else ' (no test runs it)'}",
                *(f"  - {line}" for line in self.change.was.splitlines()),
                *(f"  + {line}" for line in self.change.now.splitlines()),
            ]
        )


@dataclass(frozen=True)
class Scored:
    """One module's mutants."""

    module: str
    mutants: int
    """How many there are."""
    killed: list[Change]
    survivors: list[Survivor]
    odd: dict[str, int | None]
    """Mutants of which it cannot be told, with the exit code of their tests."""
    untried: list[Change]
    """Those that are not in the sample."""

    @property
    def tried(self) -> int:
        """How many the tests were run against."""
        return self.mutants - len(self.untried)

    @property
    def score(self) -> float:
        """Percent of those tried that the tests noticed."""
        return 100.0 * len(self.killed) / self.tried if self.tried else 100.0


@dataclass(frozen=True)
class Laid:
    """Where a module lies, as it is and as the tool has mutated it."""

    module: str
    source: Path
    mutated: Path

    @classmethod
    def out(cls, stage: Path, module: str) -> Laid:
        """A module of the copy that the tool works on."""
        return cls(module, stage / "innkeeper" / module, stage / "mutants" / "innkeeper" / module)

    def told(self) -> dict[str, int | None]:
        """The mutants by their names, with the exit codes of their tests; None for those not tried."""
        codes: dict[str, int | None] = json.loads(Path(f"{self.mutated}.meta").read_text())["exit_code_by_key"]
        return codes


# What became of the mutants


def scored(laid: Laid) -> Scored:
    """What became of a module's mutants."""
    told = laid.told()
    changes = dict(changes_of(laid.module, laid.mutated.read_text(), laid.source.read_text()))
    survivors: list[Survivor] = []
    odd: dict[str, int | None] = {}
    killed: list[Change] = []
    untried: list[Change] = []
    for key, code in told.items():
        change, line = changes[key.rpartition(".")[2]]
        if code is None:
            untried.append(change)
        elif code in UNNOTICED:
            survivors.append(Survivor(change, line, code))
        elif code in NOTICED:
            killed.append(change)
        else:
            odd[key] = code
    return Scored(laid.module, len(told), killed, sorted(survivors, key=lambda each: each.line), odd, untried)


def changes_of(module: str, mutated: str, source: str) -> Iterator[tuple[str, tuple[Change, int]]]:
    """What each mutant changed and in which line, by the mutant's name."""
    texts = {name: _text(mutated, node) for name, node in functions(ast.parse(mutated)) if _MUTANT.fullmatch(name)}
    starts = {name: node.lineno for name, node in functions(ast.parse(source))}
    for name, text in texts.items():
        told = _MUTANT.fullmatch(name)
        if told is None or told["number"] == "orig":
            continue
        function = told["function"].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        offset, was, now = _difference(texts[f"{told['function']}__mutmut_orig"], text)
        yield name, (Change(f"{module} {function}", was, now), starts[function] + offset)


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions and methods by their names; a mutant's is its own, wherever it stands."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, Function):
                    yield each.name if _MUTANT.fullmatch(each.name) else f"{node.name}.{each.name}", each


def _text(source: str, node: Function) -> list[str]:
    first, *rest = source.splitlines()[node.lineno - 1 : node.end_lineno]
    return [first.replace(node.name, "_"), *rest]


def _difference(before: list[str], after: list[str]) -> tuple[int, str, str]:
    """Where two versions first differ, counted from their first line, and the lines that do."""
    first = 0
    was: list[str] = []
    now: list[str] = []
    for tag, start, end, begin, stop in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        if tag != "equal":
            first = first or start
            was += before[start:end]
            now += after[begin:stop]
    return first, "\n".join(map(str.strip, was)), "\n".join(map(str.strip, now))


def accepted() -> dict[Change, str]:
    """The survivors that are no gap, each with the reason.

    Raises:
        SystemExit: one is without a reason, or is there twice.
    """
    found: dict[Change, str] = {}
    for each in tomllib.loads(ACCEPTED.read_text()).get("accepted", []):
        change = Change(each["place"], each["was"], each["now"])
        if not each.get("why", "").strip() or change in found:
            raise SystemExit(f"mutation: {ACCEPTED.name} has {change} twice, or without a reason")
        found[change] = each["why"]
    return found


def total_of(results: Sequence[Scored]) -> Scored:
    """All modules as one."""
    return Scored(
        "all",
        sum(each.mutants for each in results),
        [change for each in results for change in each.killed],
        [survivor for each in results for survivor in each.survivors],
        {name: code for each in results for name, code in each.odd.items()},
        [change for each in results for change in each.untried],
    )


def report(results: Sequence[Scored], reasons: dict[Change, str], floor: float, unexplained: Path) -> bool:
    """Print scores and survivors, and write those without a reason to a file; whether all is as it should be."""
    total = total_of(results)
    new = [each for each in total.survivors if each.change not in reasons]
    modules = {each.module for each in results}
    met = {*(each.change for each in total.survivors), *total.untried}
    stale = [change for change in reasons if change.place.split()[0] in modules and change not in met]
    print(f"{'module':<28}{'mutants':>9}{'tried':>9}{'killed':>9}{'survived':>10}{'accepted':>10}{'score':>10}")
    for each in [*results, total]:
        taken = sum(survivor.change in reasons for survivor in each.survivors)
        counts = f"{each.mutants:>9}{each.tried:>9}{len(each.killed):>9}{len(each.survivors):>10}{taken:>10}"
        print(f"{each.module:<28}{counts}{each.score:>8.1f} %")
    for title, told in (
        ("Survivors that are not accepted", [str(each) for each in new]),
        ("Accepted, and noticed by now: remove them from the list", [f"{c.place}\n  + {c.now}" for c in stale]),
        ("Mutants of which it cannot be told", [f"{name}: exit code {code}" for name, code in total.odd.items()]),
    ):
        if told:
            print(f"\n{title} ({len(told)}):\n\n" + "\n".join(told))
    if total.score < floor:
        print(f"\nThe score is below {floor:g} %.")
    unexplained.write_text("".join(map(_in_toml, dict.fromkeys(each.change for each in new))))
    return not (new or stale or total.odd) and total.score >= floor


def _in_toml(change: Change) -> str:
    """An entry for the list of accepted ones, without its reason."""
    fields = {**change._asdict(), "why": ""}
    return "[[accepted]]\n" + "".join(f"{name} = {json.dumps(text)}\n" for name, text in fields.items()) + "\n"
