"""What is missing is made once, whole or not at all, and a failure says what to do."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from innkeeper.embedded import build_helm, builds, cache, prebuild, toolchain
from innkeeper.embedded.errors import BuildFailed, PlatformError
from innkeeper.embedded.options import Options
from innkeeper.embedded.platform import Platform

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


HELMS_COMPILER = f"""{GO_VERSION}
if [ "$1" = mod ]; then
    at="$GOMODCACHE/helm.sh/helm/v3@v3.21.4/cmd/helm"; mkdir -p "$at"
    echo theirs > "$at/helm.go"; echo more > "$at/root.go"
    echo "k8s.io/client-go v0.36.2" > "$GOMODCACHE/helm.sh/helm/v3@v3.21.4/go.mod"
    exit 0
fi
echo "$*" > "{{seen}}"; cp cmd/helm/helm.go "{{seen}}.go"; cp cmd/helm/root.go "{{seen}}.root"
cat > ../helm <<END
#!/bin/sh
echo {{says}}
END
chmod +x ../helm"""


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


async def test_the_helm_that_stays_is_helms_own_sources_with_one_file_replaced(
    bare_machine: PutProgram, lines: list[str], tmp_path: Path
) -> None:
    bare_machine("go", HELMS_COMPILER.format(seen=tmp_path / "seen", says="v3.21.4 resident"))
    found = await asyncio.gather(*(builds.ensure_resident_helm(None, lines.append) for _ in range(2)))
    assert found == [cache.resident_helm()] * 2
    assert (tmp_path / "seen.go").read_bytes() == cache.RESIDENT_HELM_SOURCES[0].read_bytes()
    assert (tmp_path / "seen.root").read_text() == "more\n"
    stamp = (tmp_path / "seen").read_text()
    assert "internal/version.version=v3.21.4 -X" in stamp
    assert "chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36" in stamp, (
        "as Helm's Makefile"
    )
    assert [path.name for path in cache.resident_helm().parent.iterdir()] == ["helm"]
    assert not [path for path in cache.root().iterdir() if "compiled" in path.name], "the build's own cache is gone"
    assert sum("about 3 minutes on 2 cores" in line for line in lines) == 1, "two who need it wait for one build"


@pytest.mark.parametrize("says", ["v3.21.4 clean", "v3.20.0 resident"])
async def test_a_helm_that_is_not_the_one_that_was_meant_never_counts(
    says: str, bare_machine: PutProgram, lines: list[str], tmp_path: Path
) -> None:
    bare_machine("go", HELMS_COMPILER.format(seen=tmp_path / "seen", says=says))
    with pytest.raises(BuildFailed, match=r"helm was built and is not v3\.21\.4 resident"):
        await builds.ensure_resident_helm(None, lines.append)
    assert not cache.resident_helm().exists()


def test_a_worker_elsewhere_is_given_it_by_a_command(
    bare_machine: PutProgram, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_machine("go", f"{GO_VERSION}\necho no network; exit 1")
    target = tmp_path / "bin" / "helm"
    assert build_helm.main([]) == 2
    assert build_helm.main([str(target)]) == 1
    assert "no network" in capsys.readouterr().err
    bare_machine("go", HELMS_COMPILER.format(seen=tmp_path / "seen", says="v3.21.4 resident"))
    assert build_helm.main([str(target)]) == 0
    assert target.read_bytes() == cache.resident_helm().read_bytes()
    assert target.stat().st_mode & 0o777 == 0o755
    assert capsys.readouterr().out == f"{target}\n"


async def test_a_platform_where_no_helm_can_be_built_says_so_and_goes_on_without(
    bare_machine: PutProgram, lines: list[str], tmp_path: Path
) -> None:
    bare_machine("go", f"{GO_VERSION}\necho no network; exit 1")
    options = Options(state_dir=tmp_path / "state", parts=frozenset(), worker=True)
    with pytest.raises(PlatformError, match="A worker needs Temporal"):
        await Platform(options, progress=lines.append).start()
    assert "no network" in lines[-1]
    assert lines[-1].endswith("Until then the worker starts a Helm for each call, which takes longer.")


def test_all_that_tests_need_is_made_before_the_first_of_them(
    bare_machine: PutProgram, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_machine("node", "echo v22.0.0")
    bare_machine("npm", f"mkdir -p {builds.LITE.parent}; echo > {builds.LITE}")
    bare_machine("go", f"{GO_VERSION}\necho no network; exit 1")
    assert prebuild.main() == 1
    assert "no network" in capsys.readouterr().err
    compilers = COMPILER.replace(f"{GO_VERSION}\n", "").format(builds=tmp_path / "builds")
    helms = HELMS_COMPILER.format(seen=tmp_path / "seen", says="v3.21.4 resident")
    bare_machine("go", f'if [ -d cmd ] || [ "$1" != build ]; then\n{helms}\nelse\n{compilers}\nfi')
    assert prebuild.main() == 0
    assert toolchain.control_plane() is not None
    assert cache.resident_helm().exists()
    assert (cache.node_modules() / builds.LITE).exists()
