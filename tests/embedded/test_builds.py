"""What is missing is made once, whole or not at all, and a failure says what to do."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from innkeeper.embedded import builds, cache, toolchain
from innkeeper.embedded.errors import BuildFailed

PutProgram = Callable[[str, str], Path]

GO_VERSION = 'if [ "$1" = version ]; then echo go version go1.26.6 linux/amd64; exit 0; fi'
BUILT = """#!/bin/sh
echo Kubernetes v1.36.3"""
COMPILER = f"""{GO_VERSION}
mkdir -p "$GOCACHE"; echo object > "$GOCACHE/one"
echo build >> "{{builds}}"
cat > ../controlplane <<END
{BUILT}
END
chmod +x ../controlplane"""


@pytest.fixture
def lines() -> list[str]:
    return []


async def test_a_build_that_fails_never_counts_and_keeps_what_was_compiled(
    bare_machine: PutProgram, lines: list[str]
) -> None:
    bare_machine("go", f'{GO_VERSION}\nmkdir -p "$GOCACHE"; echo half > ../controlplane; echo no network; exit 1')
    with pytest.raises(BuildFailed, match="no network") as failed:
        await builds.ensure_control_plane(None, None, lines.append)
    assert toolchain.control_plane() is None
    assert not cache.control_plane().parent.exists()
    kept = cache.control_plane().parent.with_name(cache.control_plane().parent.name + ".compiled")
    assert kept.is_dir()
    assert str(kept) in failed.value.cause.fix
    assert list((cache.root() / "logs").iterdir()) != [], "the log it names stays"


@pytest.mark.parametrize("broken", ["echo Kubernetes v0.0.0-master", "exit 1"])
async def test_a_build_whose_result_does_not_run_or_is_another_version_never_counts(
    broken: str, bare_machine: PutProgram, lines: list[str]
) -> None:
    bare_machine(
        "go",
        f'{GO_VERSION}; echo "#!/bin/sh\n{broken}" > ../controlplane; chmod +x ../controlplane',
    )
    with pytest.raises(BuildFailed, match="was built and"):
        await builds.ensure_control_plane(None, None, lines.append)
    assert toolchain.control_plane() is None


async def test_two_who_need_a_build_wait_for_one_and_are_told_how_long_it_takes(
    bare_machine: PutProgram, lines: list[str], tmp_path: Path
) -> None:
    bare_machine("go", COMPILER.format(builds=tmp_path / "builds"))
    found = await asyncio.gather(*(builds.ensure_control_plane(None, None, lines.append) for _ in range(2)))
    assert found == [(cache.control_plane(), "cache")] * 2
    assert (tmp_path / "builds").read_text() == "build\n"
    assert "about 9 minutes on 2 cores" in lines[0]
    assert lines[-1].startswith("Made the Kubernetes control plane in ")
    assert [path.name for path in cache.control_plane().parent.iterdir()] == ["controlplane"]
    assert not [path for path in cache.root().iterdir() if "compiled" in path.name], "the build's own cache is gone"


async def test_a_build_that_is_interrupted_never_counts(
    bare_machine: PutProgram, lines: list[str], tmp_path: Path
) -> None:
    bare_machine("go", f"{GO_VERSION}\necho half > ../controlplane; echo up > {tmp_path / 'up'}; sleep 1000")
    building = asyncio.create_task(builds.ensure_control_plane(None, None, lines.append))
    while not (tmp_path / "up").exists():
        await asyncio.sleep(0.02)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not cache.control_plane().parent.exists()


async def test_an_install_of_supabase_lite_that_fails_never_counts(bare_machine: PutProgram, lines: list[str]) -> None:
    bare_machine("node", "echo v22.0.0")
    bare_machine("npm", "mkdir -p node_modules/@supabase/lite; echo registry said no; exit 1")
    node = await builds.ensure_node(None, lines.append)
    with pytest.raises(BuildFailed, match="registry said no"):
        await builds.ensure_lite(node, lines.append)
    assert not cache.node_modules().exists()
    bare_machine("npm", f"mkdir -p {builds.LITE.parent}; echo > {builds.LITE}")
    assert await builds.ensure_lite(node, lines.append) == cache.node_modules() / builds.LITE


async def test_what_cannot_be_started_is_named(bare_machine: PutProgram, lines: list[str]) -> None:
    bare_machine("node", "echo v22.0.0")
    npm = bare_machine("npm", "")
    node = await builds.ensure_node(None, lines.append)
    npm.unlink()
    with pytest.raises(BuildFailed, match="npm"):
        await builds.ensure_lite(node, lines.append)


@pytest.mark.parametrize("tool", ["node", "go"])
async def test_a_tool_that_the_package_index_does_not_give_is_named(
    tool: str, bare_machine: PutProgram, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    ensure = builds.ensure_node if tool == "node" else builds.ensure_go
    with pytest.raises(BuildFailed, match=f"Making {tool} .* failed"):
        await ensure(None, lines.append)
    assert lines == [f"Making {tool} (from the Python package index): about 10 seconds …"]
    assert [path for path in cache.root().iterdir() if "requirements" in path.name and path.is_dir()] == []
