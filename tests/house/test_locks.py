"""Holds that what is installed is what is pinned, and that the pins meet what pyproject.toml asks for."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[a-z0-9,-]+\])?==(?P<version>[^\s;]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def config(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


def asked(project: dict[str, Any], extra: str) -> Iterator[Requirement]:
    """What `innkeeper[extra]` depends on, the extras it names itself included."""
    yield from map(Requirement, project["dependencies"])
    for requirement in map(Requirement, project["optional-dependencies"][extra]):
        if requirement.name == project["name"]:
            for inner in requirement.extras:
                yield from asked(project, inner)
        else:
            yield requirement


def pins(lock: Path) -> dict[str, str]:
    return {canonicalize_name(found["name"]): found["version"] for found in PINNED.finditer(lock.read_text())}


def unmet(requirements: Iterator[Requirement], lock: Path) -> list[str]:
    pinned = pins(lock)
    return [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True)
        or canonicalize_name(requirement.name) not in pinned
    ]


@pytest.mark.parametrize("extra", ["dev", "worker"])
def test_a_lock_meets_every_dependency_of_its_extra(extra: str, config: dict[str, Any], root: Path) -> None:
    assert unmet(asked(config["project"], extra), root / f"requirements/{extra}.txt") == []


def test_the_build_lock_meets_the_build_system(config: dict[str, Any], root: Path) -> None:
    required = config["build-system"]["requires"]
    assert config["dependency-groups"]["build"] == required
    assert unmet(map(Requirement, required), root / "requirements/build.txt") == []


def test_the_mutation_lock_meets_its_group_and_the_tests(config: dict[str, Any], root: Path) -> None:
    lock = root / "requirements/mutation.txt"
    assert unmet(map(Requirement, config["dependency-groups"]["mutation"]), lock) == []
    assert unmet(asked(config["project"], "dev"), lock) == []


@pytest.mark.parametrize("lock", ["build", "dev", "image", "mutation", "worker"])
def test_every_pin_has_hashes(lock: str, root: Path) -> None:
    text = (root / f"requirements/{lock}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_mutants_are_tried_with_the_versions_of_the_tests(root: Path) -> None:
    tested, tried = pins(root / "requirements/dev.txt"), pins(root / "requirements/mutation.txt")
    assert {name: version for name, version in tested.items() if tried.get(name) != version} == {}


@pytest.mark.parametrize("lock", ["image", "worker"])
def test_a_worker_runs_the_versions_that_were_tested(lock: str, root: Path) -> None:
    tested = pins(root / "requirements/dev.txt")
    shipped = pins(root / f"requirements/{lock}.txt")
    assert {name: version for name, version in shipped.items() if tested.get(name) != version} == {}


@pytest.mark.parametrize("lock", ["dev", "image", "worker"])
def test_an_extra_that_a_dependency_asks_for_is_pinned_with_it(lock: str, root: Path) -> None:
    """Without it pip tries the newest release of `coverage[toml]`, finds it not pinned, and nothing installs."""
    text = (root / f"requirements/{lock}.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9._-]+(?:\[[a-z0-9,-]+\])?)==", text, flags=re.MULTILINE))
    assert any("[" in name for name in pinned)
    assert not {name.partition("[")[0] for name in pinned if "[" in name} & pinned
