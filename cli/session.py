"""One invocation: what was given on the command line, the settings and connections it leads to, and where words go.

Everything heavy is imported where it is needed, so that `innkeeper --help` answers at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from ..client import Innkeeper
    from ..client.freezing import Freezing
    from ..client.rows import RowsSource
    from ..model.finding_ports import FindingRows
    from ..model.ports import Rows
    from ..model.usage_ports import UsageRows
    from ..settings import Settings

INTERRUPTED = "interrupted"


class Output(StrEnum):
    """Who reads."""

    TEXT = "text"
    JSON = "json"


class Tabular(StrEnum):
    """Who reads rows."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def console(*, stderr: bool = False) -> Console:
    """Where words for people go: no colour and no cut lines where it is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


@dataclass
class Session:
    """One invocation of one command."""

    command: str
    given: dict[str, Any]
    """The shared options that were given, by name."""
    request_id: str | None = None
    """The request's id, once there is one: named with every failure."""
    on_interrupt: list[str] = field(default_factory=lambda: [INTERRUPTED])
    """What to say, line by line, when Ctrl-C is pressed now."""
    streaming: bool = False
    """A program reads one document a line."""

    @property
    def json(self) -> bool:
        """A program reads."""
        return self.given.get("output") in (Output.JSON, Tabular.JSON)

    @property
    def csv(self) -> bool:
        """A spreadsheet reads."""
        return self.given.get("output") is Tabular.CSV

    @cached_property
    def console(self) -> Console:
        """Where the command's answer goes."""
        return console()

    def answer(self, document: BaseModel, tell: Callable[[], None]) -> None:
        """Give the command's answer: the document to a program, else what `tell` prints."""
        if self.json:
            from .documents import pretty

            write(pretty(document))
        else:
            tell()

    def say(self, line: str, style: str = "") -> None:
        """One line for a person; nothing where a program reads."""
        if not self.json:
            self.console.print(line, style=style or None)

    @cached_property
    def settings(self) -> Settings:
        """The effective settings; what was given on the command line comes first.

        Raises:
            BadInput: one is wrong.
        """
        from ..settings import Settings

        return Settings.load(**self.given_settings)

    @property
    def given_settings(self) -> dict[str, Any]:
        """What was given on the command line, by the names of settings."""
        names = {
            "state_dir": "state_dir",
            "temporal_address": "temporal_address",
            "supabase_url": "supabase_url",
            "kubeconfig": "kubeconfig",
            "context": "kube_context",
            "catalog": "catalog",
        }
        return {setting: self.given[name] for name, setting in names.items() if self.given.get(name) is not None}

    @property
    def temporal_namespace(self) -> str | None:
        """The option, else TEMPORAL_NAMESPACE (None leaves it to Temporal's client), else the platform's."""
        given: str | None = self.given.get("temporal_namespace")
        if given or os.environ.get("TEMPORAL_NAMESPACE"):
            return given
        from ..embedded.options import addresses_of

        platform = addresses_of(self.settings.state_dir)
        if platform is None or platform.temporal_address != self.settings.temporal_address:
            return None
        return platform.temporal_namespace

    @asynccontextmanager
    async def innkeeper(self) -> AsyncIterator[Innkeeper]:
        """The client, connected to Temporal.

        Raises:
            BadInput: a setting is wrong.
            Unreachable: Temporal does not answer.
        """
        from ..client import Innkeeper
        from ..model.errors import Unreachable

        settings = self.settings
        try:
            connected = await Innkeeper.connect(
                settings.temporal_address,
                namespace=self.temporal_namespace,
                task_queue=settings.task_queue,
                supabase_url=settings.supabase_url,
                supabase_key=settings.supabase_key.get_secret_value() if settings.supabase_key else None,
            )
        except Unreachable as error:
            cause = error.cause
            fix = f"{cause.fix}, or start a platform here: {self.hint('up')}"
            raise Unreachable(cause.message, code=cause.code, object=cause.object, fix=fix) from None
        async with connected as innkeeper:
            yield innkeeper

    @asynccontextmanager
    async def rows(self) -> AsyncIterator[Rows]:
        """The rows alone: they can be read although Temporal is down.

        Raises:
            BadInput: the key is missing.
            Unreachable: no database is named and none runs here, or it does not answer.
        """
        async with self._source() as source:
            yield await source.open()

    @asynccontextmanager
    async def findings(self) -> AsyncIterator[FindingRows]:
        """The rows of findings alone; raises as `rows` does."""
        async with self._source() as source:
            yield await source.open_findings()

    @asynccontextmanager
    async def usage(self) -> AsyncIterator[UsageRows]:
        """What was used. Raises as `rows` does."""
        async with self._source() as source:
            yield await source.open_usage()

    @asynccontextmanager
    async def freezes(self) -> AsyncIterator[Freezing]:
        """Freezes alone; raises as `rows` does."""
        from ..client.freezing import Freezing

        async with self._source() as source:
            yield Freezing(source)

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[RowsSource]:
        from ..client.rows import RowsSource
        from ..model.errors import BadInput, Unreachable

        settings = self.settings
        if settings.supabase_url is None:
            raise Unreachable(
                f"no platform runs on {settings.state_dir.absolute()}, and no Supabase is named",
                code="NoDatabase",
                fix=f"start a platform with `{self.hint('up')}`, run this in the folder where one was started, or set "
                "INNKEEPER_SUPABASE_URL",
            )
        if settings.supabase_key is None:
            fix = "set INNKEEPER_SUPABASE_KEY to its service role's key"
            raise BadInput("supabase_key", None, "is missing", fix=fix)
        key = settings.supabase_key.get_secret_value()
        source = RowsSource(url=settings.supabase_url, key=key)
        try:
            yield source
        finally:
            await source.close()

    def hint(self, *words: str) -> str:
        """A command to type next, which reaches the same parts as this one."""
        told = ("state_dir", "temporal_address", "temporal_namespace", "supabase_url")
        repeated = [
            word
            for name in told
            if self.given.get(name) is not None
            for word in (f"--{name.replace('_', '-')}", str(self.given[name]))
        ]
        return shlex.join(["innkeeper", *words, *repeated])


def write(text: str) -> None:
    """Text to standard output at once, for whoever reads along."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
