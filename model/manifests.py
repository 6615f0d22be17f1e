"""Manifests as Helm renders and stores them: read as the API server will read them, and changed so that data stays.

Apart from the rest of `model` because Helm runs `keep_data` as a post-renderer, once a release, in a process of its
own: this module imports PyYAML and nothing slower.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

Manifest = dict[str, Any]

POLICY = "helm.sh/resource-policy"
HOOK = "helm.sh/hook"
RELEASE_NAME = "meta.helm.sh/release-name"

_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc, valid-type]  # the C loader where PyYAML has it: ten times as fast
    """YAML as Kubernetes' own reader takes it: no timestamps, no base 60, exponents without a point."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in ("bool", "null", "merge")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$", re.IGNORECASE),
    list("-+0123456789."),
)

_SEPARATOR = re.compile(r"^---[ \t]*(?:#[^\n]*)?$\n?", re.MULTILINE)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_KEEPABLE = ("PersistentVolumeClaim", "StatefulSet")


def read_yaml(text: str) -> object:
    """One YAML document, as Kubernetes' own reader takes it.

    Raises:
        ValueError: it is not YAML; says where.
    """
    documents = list(_documents(text))
    if len(documents) > 1:
        raise ValueError(f"holds {len(documents)} documents in place of one")
    return documents[0] if documents else None


def _documents(text: str) -> Iterator[object]:
    try:
        yield from yaml.load_all(text, Loader=_Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise ValueError(f"is not YAML{line}: {getattr(error, 'problem', None) or type(error).__name__}") from None


def write_yaml(value: object) -> str:
    """One YAML document in one line that every reader takes the same way.

    JSON, since what PyYAML writes plain (``1e3``) Kubernetes may read as another type; and not quite JSON, since YAML
    knows no escape for half a character: what JSON escapes as a pair of surrogates stands for itself.
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def parse(text: str) -> list[Manifest]:
    """Every object of a stream of YAML documents, `List`s unfolded, empty documents left out.

    Raises:
        ValueError: it is not YAML, or a document is no Kubernetes object; says which.
    """
    return [each for document in _documents(text) for each in _objects(document)]


def _objects(document: object) -> list[Manifest]:
    if document is None or document == {}:
        return []
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(kind, str):
        raise ValueError(  # noqa: TRY004 - a document's content is a value, whatever its type
            "holds a document that is no Kubernetes object: it has no kind"
        )
    if kind.endswith("List") and isinstance(document.get("items"), list):
        return [each for item in document["items"] for each in _objects(item)]
    metadata = document.get("metadata")
    named = isinstance(metadata, dict) and isinstance(metadata.get("name") or metadata.get("generateName"), str)
    if not named or not isinstance(document.get("apiVersion"), str):
        raise ValueError(f"holds a {kind} without apiVersion or metadata.name")
    return [document]


def annotations_of(manifest: Manifest) -> dict[str, str]:
    """The object's annotations; empty where it has none."""
    found: dict[str, str] = manifest["metadata"].get("annotations") or {}
    return found


def release_of(manifest: Manifest) -> str | None:
    """The release that Helm says made the object; None for hooks, which it does not say it of, and for all others'."""
    found: str | None = ((manifest.get("metadata") or {}).get("annotations") or {}).get(RELEASE_NAME)
    return found


def is_kept(manifest: Manifest) -> bool:
    """Whether Helm's uninstall leaves the object alone."""
    return annotations_of(manifest).get(POLICY) == "keep"


def kept(manifest: Manifest) -> Manifest:
    """The object as it has to be so that neither uninstall nor scaling to zero deletes a volume.

    A claim that the chart owns gets Helm's policy `keep`; a StatefulSet that would delete the claims it made
    retains them. Any other object is returned as it is.
    """
    kind = manifest["kind"]
    if kind == "PersistentVolumeClaim" and not is_kept(manifest):
        changed = copy.deepcopy(manifest)
        changed["metadata"]["annotations"] = {**annotations_of(manifest), POLICY: "keep"}
        return changed
    if kind == "StatefulSet" and "Delete" in retention(manifest).values():
        changed = copy.deepcopy(manifest)
        changed["spec"]["persistentVolumeClaimRetentionPolicy"] = dict.fromkeys(retention(manifest), "Retain")
        return changed
    return manifest


def retention(stateful_set: Manifest) -> dict[str, str]:
    """What becomes of the claims that a StatefulSet made when it is deleted or scaled; empty where nothing is said."""
    spec = stateful_set.get("spec") or {}
    found: dict[str, str] = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    return found


def forgets_data(manifest: Manifest) -> bool:
    """Whether the object, as rendered, would let an uninstall or a stop delete a volume."""
    return kept(manifest) is not manifest


def keep_data(text: str) -> str:
    """A stream of documents with every object `kept`; what needs no change stays as it was, to the byte.

    Raises:
        ValueError: a document that would need a change cannot be read.
    """
    return "---\n".join(_keep_data(document) for document in _SEPARATOR.split(text))


def _keep_data(document: str) -> str:
    if not any(kind in document for kind in _KEEPABLE):
        return document
    before = parse(document)
    after = [kept(each) for each in before]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return document
    comment = "".join(line + "\n" for line in document.splitlines() if line.startswith("# Source:"))
    return "---\n".join(f"{comment}{write_yaml(each)}\n" for each in after)
