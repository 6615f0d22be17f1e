"""Which proxy a server is reached by, as the environment says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from innkeeper.gateways.environment_proxy import proxy_for
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.errors import Unreachable

from .test_kubernetes_answers import Told, told, write_kubeconfig

__all__ = ["told"]

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def none_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *(name.lower() for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://cluster.example:6443", "http://secure:3128"),
        ("http://cluster.example", "http://plain:3128"),
        ("https://inside.corp.example", None),
        ("https://localhost:6443", None),
        ("https://127.0.0.7:6443", None),
        ("https://[::1]:6443", None),
        ("https://10.0.0.1:6443", None),
        ("https://10.0.1.1:6443", "http://secure:3128"),
        ("https://port.example:6443", None),
        ("https://port.example:7443", "http://secure:3128"),
        ("https://[fd00::1]:6443", "http://secure:3128"),
        ("ftp://cluster.example", None),
    ],
)
def test_it_goes_by_scheme_and_exceptions_and_this_machine_needs_none(
    url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://plain:3128")
    monkeypatch.setenv("NO_PROXY", "corp.example, 10.0.0.0/24,port.example:6443")
    assert proxy_for(url) == proxy


def test_a_proxy_that_is_itself_spoken_to_in_tls_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "https://secure:3128")
    assert proxy_for("https://cluster.example") is None


async def test_no_error_tells_a_proxys_password(
    told: tuple[Told, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port = told
    kubeconfig = write_kubeconfig(tmp_path, "https://cluster.example", "only")
    for address in (f"http://user:hush@127.0.0.1:{port}", f"http://user:hu/sh@127.0.0.1:{port}"):
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(Unreachable) as refused:
            async with await KubernetesCluster.connect(kubeconfig, timeout=5.0) as cluster:
                await cluster.version()
        assert "hu" not in str(refused.value).replace("https", "")
        assert "proxy" in str(refused.value)


def test_without_a_word_of_it_there_is_none() -> None:
    assert proxy_for("https://cluster.example") is None


async def test_the_cluster_is_spoken_to_through_it(
    told: tuple[Told, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, port = told
    proxy.says(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    kubeconfig = write_kubeconfig(tmp_path, "http://cluster.example", "only")
    async with await KubernetesCluster.connect(kubeconfig, timeout=5.0) as cluster:
        await cluster.version()
    assert {request.headers["Host"] for request in proxy.requests} == {"cluster.example"}


async def test_a_proxy_of_the_kubeconfigs_own_comes_first(
    told: tuple[Told, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, port = told
    proxy.says(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    kubeconfig = write_kubeconfig(tmp_path, "http://cluster.example", "only")
    named = f"server: http://cluster.example\n    proxy-url: http://127.0.0.1:{port}"
    kubeconfig.write_text(kubeconfig.read_text().replace("server: http://cluster.example", named))
    async with await KubernetesCluster.connect(kubeconfig, timeout=5.0) as cluster:
        await cluster.version()
    assert proxy.requests
