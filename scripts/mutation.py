"""Mutation testing (`make mutation`): how much of what the code decides is held by a test.

Each mutant is the code with one small change; a mutant that no test notices survives. Survivors that mean the same as
the code are accepted in `mutation-accepted.toml`, each with its reason; any other, and a reason without its survivor,
makes this fail. Prints the score of each module, and every survivor with its place and its change.

mutmut makes and tries the mutants. It takes a module's name from its path, and here the repository's root is the
package; and it leaves functions with decorators alone, properties and validators among them. So it gets a copy: laid
out as it likes, each decorator a call after its function, which means the same, and no line moved.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build" / "mutation"
ACCEPTED = Path(__file__).with_name("mutation-accepted.toml")

PACKAGES = ("activities", "cli", "client", "embedded", "gateways", "model", "workflows")

CONFTEST = '''"""The same examples for every mutant: what kills one kills it again."""

from hypothesis import Phase, settings

settings.register_profile(
    "mutation", database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mutation")
'''

NOTICED = {1, 3, -24, 24, 152, 255, 36}
"""Exit codes of tests that noticed a mutant: they failed, or ran for longer than the code itself ever does."""

UNNOTICED = {0, 5, 33}
"""All tests passed, or none runs the code at all."""

_MUTANT = re.compile(r"(?P<function>.+)__mutmut_(?P<number>\d+|orig)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Target(NamedTuple):
    """A package whose modules are mutated, and what is run against each mutant."""

    modules: tuple[str, ...]
    """Which are mutated where none is named."""
    tests: tuple[str, ...]
    support: tuple[str, ...]
    """What the tests need beside themselves."""
    floor: float
    """Percent of all mutants that the tests must kill, accepted survivors counted as survivors."""
    isolation: str = "fork"
    """How the tool begins a mutant's tests; `forkserver` where the tests before have left threads."""


TARGETS = {
    "model": Target(("model",), ("tests/model",), ("tests/support", "catalog.yaml"), 90.0),
}


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
    killed: int
    survivors: list[Survivor]
    odd: dict[str, int | None]
    """Mutants of which it cannot be told, with the exit code of their tests."""

    @property
    def score(self) -> float:
        """Percent that the tests noticed."""
        return 100.0 * self.killed / self.mutants if self.mutants else 100.0


# The copy that the tool works on


def stage(target: Target, modules: Sequence[str]) -> None:
    """Lay out the package, the tests and the tool's configuration anew."""
    shutil.rmtree(STAGE, ignore_errors=True)
    package = STAGE / "innkeeper"
    package.mkdir(parents=True)
    for path in ROOT.glob("*.py"):
        shutil.copy(path, package)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for module in modules:
        path = package / module
        path.write_text(undecorated(path.read_text()))
    for name in (*target.tests, *target.support):
        copy = STAGE / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / name, copy)
    (STAGE / "conftest.py").write_text(CONFTEST)
    (STAGE / "pyproject.toml").write_text(
        (ROOT / "pyproject.toml").read_text()
        + "\n".join(
            [
                "",
                "[tool.mutmut]",
                'source_paths = ["innkeeper"]',
                f"only_mutate = {[f'innkeeper/{module}' for module in modules]}",
                f"also_copy = {['conftest.py', *target.support]}",
                f"pytest_add_cli_args_test_selection = {list(target.tests)}",
                'pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:cov"]',
                "use_git_change_detection = false",
                f'process_isolation = "{target.isolation}"',
                "",
            ]
        )
    )


def undecorated(source: str) -> str:
    """The module with calls in place of decorators, line for line where it was.

    Raises:
        ValueError: there is no empty line after a function, which `make format` would have put there.
    """
    lines = source.splitlines()
    for function in decorated(ast.parse(source)):
        decorators = [ast.unparse(each) for each in function.decorator_list]
        if decorators in (["classmethod"], ["staticmethod"], ["overload"]):
            continue
        indent, value = " " * function.col_offset, function.name
        for each in reversed(decorators):
            value = f"{each}({value})"
        for number in range(function.decorator_list[0].lineno, function.lineno):
            lines[number - 1] = f"{indent}#"
        after = function.end_lineno or function.lineno
        if after == len(lines):
            lines.append("")
        if lines[after]:
            raise ValueError(f"line {after + 1}, after {function.name}, is not empty: run `make format`")
        lines[after] = f"{indent}{function.name} = {value}"
    return "\n".join(lines) + "\n"


def decorated(tree: ast.Module) -> Iterator[Function]:
    """The functions and methods with decorators; what is inside of functions is not looked at."""
    for node in tree.body:
        for each in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(each, Function) and each.decorator_list:
                yield each


def run(jobs: int) -> None:
    """Let the tool try every mutant of what is staged.

    Raises:
        SystemExit: the tests fail by themselves, or the tool does.
    """
    log = STAGE / "log"
    with log.open("w") as out:
        done = subprocess.run(
            [Path(sys.executable).with_name("mutmut"), "run", "--max-children", str(jobs)],
            cwd=STAGE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{log.read_text()[-4000:]}\nmutation: the tool failed; its log is {log}")


# What became of the mutants


def scored(module: str) -> Scored:
    """What became of a module's mutants."""
    mutated = STAGE / "mutants" / "innkeeper" / module
    told: dict[str, int | None] = json.loads(Path(f"{mutated}.meta").read_text())["exit_code_by_key"]
    changes = dict(changes_of(module, mutated.read_text(), (STAGE / "innkeeper" / module).read_text()))
    survivors: list[Survivor] = []
    odd: dict[str, int | None] = {}
    for key, code in told.items():
        mutant = key.rpartition(".")[2]
        if code in UNNOTICED:
            change, line = changes[mutant]
            survivors.append(Survivor(change, line, code or 0))
        elif code not in NOTICED:
            odd[key] = code
    killed = len(told) - len(survivors) - len(odd)
    return Scored(module, len(told), killed, sorted(survivors, key=lambda each: each.line), odd)


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
        sum(each.killed for each in results),
        [survivor for each in results for survivor in each.survivors],
        {name: code for each in results for name, code in each.odd.items()},
    )


def report(results: Sequence[Scored], reasons: dict[Change, str], floor: float) -> bool:
    """Print scores and survivors; whether all is as it should be."""
    total = total_of(results)
    new = [each for each in total.survivors if each.change not in reasons]
    met, modules = {each.change for each in total.survivors}, {each.module for each in results}
    stale = [change for change in reasons if change.place.split()[0] in modules and change not in met]
    print(f"{'module':<28}{'mutants':>9}{'killed':>9}{'survived':>10}{'accepted':>10}{'score':>10}")
    for each in [*results, total]:
        taken = sum(survivor.change in reasons for survivor in each.survivors)
        counts = f"{each.mutants:>9}{each.killed:>9}{len(each.survivors):>10}{taken:>10}"
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
    (STAGE / "survivors.toml").write_text("".join(map(_in_toml, dict.fromkeys(each.change for each in new))))
    return not (new or stale or total.odd) and total.score >= floor


def _in_toml(change: Change) -> str:
    """An entry for the list of accepted ones, without its reason."""
    fields = {**change._asdict(), "why": ""}
    return "[[accepted]]\n" + "".join(f"{name} = {json.dumps(text)}\n" for name, text in fields.items()) + "\n"


def asked_for(paths: Sequence[str]) -> tuple[Target, list[str]]:
    """The target that these modules belong to, and the modules as paths from the root.

    Raises:
        SystemExit: there is no such module, or they are of two targets.
    """
    packages = {path.rstrip("/").partition("/")[0] for path in paths} or {"model"}
    target = TARGETS.get(packages.pop())
    if target is None or packages:
        raise SystemExit(f"mutation: name modules of one of these: {', '.join(TARGETS)}")
    whole = [path.rstrip("/") for path in paths if "/" not in path.rstrip("/")]
    found = [ROOT / path for path in (target.modules if whole or not paths else paths)]
    modules = [module for path in found for module in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
    missing = [str(path) for path in modules if not path.is_file()]
    if missing:
        raise SystemExit(f"mutation: there is no module {', '.join(missing)}")
    return target, [str(path.relative_to(ROOT)) for path in modules if path.name != "__init__.py"]


def main() -> int:
    """Try the mutants of the modules that are asked for; 1 where a survivor is not accepted."""
    parser = argparse.ArgumentParser(prog="make mutation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="such as model/release.py; all of model/ without")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once (2)")
    told = parser.parse_args()
    target, modules = asked_for(told.modules)
    reasons, begun = accepted(), time.monotonic()
    STAGE.parent.mkdir(exist_ok=True)
    lock = STAGE.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("mutation: another run is under way in this checkout") from None
    stage(target, modules)
    run(told.jobs)
    well = report([scored(module) for module in modules], reasons, target.floor)
    print(f"\n{time.monotonic() - begun:.0f} s. What is not accepted, ready to be: {STAGE / 'survivors.toml'}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
