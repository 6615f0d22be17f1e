"""An instance's Secrets: generated once and kept for ever, or copied from the operator's namespace.

No content of a Secret leaves this module except as an argument to the cluster's port or to Helm's.
"""

from __future__ import annotations

import base64
import secrets
import string
from typing import Any

from ..model import marks, surroundings
from ..model.catalog import Copied, Generated, Plan
from ..model.errors import AlreadyExists, Pending, Permanent
from ..model.messages import Work
from ..model.ports import Cluster, Manifest, Ref
from ..model.wishes import nested

_ALPHABET = string.ascii_letters + string.digits


class Secrets:
    """Has the Secrets that a plan asks for."""

    def __init__(self, cluster: Cluster, operator_namespace: str) -> None:
        self._cluster = cluster
        self._operator_namespace = operator_namespace

    async def have(self, work: Work, plan: Plan) -> None:
        """Have every Secret of the plan.

        Raises:
            NotOurs: a Secret of that name is somebody else's.
            Permanent: a Secret to copy is not there, or would overwrite a generated one.
            Pending: a Secret was deleted meanwhile.
        """
        for wanted in plan.secrets:
            if isinstance(wanted, Generated):
                await self._generate(work, wanted)
            else:
                await self._copy(work, wanted)

    async def take_back(self, work: Work) -> None:
        """Delete the copies that this very operation made; what was generated is the customer's data and stays."""
        for item in await self._cluster.list_objects("v1", "Secret", namespace=work.namespace):
            meta = item["metadata"]
            copied = marks.is_ours(item, work.instance, work.tenant) and marks.DATA not in meta["labels"]
            if copied and marks.created_by(item) == work.request_id:
                await self._cluster.delete(Ref("v1", "Secret", meta["name"], work.namespace), uid=meta["uid"])

    async def _generate(self, work: Work, wanted: Generated) -> None:
        content = {key: _random(length) for key, length in wanted.generate.items()}
        try:
            await self._cluster.create(surroundings.secret(work, wanted.name, content, data=True))
        except AlreadyExists:
            found = await self._read(work, wanted.name)
            missing = sorted(set(wanted.generate) - set(found.get("data") or {}))
            if missing:
                # Only keys that are not there are added: a value once generated is the customer's data.
                added = {key: content[key] for key in missing}
                version = found["metadata"]["resourceVersion"]
                patch = {"metadata": {"resourceVersion": version}, "data": added}
                await self._patch(work, wanted.name, patch)

    async def _copy(self, work: Work, wanted: Copied) -> None:
        source = await self._cluster.get(Ref("v1", "Secret", wanted.copy_from, self._operator_namespace))
        if source is None:
            raise Permanent(
                f"Secret {self._operator_namespace}/{wanted.copy_from}, which plan {work.plan} copies, is not there",
                code="SecretMissing",
                object=f"Secret {self._operator_namespace}/{wanted.copy_from}",
                fix="create it in the operator's namespace",
            )
        manifest = surroundings.secret(work, wanted.name, source.get("data") or {}, data=False)
        manifest["type"] = source.get("type", "Opaque")
        try:
            await self._cluster.create(manifest)
        except AlreadyExists:
            found = await self._read(work, wanted.name)
            if marks.DATA in found["metadata"]["labels"]:
                # Its volumes are useless without it, and no undo would bring it back.
                raise Permanent(
                    f"Secret {work.namespace}/{wanted.name} was generated, and a copy would overwrite it",
                    code="SecretIsData",
                    object=f"Secret {work.namespace}/{wanted.name}",
                    fix=f"give what plan {work.plan} copies another name, or have the plan generate it again",
                ) from None
            version = found["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version}, "data": manifest["data"]}
            await self._patch(work, wanted.name, patch)

    async def _patch(self, work: Work, name: str, patch: Manifest) -> None:
        if await self._cluster.patch(Ref("v1", "Secret", name, work.namespace), patch) is None:
            raise _deleted(work, name)

    async def _read(self, work: Work, name: str) -> Manifest:
        found = await self._cluster.get(Ref("v1", "Secret", name, work.namespace))
        if found is None:
            raise _deleted(work, name)
        marks.demand_ours({"kind": "Secret", **found}, work.instance, work.tenant)
        return found

    async def values(self, work: Work, plan: Plan) -> dict[str, Any]:
        """The values that the chart insists on having in the clear, by their paths, for Helm's standard input only.

        Raises:
            Permanent: a Secret or a key of it is missing.
        """
        values: list[tuple[str, str]] = []
        for item in plan.secret_values:
            found = await self._cluster.get(Ref("v1", "Secret", item.secret, work.namespace))
            encoded = ((found or {}).get("data") or {}).get(item.key)
            if encoded is None:
                raise Permanent(
                    f"Secret {work.namespace}/{item.secret} has no key {item.key}, which {item.value} needs",
                    code="SecretMissing",
                    object=f"Secret {work.namespace}/{item.secret}",
                    fix="correct the plan's secrets, or restore the Secret",
                )
            values.append((item.value, base64.b64decode(encoded).decode()))
        return nested(values)

    async def contents(self, work: Work) -> list[str]:
        """Every text in the instance's own Secrets, whatever plan they come from: what nothing may quote."""
        found = await self._cluster.list_objects("v1", "Secret", namespace=work.namespace)
        ours = [item for item in found if marks.is_ours(item, work.instance, work.tenant)]
        encoded = [text for item in ours for text in (item.get("data") or {}).values()]
        return [base64.b64decode(text).decode(errors="ignore") for text in encoded]


def _deleted(work: Work, name: str) -> Pending:
    return Pending(f"Secret {work.namespace}/{name} was deleted a moment ago")


def _random(length: int) -> str:
    chosen = "".join(secrets.choice(_ALPHABET) for _ in range(length))
    return base64.b64encode(chosen.encode()).decode()
