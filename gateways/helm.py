"""Helm as a child process: the one place that knows its command line.

A Helm that can stay (`helm_resident`) is given one call after another; any other is started for each.

Values reach Helm on standard input, so nothing of them is in an argument, an environment or a file. A child gets a
small environment and never the worker's secrets. Which cluster it works on is always said; the kubeconfig that
happens to be current is never used. What is in Helm's storage is read through the cluster (`model.release`).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import InnkeeperError, Pending, Permanent
from innkeeper.model.manifests import Manifest, parse, write_yaml
from innkeeper.model.ports import Release
from innkeeper.model.release import MARK_LABEL, described

from . import helm_child
from .helm_errors import failure, helm_missing, leaves
from .helm_pod import ACCOUNT, kubeconfig_of_pod
from .helm_resident import ABOUT, MARK, Residents

OLDEST = (3, 13)
"""The first Helm whose releases can carry labels."""

HISTORY = 5
"""Revisions of a release that are kept."""

RUNTIME = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""What Helm's Go runtime is told. A Helm for one call lives for a tenth of a second, of which a quarter went into
collecting memory, which Go does from 4 MiB on; so it is collected only once it is much."""

_ASK_LIMIT = 10.0
_PASSED_ON = (
    "HOME",
    "USER",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "HELM_CACHE_HOME",
    "HELM_CONFIG_HOME",
    "HELM_DATA_HOME",
    "HELM_REGISTRY_CONFIG",
    "HELM_REPOSITORY_CACHE",
    "HELM_REPOSITORY_CONFIG",
    "DOCKER_CONFIG",
    "GOGC",
    "GOMEMLIMIT",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    *(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())),
)
_POST_RENDERER = (sys.executable, "-I", "-m", "innkeeper.gateways.keep_volumes")


class _Accepted(NamedTuple):
    """A helm of a version that the tests run on."""

    path: str
    version: str
    stays: bool
    """It does one call after another."""


def find_helm(configured: Path | None = None, *, search: str | None = None) -> Path:
    """The helm to run: the configured one, else the one on PATH (or `search`), else the environment's own.

    Raises:
        Permanent: there is none, or it is not executable.
    """
    if configured is not None:
        if configured.is_file() and os.access(configured, os.X_OK):
            return configured
        raise helm_missing(f"helm: {str(configured)!r} is not an executable file.")
    beside = Path(sys.executable).parent
    found = shutil.which("helm", path=search) or shutil.which("helm", path=str(beside))
    if found is None:
        raise helm_missing("There is no helm on PATH.")
    return Path(found)


class HelmCommand:
    """`ports.Helm` by the `helm` command.

    Args:
        binary: the helm to run; None: see `find_helm`.
        kubeconfig: the file to use; None: the service account of the pod that this runs in.
        context: its context; None: the file's own.
        slots: Helm processes at once; None: two a core.
        environment: where PATH and what else a child may see are taken from; None: this process's.
        variables: names of further variables a child gets, for a kubeconfig whose credentials come from a command.
        grace: seconds that a child which has to stop gets before it is killed.
        account: where a pod's service account is mounted.
    """

    def __init__(
        self,
        *,
        binary: Path | None = None,
        kubeconfig: Path | None,
        context: str | None = None,
        slots: int | None = None,
        environment: Mapping[str, str] | None = None,
        variables: Sequence[str] = (),
        grace: float = helm_child.TERM_GRACE,
        account: Path = ACCOUNT,
    ) -> None:
        source = os.environ if environment is None else environment
        env = {name: source[name] for name in ("PATH", *_PASSED_ON, *variables) if name in source}
        kubeconfig = kubeconfig or kubeconfig_of_pod(self, source, account)
        # Without any, no cluster is left, and never the file in somebody's home.
        env["KUBECONFIG"] = str(kubeconfig) if kubeconfig else os.devnull
        self._env = RUNTIME | env
        self._residents = Residents(env, grace=grace)
        self._binary = binary
        self._where = [*(["--kubeconfig", str(kubeconfig)] if kubeconfig else [])]
        self._where += ["--kube-context", context] if context else []
        self._grace = grace
        self.slots = slots or 2 * (os.cpu_count() or 1)
        """Helm processes at once."""
        self._free = asyncio.Semaphore(self.slots)
        self._accepted: dict[tuple[str, float], _Accepted] = {}
        self._digests: dict[tuple[tuple[str, int, int], ...], str] = {}

    async def version(self) -> str:
        """Helm's version, e.g. ``v3.17.3``.

        Raises:
            Permanent: there is no Helm, or it is one that the tests do not run on.
        """
        return (await self._helm()).version

    async def aclose(self) -> None:
        """End what waits for the next call."""
        await self._residents.aclose()

    async def _helm(self) -> _Accepted:
        """The helm to run, asked once as long as the file stays the same."""
        binary = find_helm(self._binary, search=self._env.get("PATH"))
        key = (str(binary), binary.stat().st_mtime)
        if key not in self._accepted:
            self._accepted[key] = await self._ask_version(binary)
        return self._accepted[key]

    async def _ask_version(self, binary: Path) -> _Accepted:
        ask = [str(binary), "version", "--template", ABOUT]
        try:
            answer = await helm_child.run(ask, limit=_ASK_LIMIT, stdin=b"", env=self._env)
        except helm_child.LimitReached:
            raise Pending(f"{binary} did not say its version within {_ASK_LIMIT:g} s") from None
        version, _, tree = answer.out.strip().partition(" ")
        found = re.fullmatch(r"v(\d+)\.(\d+)\S*", version)
        if answer.code or not found:
            raise helm_missing(f"helm: {str(binary)!r} does not say its version (exit code {answer.code}).")
        numbers = int(found[1]), int(found[2])
        if numbers < OLDEST or numbers[0] > 3:
            why = "too old" if numbers < OLDEST else "refused until the tests run on it"
            raise Permanent(
                f"helm: {str(binary)!r} is {version}, which is {why}.",
                code="HelmVersion",
                fix="use Helm 3.13 or a later 3.x; INNKEEPER_HELM says which helm is run",
            )
        return _Accepted(str(binary), version, stays=tree == MARK)

    async def chart_digest(self, chart: ChartRef) -> str:
        """A fingerprint of the chart's content: of a directory's files, of a remote chart's address and version.

        Raises:
            Permanent: the chart's path does not exist.
        """
        if chart.path is None:
            return hashlib.sha256(chart.model_dump_json().encode()).hexdigest()
        return await asyncio.to_thread(self._digest_of_path, Path(chart.path), chart.label)

    def _digest_of_path(self, path: Path, label: str) -> str:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        try:
            stats = [(file, file.stat()) for file in files]
            key = tuple((str(file), stat.st_mtime_ns, stat.st_size) for file, stat in stats)
            if key not in self._digests:
                digest = hashlib.sha256()
                for file in files:
                    content = hashlib.sha256(file.read_bytes()).hexdigest()
                    digest.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode())
                self._digests[key] = digest.hexdigest()
        except OSError as error:
            raise _unreadable(label, error) from None
        return self._digests[key]

    async def template(
        self, release: Release, *, limit: float, kube_version: str | None = None, api_versions: Sequence[str] = ()
    ) -> list[Manifest]:
        """What an install would send, hooks included and custom resource definitions, too, so that they are seen.

        `kube_version` and `api_versions` are the cluster's, for charts that ask; None: what Helm assumes.

        Raises:
            BadInput: the chart does not render, or the values do not fit its schema.
        """
        command = ["template", release.name, *_chart(release.chart), "--values", "-", "--include-crds", "--skip-tests"]
        command += ["--kube-version", kube_version] if kube_version else []
        command += [item for each in api_versions for item in ("--api-versions", each)]
        out = await self._act(command, release.namespace, release.name, limit=limit, release=release)
        try:
            return parse(out)
        except ValueError as error:
            raise failure(
                f"Error: YAML parse error: what it renders {error}",
                code=1,
                release=f"{release.namespace}/{release.name}",
                chart=release.chart.label,
                secrets=leaves(release.secret_values),
            ) from None

    async def upgrade(self, release: Release, *, limit: float, acting_as: str | None = None) -> None:
        """See `ports.Helm.upgrade`."""
        command = ["upgrade", "--install", release.name, *_chart(release.chart), "--values", "-", "--skip-crds"]
        command += ["--disable-openapi-validation", "--history-max", str(HISTORY), "--timeout", _duration(limit)]
        if release.mark:
            command += ["--labels", f"{MARK_LABEL}={release.mark}", "--description", described(release.mark)]
        if release.keep_volumes:
            program, *arguments = _POST_RENDERER
            command += ["--post-renderer", program, *(f"--post-renderer-args={each}" for each in arguments)]
        await self._act(command, release.namespace, release.name, limit=limit, release=release, acting_as=acting_as)

    async def rollback(
        self,
        name: str,
        namespace: str,
        revision: int,
        *,
        limit: float,
        acting_as: str | None = None,
        withheld: Sequence[str] = (),
    ) -> None:
        """See `ports.Helm.rollback`."""
        command = ["rollback", name, str(revision), "--history-max", str(HISTORY), "--timeout", _duration(limit)]
        await self._act(command, namespace, name, limit=limit, acting_as=acting_as, withheld=withheld)

    async def uninstall(
        self, name: str, namespace: str, *, limit: float, acting_as: str | None = None, withheld: Sequence[str] = ()
    ) -> None:
        """See `ports.Helm.uninstall`."""
        gone = re.compile(
            rf"^Error: uninstall: Release not loaded: {re.escape(name)}: release: not found$", re.MULTILINE
        )
        # Only its debugging output says why Helm could not delete something.
        command = ["uninstall", name, "--debug", "--timeout", _duration(limit)]
        await self._act(command, namespace, name, limit=limit, fine=gone, acting_as=acting_as, withheld=withheld)

    async def _act(
        self,
        command: Sequence[str],
        namespace: str,
        name: str,
        *,
        limit: float,
        release: Release | None = None,
        fine: re.Pattern[str] | None = None,
        acting_as: str | None = None,
        withheld: Sequence[str] = (),
    ) -> str:
        where = f"{namespace}/{name}"
        async with self._free:
            user = ["--kube-as-user", acting_as] if acting_as else []
            words = [*command, "--namespace", namespace, *self._where, *user]
            try:
                ended = await self._run(words, write_yaml(release.all_values).encode() if release else b"", limit)
            except helm_child.LimitReached:
                raise _too_slow(command[0], where, limit) from None
        if ended.code == 0 or (fine and fine.search(ended.err)):
            return ended.out
        chart = release.chart.label if release else None
        secrets = [*withheld, *(leaves(release.secret_values) if release else [])]
        raise failure(ended.err, code=ended.code, release=where, chart=chart, secrets=secrets)

    async def _run(self, words: Sequence[str], stdin: bytes, limit: float) -> helm_child.Finished:
        helm = await self._helm()
        if helm.stays:
            return await self._residents.run(helm.path, words, limit=limit, stdin=stdin)
        return await helm_child.run([helm.path, *words], limit=limit, stdin=stdin, env=self._env, grace=self._grace)


def _too_slow(act: str, where: str, limit: float) -> Pending:
    return Pending(
        f"helm {act} was not done within {limit:g} s and was stopped.",
        code="HelmTooSlow",
        object=f"Release {where}",
        fix="look at the release's hooks, or raise the plan's deadlines.release",
    )


def _unreadable(label: str, error: OSError) -> InnkeeperError:
    return failure(
        f'Error: path "{error.filename}" not found ({error.strerror})', code=1, release="", chart=label, secrets=()
    )


def _duration(limit: float) -> str:
    return f"{math.ceil(limit)}s"


def _chart(chart: ChartRef) -> list[str]:
    version = ["--version", chart.version] if chart.version and not chart.path else []
    if chart.repository:
        return [str(chart.name), "--repo", chart.repository, *version]
    return [str(chart.path or chart.oci), *version]
