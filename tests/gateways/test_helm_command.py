"""Helm gets everything it needs and shows no value to anybody, and a missing Helm is no answer of Helm's."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fake_helm import SECRET, WISH, command, fake_helm, files_with, noted

from innkeeper.gateways.helm import HelmCommand, find_helm
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import Permanent, ReleaseFailed
from innkeeper.model.manifests import read_yaml

Fake = Callable[..., Path]


def is_there(path: Path) -> bool:
    return path.exists()


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return partial(fake_helm, tmp_path)


async def test_no_value_is_in_an_argument_or_the_environment_and_all_come_on_standard_input(
    fake: Fake, tmp_path: Path
) -> None:
    helm = command(fake("note('stdin', sys.stdin.buffer.read().decode())\ntime.sleep(60)"))
    running = asyncio.create_task(helm.upgrade(WISH, limit=60))
    stdin = await noted(tmp_path, "stdin")
    process = Path(f"/proc/{await noted(tmp_path)}")
    seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert read_yaml(stdin) == {"shown": {"a": 1, "b": SECRET}}
    assert SECRET.encode() not in seen
    assert b"shown" not in seen
    assert files_with(SECRET, tmp_path) == ["stdin"]


async def test_a_child_sees_none_of_the_workers_secrets(fake: Fake, tmp_path: Path) -> None:
    worker = {
        **os.environ,
        "INNKEEPER_SUPABASE_KEY": "hidden",
        "TEMPORAL_API_KEY": "hidden",
        "KUBECONFIG": "/elsewhere",
        "HELM_KUBETOKEN": "hidden",
        "HTTPS_PROXY": "http://proxy.example",
        "AWS_PROFILE": "tenants",
    }
    helm = command(fake("note('env', dict(os.environ))"), environment=worker, variables=["AWS_PROFILE"])
    await helm.upgrade(WISH, limit=60)
    seen = await noted(tmp_path, "env")
    assert "hidden" not in seen
    assert "/elsewhere" not in seen
    assert "'KUBECONFIG': '/kube/config'" in seen
    assert "http://proxy.example" in seen
    assert "'AWS_PROFILE': 'tenants'" in seen


async def test_memory_that_helm_gives_up_anyway_is_not_collected_unless_it_is_much(fake: Fake, tmp_path: Path) -> None:
    await command(fake("note('env', dict(os.environ))")).upgrade(WISH, limit=60)
    seen = await noted(tmp_path, "env")
    assert "'GOGC': 'off'" in seen
    assert "'GOMEMLIMIT': '256MiB'" in seen


async def test_cluster_namespace_and_identity_are_always_said(fake: Fake, tmp_path: Path) -> None:
    helm = command(fake("note('argv', sys.argv[1:])"))
    user = "innkeeper:inn-acme:1:0a"
    for act in (
        helm.upgrade(WISH.model_copy(update={"keep_volumes": True}), limit=59.2, acting_as=user),
        helm.rollback("acme", "inn-acme", 3, limit=60, acting_as=user),
        helm.uninstall("acme", "inn-acme", limit=60, acting_as=user),
    ):
        await act
        argv = (await noted(tmp_path, "argv")).strip("[]").replace("'", "").split(", ")
        assert argv[-8:] == [
            "--namespace",
            "inn-acme",
            "--kubeconfig",
            "/kube/config",
            "--kube-context",
            "here",
            "--kube-as-user",
            user,
        ]
        assert "60s" in argv


async def test_what_is_withheld_is_not_quoted_by_a_rollback_or_an_uninstall_that_fails(fake: Fake) -> None:
    helm = command(fake(f"sys.stderr.write('Error: template of {SECRET} is no good')\nsys.exit(1)"))
    for act in (
        helm.rollback("acme", "inn-acme", 3, limit=60, withheld=[SECRET]),
        helm.uninstall("acme", "inn-acme", limit=60, withheld=[SECRET]),
    ):
        with pytest.raises(ReleaseFailed, match=r"template of \*\*\* is no good"):
            await act


async def test_without_a_user_helm_acts_as_the_worker_itself(fake: Fake, tmp_path: Path) -> None:
    await command(fake("note('argv', sys.argv[1:])")).uninstall("acme", "inn-acme", limit=60)
    assert "--kube-as-user" not in await noted(tmp_path, "argv")


async def test_in_a_pod_helm_gets_a_kubeconfig_without_a_secret_which_goes_with_the_worker(
    fake: Fake, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(SECRET)
    environment = {"PATH": os.environ["PATH"], "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    act = "file = sys.argv[sys.argv.index('--kubeconfig') + 1]\nnote('where', file)\nnote('content', open(file).read())"
    helm = HelmCommand(binary=fake(act), kubeconfig=None, environment=environment, account=tmp_path)
    await helm.uninstall("acme", "inn-acme", limit=60, acting_as="innkeeper:inn-acme:1:0a")
    content = read_yaml(await noted(tmp_path, "content"))
    assert isinstance(content, dict)
    assert content["clusters"][0]["cluster"]["server"] == "https://[fd00::1]:6443"
    assert content["users"][0]["user"] == {"tokenFile": str(tmp_path / "token")}
    where = Path(await noted(tmp_path, "where"))
    assert is_there(where)
    del helm
    assert not is_there(where)


@pytest.mark.parametrize(
    ("chart", "arguments"),
    [
        ({"path": "/charts/room"}, ["acme", "/charts/room", "--values"]),
        ({"path": "/charts/room", "version": "1"}, ["acme", "/charts/room", "--values"]),
        ({"oci": "oci://host/room", "version": "1.0.0"}, ["acme", "oci://host/room", "--version", "1.0.0"]),
        (
            {"repository": "https://host/", "name": "room", "version": "1.0.0"},
            ["acme", "room", "--repo", "https://host/", "--version", "1.0.0"],
        ),
    ],
)
async def test_every_source_of_a_chart_reaches_helm(
    fake: Fake, tmp_path: Path, chart: dict[str, str], arguments: list[str]
) -> None:
    helm = command(fake("note('argv', '\\n'.join(sys.argv))"))
    await helm.template(
        WISH.model_copy(update={"chart": ChartRef(**chart)}), limit=60, kube_version="v1.36.3", api_versions=["x/v1"]
    )
    argv = (await noted(tmp_path, "argv")).split("\n")
    start = argv.index("acme")
    assert argv[start : start + len(arguments)] == arguments
    assert argv[argv.index("--kube-version") + 1] == "v1.36.3"
    assert argv[argv.index("--api-versions") + 1] == "x/v1"


async def test_helms_own_words_reach_the_error_without_the_secret(fake: Fake) -> None:
    said = f"sys.stderr.write('Error: UPGRADE FAILED: password {SECRET} is too weak')\nsys.exit(1)"
    with pytest.raises(ReleaseFailed, match=r"password \*\*\* is too weak") as refused:
        await command(fake(said)).upgrade(WISH, limit=30)
    assert refused.value.cause.object == "Release inn-acme/acme"
    assert SECRET not in repr(refused.value.cause)


@pytest.mark.parametrize(
    "said",
    [
        "Error: uninstall: Release not loaded: acme: release: not found",
        "WARNING: group-readable kubeconfig\nError: uninstall: Release not loaded: acme: release: not found\n",
    ],
)
async def test_an_uninstall_of_what_is_gone_is_done(fake: Fake, said: str) -> None:
    await command(fake(f"sys.stderr.write({said!r})\nsys.exit(1)")).uninstall("acme", "inn-acme", limit=30)


@pytest.mark.parametrize(
    "said",
    [
        "Error: uninstall: Release not loaded: other: release: not found",
        'Error: namespaces "inn-acme" not found',
        "helm: command not found",
        "Error: failed: uninstall: Release not loaded: acme: release: not found",
        "",
    ],
)
async def test_nothing_else_is_taken_for_gone(fake: Fake, said: str) -> None:
    with pytest.raises(ReleaseFailed):
        await command(fake(f"sys.stderr.write({said!r})\nsys.exit(1)")).uninstall("acme", "inn-acme", limit=30)


async def test_a_missing_helm_is_named_with_its_fix_and_never_taken_for_a_missing_release(tmp_path: Path) -> None:
    helm = command(tmp_path / "helm")
    for act in (helm.version(), helm.uninstall("acme", "inn-acme", limit=30)):
        with pytest.raises(Permanent) as missing:
            await act
        assert missing.value.cause.code == "HelmMissing"
        assert str(tmp_path / "helm") in missing.value.cause.message
        assert "install Helm 3" in missing.value.cause.fix


async def test_a_helm_that_goes_away_while_the_worker_runs_is_missing_and_found_again(fake: Fake) -> None:
    binary = fake()
    helm = command(binary)
    await helm.uninstall("acme", "inn-acme", limit=30)
    binary.unlink()
    with pytest.raises(Permanent) as missing:
        await helm.uninstall("acme", "inn-acme", limit=30)
    assert missing.value.cause.code == "HelmMissing"
    fake()
    await helm.uninstall("acme", "inn-acme", limit=30)


async def test_a_helm_that_cannot_be_executed_is_missing(tmp_path: Path) -> None:
    plain = tmp_path / "helm"
    plain.write_text("no program")
    with pytest.raises(Permanent, match="not an executable file"):
        await command(plain).version()


async def test_a_script_whose_interpreter_is_missing_is_a_missing_helm(tmp_path: Path) -> None:
    script = tmp_path / "helm"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(Permanent) as missing:
        await command(script).version()
    assert missing.value.cause.code == "HelmMissing"


@pytest.mark.parametrize(
    ("version", "why"),
    [("v3.12.9", "too old"), ("v2.17.0", "too old"), ("v4.0.0", "refused until"), ("v4.3.1", "refused until")],
)
async def test_a_helm_that_the_tests_do_not_run_on_is_refused(fake: Fake, version: str, why: str) -> None:
    helm = command(fake(version=version))
    for act in (helm.version(), helm.upgrade(WISH, limit=30)):
        with pytest.raises(Permanent, match=why) as refused:
            await act
        assert refused.value.cause.code == "HelmVersion"
        assert version in refused.value.cause.message
        assert "3.13" in refused.value.cause.fix


@pytest.mark.parametrize("version", ["v3.13.0", "v3.17.3", "v3.19.0-rc.1", "v3.18.0+gabc"])
async def test_a_newer_helm_3_is_welcome(fake: Fake, version: str) -> None:
    assert await command(fake(version=version)).version() == version


@pytest.mark.parametrize("version", ["", "3.17.3", "helm v3.17.3"])
async def test_what_does_not_say_helms_version_is_no_helm(fake: Fake, version: str) -> None:
    with pytest.raises(Permanent, match="does not say its version"):
        await command(fake(version=version)).version()


def test_helm_is_the_configured_one_else_the_one_on_path_else_the_environments(fake: Fake, tmp_path: Path) -> None:
    ours = fake()
    other = fake(name="other")
    assert find_helm(other, search=str(tmp_path)) == other
    assert find_helm(search=str(tmp_path)) == ours
    assert find_helm(search="/nowhere") == Path(sys.executable).parent / "helm"


async def test_a_digest_changes_with_any_file_of_a_chart_and_is_quick_to_ask_again(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: a\n")
    helm, ref = command(None), ChartRef(path=str(chart))
    digests = [await helm.chart_digest(ref)]
    (chart / "templates" / "a.yaml").write_text("x")
    digests.append(await helm.chart_digest(ref))
    (chart / "templates" / "a.yaml").write_text("yy")
    digests.append(await helm.chart_digest(ref))
    (chart / "templates" / "a.yaml").rename(chart / "templates" / "b.yaml")
    digests.append(await helm.chart_digest(ref))
    assert len(set(digests)) == 4
    copied = shutil.copytree(chart, tmp_path / "copy")
    assert await helm.chart_digest(ChartRef(path=str(copied))) == digests[-1]


async def test_a_packaged_chart_has_a_digest_and_a_missing_one_is_bad_input(tmp_path: Path) -> None:
    package = tmp_path / "room-0.1.0.tgz"
    package.write_bytes(b"packed")
    assert await command(None).chart_digest(ChartRef(path=str(package)))
    with pytest.raises(Permanent, match="cannot be loaded") as missing:
        await command(None).chart_digest(ChartRef(path=str(tmp_path / "nothing")))
    assert missing.value.cause.code == "ChartMissing"
