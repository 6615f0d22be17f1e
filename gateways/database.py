"""The database as Supabase: rows read and written over its REST interface, by the migrations in supabase/.

Errors are told apart by the status of the HTTP answer, never by a database's error codes, which differ between
Supabase's editions; what the two writing functions decide they answer as a verdict. No text of a transport error is
passed on, since it may quote the key.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from supabase import AsyncClient, AsyncClientOptions

from innkeeper.model.errors import BadInput, Forbidden, InnkeeperError, Permanent, Unreachable
from innkeeper.model.freezes import Freeze
from innkeeper.model.instance import TRANSITIONS, Instance, Kind, Status
from innkeeper.model.limits import GROWING
from innkeeper.model.messages import OperationRecord
from innkeeper.model.ports import InstancePage, OperationPage, Page
from innkeeper.model.record_messages import Claim, ClaimRequest, Ending, Outset, Verdict

from .record_checks import check_claim, check_ending, place_of, storable, superseded
from .retry_after import retry_after

TIMEOUT = 10.0
"""Seconds that one call may take, answer included."""

SCHEMA = 12
"""What `innkeeper_schema()` answers where all migrations that this code needs have been applied."""

LONGEST_PAGE = 999
"""Supabase answers 1,000 rows at the most (`max_rows`), and one more than the page shows whether there are more."""

_TRANSITIONAL = [status.value for status in Status if not status.settled]

_MIGRATE = "apply the migrations in supabase/migrations to this project (supabase db push)"
_KEY = "set INNKEEPER_SUPABASE_KEY to the project's secret (service role) key"
_UP = "see that the project is up, and that INNKEEPER_SUPABASE_URL is its address"
_URL = "set INNKEEPER_SUPABASE_URL to the project's URL, e.g. https://abc.supabase.co"

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", bound="SupabaseRows")


class _Query(Protocol):
    async def execute(self) -> Any: ...


class _Cut(_Query, Protocol):
    """A query that can be cut into pages."""

    def gt(self, column: str, value: Any) -> Self: ...
    def order(self, column: str) -> Self: ...
    def limit(self, size: int) -> Self: ...


class SupabaseRows:
    """The read side: `model.ports.Rows`. With a user's token it shows that user's tenant's rows only."""

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient, timeout: float) -> None:
        self._client = client
        self._http = http
        self._timeout = timeout

    @classmethod
    async def connect(cls, url: str, key: str, *, timeout: float = TIMEOUT, access_token: str | None = None) -> Self:
        """A gateway to the project at `url`; nothing is sent yet.

        Args:
            url: The project's URL.
            key: One of its API keys: the secret one to see all rows, a publishable one together with a token.
            timeout: Seconds that one call may take, answer included.
            access_token: A signed-in user's token, to read as that user.

        Raises:
            BadInput: the URL is none.
            Forbidden: the key or the token cannot be one.
        """
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
            shown = url if "@" not in url else "(not shown: it holds a password)"
            raise BadInput("INNKEEPER_SUPABASE_URL", shown, "is not a project's URL", fix=_URL)
        for name, value, fix in (("key", key, _KEY), ("token", access_token, "sign in again")):
            if value is not None and not re.fullmatch(r"[\x21-\x7e]+", value):
                message = f"The Supabase {name} is empty or holds characters that no {name} has."
                raise Forbidden(message, object=_place(url), fix=fix)
        http = httpx.AsyncClient(timeout=timeout, event_hooks={"response": [_judge]})
        headers = {} if access_token is None else {"Authorization": f"Bearer {access_token}"}
        options = AsyncClientOptions(
            headers=headers,
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,
            httpx_client=http,
        )
        return cls(AsyncClient(url, key, options), http, timeout)

    def sharing(self, view: type[S]) -> S:
        """Another view of the project, over the same connections, which are this one's to close."""
        return view(self._client, self._http, self._timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Enter: closed on the way out."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def instance(self, name: str) -> Instance | None:
        """The instance's row, None where there is none (or none that the key and token may see)."""
        found = await self._rows(self._client.table("instances").select("*").eq("name", storable(name)).limit(1))
        return read(Instance, found[0]) if found else None

    async def instances(self, page: Page, *, tenant: str | None = None, status: Status | None = None) -> InstancePage:
        """Instances of one tenant or all, in one status or all, by name."""
        query = self._client.table("instances").select("*")
        if tenant is not None:
            query = query.eq("tenant", storable(tenant))
        if status is not None:
            query = query.eq("status", status.value)
        return await self._by_name(query, page)

    async def in_transition(self, page: Page, *, before: datetime) -> InstancePage:
        """Instances in a transitional status whose row was last written before a time, by name."""
        query = self._client.table("instances").select("*").in_("status", _TRANSITIONAL)
        return await self._by_name(query.lt("updated_at", before.astimezone(UTC).isoformat()), page)

    async def operation(self, request_id: str) -> OperationRecord | None:
        """The operation that a request id names."""
        found = await self._rows(self._client.table("operations").select("*").eq("id", storable(request_id)).limit(1))
        return read(OperationRecord, found[0]) if found else None

    async def operations(
        self, page: Page, *, instance: str | None = None, tenant: str | None = None, kind: Kind | None = None
    ) -> OperationPage:
        """Operations of an instance, a tenant, a kind, or all, the last claimed first."""
        size = min(page.limit, LONGEST_PAGE)
        query = self._client.table("operations").select("*")
        for column, value in (("instance", instance), ("tenant", tenant), ("kind", kind and kind.value)):
            if value is not None:
                query = query.eq(column, storable(value))
        if page.after is not None:
            query = query.lt("seq", place_of(page.after))
        found = await self._rows(query.order("seq", desc=True).limit(size + 1))
        items = [read(OperationRecord, row) for row in found[:size]]
        return OperationPage(items=items, next=str(found[size - 1]["seq"]) if len(found) > size else None)

    async def call(self, answer: type[M], function: str, **arguments: Any) -> M:
        """Call one of the migrations' functions, for gateways that share this connection.

        Raises:
            Unreachable: no answer; what the function does may have happened.
            Forbidden: the key or the token does not have the right.
            Permanent: the migrations are missing.
        """
        told = await self._send(self._client.rpc(function, storable(arguments)))
        if not isinstance(told, dict):
            raise self._not_supabase()
        return read(answer, told)

    async def _by_name(self, query: _Cut, page: Page) -> InstancePage:
        """One page of the instances that a query names."""
        size = min(page.limit, LONGEST_PAGE)
        if page.after is not None:
            query = query.gt("name", storable(page.after))
        found = await self._rows(query.order("name").limit(size + 1))
        items = [read(Instance, row) for row in found[:size]]
        return InstancePage(items=items, next=items[-1].name if len(found) > size else None)

    async def _rows(self, query: _Query) -> list[dict[str, Any]]:
        answer = await self._send(query)
        if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
            raise self._not_supabase()
        return answer

    async def _send(self, query: _Query) -> Any:
        """Send one query, in the time it has, and return what was answered; `_judge` has seen to all but success."""
        place = _place(self._client.supabase_url.human_repr())
        try:
            async with asyncio.timeout(self._timeout):
                return (await query.execute()).data
        except InnkeeperError:
            raise
        except TimeoutError:
            message = f"Supabase did not answer within {self._timeout:g} s."
            raise Unreachable(message, object=place, fix=_UP) from None
        except httpx.HTTPError as error:
            # Without the error as its cause: its words may quote the key, and a cause crosses Temporal.
            raise Unreachable(f"Supabase did not answer ({type(error).__name__}).", object=place, fix=_UP) from None

    def _not_supabase(self) -> Unreachable:
        place = _place(self._client.supabase_url.human_repr())
        return Unreachable("What answers is not Supabase's REST interface.", object=place, fix=_URL)


class SupabaseDatabase(SupabaseRows):
    """All of `model.ports.Database`; needs the project's secret key."""

    async def outset(self, request_id: str, instance: str) -> Outset:
        """What an operation begins from, at one moment.

        Raises:
            Unreachable: no answer.
            Forbidden: the key does not have a worker's rights.
            Permanent: the migrations are missing.
        """
        told = await self._send(
            self._client.rpc("innkeeper_outset", {"request_id": storable(request_id), "instance": storable(instance)})
        )
        if not isinstance(told, dict) or not {"operation", "instance"} <= told.keys():
            raise self._not_supabase()
        operation, row = told["operation"], told["instance"]
        return Outset(
            operation=None if operation is None else read(OperationRecord, operation),
            instance=None if row is None else read(Instance, row),
        )

    async def claim(self, claim: ClaimRequest) -> Claim:
        """Claim an instance for an operation.

        Raises:
            BadInput: an instance is to be made without a tenant or a plan, or the plan has no name.
            Unreachable: no answer; the claim may have happened, and repeating it says so.
            Forbidden: the key does not have a worker's rights.
            Permanent: the migrations are missing.
        """
        check_claim(claim)
        request = claim.request
        transition = TRANSITIONS[request.kind]
        told = {
            "request_id": request.request_id,
            "digest": request.digest,
            "kind": request.kind.value,
            "instance": request.instance,
            "tenant": request.tenant,
            "plan": request.plan,
            "namespace": claim.namespace,
            "release": claim.release,
            "workflow_id": claim.workflow_id,
            "run_id": claim.run_id,
            "asked_by": request.asked_by,
            "allowed_from": sorted(status.value for status in transition.allowed_from),
            "during": transition.during.value,
            "creates": transition.creates,
        }
        answer = await self._call(
            "innkeeper_begin",
            claim=told,
            limits={plan: each.model_dump(mode="json") for plan, each in claim.limits.items()},
            grows=bool(claim.limits) and request.kind in GROWING,
            storage_mib=claim.storage_mib,
        )
        instance, operation, freeze = answer.get("instance"), answer.get("operation"), answer.get("freeze")
        return Claim(
            verdict=Verdict(answer["verdict"]),
            generation=answer.get("generation") or 0,
            former=answer.get("former"),
            found=answer.get("found"),
            former_plan=answer.get("former_plan"),
            instance=None if instance is None else read(Instance, instance),
            operation=None if operation is None else read(OperationRecord, operation),
            reached=answer.get("reached"),
            frozen=None if freeze is None else read(Freeze, freeze),
        )

    async def finish(self, ending: Ending) -> Instance:
        """Write an operation's end and return the row as reread.

        Raises:
            BadInput: the status or the outcome is not one to end with, or the plan has no name.
            Superseded: the instance's generation is no longer this operation's.
            Unreachable: no answer; the write may have happened, and may be repeated.
            Forbidden: the key does not have a worker's rights.
        """
        check_ending(ending)
        answer = await self._call("innkeeper_finish", **ending.model_dump(mode="json"))
        if answer["verdict"] != "written":
            raise superseded(ending)
        return read(Instance, answer["instance"])

    async def ping(self) -> None:
        """Read something, with the rights a worker needs.

        Raises:
            Unreachable: no answer.
            Forbidden: the key does not have a worker's rights.
            Permanent: migrations are missing.
        """
        answer = await self._send(self._client.rpc("innkeeper_schema", {}))
        if not isinstance(answer, int):
            raise self._not_supabase()
        if answer < SCHEMA:
            message = f"The database's schema is at {answer}, and this version needs {SCHEMA}."
            raise Permanent(message, code="SchemaMissing", fix=_MIGRATE)
        # That function is an old one: one of the newest is there for callers only once the schema was read anew.
        await self.outset("", "")

    async def _call(self, function: str, **arguments: Any) -> dict[str, Any]:
        answer = await self._send(self._client.rpc(function, storable(arguments)))
        if not isinstance(answer, dict) or "verdict" not in answer:
            raise self._not_supabase()
        return answer


async def _judge(response: httpx.Response) -> None:
    """Raise what an answer's status means, before any client interprets it."""
    if response.is_success:
        return
    status, place = response.status_code, _place(str(response.url))
    await response.aread()
    said = _words(response)
    if status in (401, 403):
        raise Forbidden(f"Supabase refused (HTTP {status}): {said}", object=place, fix=_KEY)
    if status == 404:
        raise Permanent(f"Supabase lacks what was asked for: {said}", code="SchemaMissing", object=place, fix=_MIGRATE)
    if status in (408, 425, 429) or status >= 500:
        message = f"Supabase cannot answer now (HTTP {status}): {said}"
        raise Unreachable(message, object=place, retry_after=retry_after(response.headers))
    if response.is_redirect:
        raise Permanent(f"{place} redirects elsewhere (HTTP {status}).", object=place, fix=_URL)
    raise Permanent(f"Supabase refused the request (HTTP {status}): {said}", code="Refused", object=place)


def _words(response: httpx.Response) -> str:
    """What the database says; without its details, which quote rows."""
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    said = body.get("message") or body.get("msg") if isinstance(body, dict) else None
    return str(said)[:500] if said else response.reason_phrase


def _place(url: str) -> str:
    """Scheme, host and port: what may be shown of a URL."""
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii', 'replace')}"


def read(model: type[M], row: dict[str, Any]) -> M:
    """A row as the model's type.

    Postgres may write a time zone by its hours alone, which `datetime` reads and pydantic does not.
    """
    times = {
        key: datetime.fromisoformat(value) for key, value in row.items() if key.endswith(("_at", "_seen")) and value
    }
    try:
        return model.model_validate({**row, **times})
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors()}))
        message = f"A row of {model.__name__.lower()}s cannot be read: {fields}."
        raise Permanent(message, code="SchemaMissing", fix=_MIGRATE) from None
