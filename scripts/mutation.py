"""Mutation testing (`make mutation`): how much of what the code decides is held by a test.

Each mutant is the code with one small change; a mutant that no test notices survives. Survivors that mean the same as
the code are accepted in `mutation-accepted.toml`, each with its reason; any other, and a reason without its survivor,
makes this fail. Prints the score of each module, and every survivor with its place and its change.

Of `model` every mutant is tried. Tests of workflows take seconds where those of the model take milliseconds, so of
`workflows` a sample is: each mutant is as likely to be in it as any other, and a seed says which are.

mutmut makes and tries the mutants. It takes a module's name from its path, and here the repository's root is the
package; and it leaves functions with decorators alone, properties and validators among them. So it gets a copy: laid
out as it likes, each decorator a call after its function, which means the same, and no line moved.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mutants import Function, Laid, accepted, report, scored

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build" / "mutation"

PACKAGES = ("activities", "cli", "client", "embedded", "gateways", "model", "workflows")

CONFTEST = '''"""The same examples for every mutant: what kills one kills it again. And the sandbox of workflows
shares the modules: the switch between mutants works in it, and it does not import them all anew for each workflow."""

from hypothesis import Phase, settings
from temporalio.worker.workflow_sandbox import SandboxRestrictions

SandboxRestrictions.passthrough_modules_default.update({"mutmut", "innkeeper"})

settings.register_profile(
    "mutation", database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mutation")
'''


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
    sample: int | None = None
    """How many mutants are tried, None: all."""
    arguments: tuple[str, ...] = ()
    """More of pytest's."""


UNTOLD = "tests/workflows/test_secrets_untold.py"

TARGETS = {
    "model": Target(("model",), ("tests/model",), ("tests/support", "catalog.yaml"), 90.0),
    # A mutant with which an operation never ends would hold its tests for minutes: a test takes seconds, not one.
    "workflows": Target(
        ("workflows",),
        ("tests/workflows",),
        ("tests/support", "tests/data", "tests/histories", "tests/conftest.py", "catalog.yaml"),
        80.0,
        isolation="forkserver",
        sample=80,
        # That no secret gets out is shown with the real Helm, and says nothing of workflows.
        arguments=("--timeout=60", "--override-ini=timeout_method=signal", f"--ignore={UNTOLD}"),
    ),
}


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
                f"pytest_add_cli_args = {['-p', 'no:cacheprovider', '-p', 'no:cov', *target.arguments]}",
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


def sample_of(laid: Sequence[Laid], size: int, seed: int) -> list[str]:
    """The mutants to be tried, by their names: each is as likely to be one as any other.

    The tool knows them once it has made them, and makes them when it is run. So it is run for none first, which it
    does not take well.

    Raises:
        SystemExit: it made none.
    """
    run("--max-children", "1", "none", fails=True)
    try:
        names = sorted(name for each in laid for name in each.told())
    except FileNotFoundError:
        raise SystemExit(f"{_log().read_text()[-4000:]}\nmutation: no mutants; the log is {_log()}") from None
    return random.Random(seed).sample(names, min(size, len(names)))  # noqa: S311  # to be repeated, not to be secret


def run(*arguments: str, fails: bool = False) -> None:
    """Run the tool over what is staged.

    Raises:
        SystemExit: the tests fail by themselves, or the tool does, unless that is expected.
    """
    with _log().open("w") as out:
        done = subprocess.run(
            [Path(sys.executable).with_name("mutmut"), "run", *arguments],
            cwd=STAGE,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode and not fails:
        raise SystemExit(f"{_log().read_text()[-4000:]}\nmutation: the tool failed; its log is {_log()}")


def _log() -> Path:
    return STAGE / "log"


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
    parser.add_argument("--sample", type=int, help="mutants tried in all, where the package says how many")
    parser.add_argument("--seed", type=int, default=1, help="which ones the sample has (1)")
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
    laid = [Laid.out(STAGE, module) for module in modules]
    size = told.sample or target.sample
    chosen = sample_of(laid, size, told.seed) if size else []
    run("--max-children", str(told.jobs), *chosen)
    well = report([scored(each) for each in laid], reasons, target.floor, STAGE / "survivors.toml")
    print(f"\n{time.monotonic() - begun:.0f} s. What is not accepted, ready to be: {STAGE / 'survivors.toml'}")
    if size:
        print(f"A sample of {size} (--sample {size} --seed {told.seed}); the others were not tried.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
