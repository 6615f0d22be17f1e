"""A chart repository and an OCI registry on loopback, serving one packaged chart to the real Helm."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONFIG = "application/vnd.cncf.helm.config.v1+json"
LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def packaged(helm: Path, chart: Path, folder: Path) -> Path:
    """The chart as an archive."""
    subprocess.run([helm, "package", chart, "--destination", folder], check=True, capture_output=True)
    return next(folder.glob("*.tgz"))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def answers(helm: Path, archive: Path, name: str, version: str) -> dict[str, tuple[str, bytes]]:
    """Path → content type and content: the repository's index and archive, and the registry's manifest and blobs."""
    content = archive.read_bytes()
    subprocess.run([helm, "repo", "index", archive.parent], check=True, capture_output=True)
    config = json.dumps({"name": name, "version": version, "apiVersion": "v2"}).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _described(CONFIG, config),
            "layers": [_described(LAYER, content)],
        }
    ).encode()
    return {
        "/index.yaml": ("text/yaml", (archive.parent / "index.yaml").read_bytes()),
        f"/{archive.name}": ("application/gzip", content),
        "/v2/": ("application/json", b"{}"),
        f"/v2/charts/{name}/tags/list": ("application/json", json.dumps({"tags": [version]}).encode()),
        f"/v2/charts/{name}/manifests/{version}": (MANIFEST, manifest),
        f"/v2/charts/{name}/manifests/{_digest(manifest)}": (MANIFEST, manifest),
        f"/v2/charts/{name}/blobs/{_digest(config)}": (CONFIG, config),
        f"/v2/charts/{name}/blobs/{_digest(content)}": (LAYER, content),
    }


@contextmanager
def serving(known: dict[str, tuple[str, bytes]]) -> Iterator[int]:
    """The port of a server that answers these paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            kind, content = known.get(self.path, ("text/plain", b""))
            self.send_response(200 if self.path in known else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's own name
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
