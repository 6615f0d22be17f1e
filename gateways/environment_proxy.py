"""The proxy that this process's environment names for a server, read once."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The proxy to reach the server by (HTTPS_PROXY, HTTP_PROXY), None where there is none or NO_PROXY says so.

    As for Helm, whose Go has these rules (`golang.org/x/net/http/httpproxy`), none is used for a server on this very
    machine, and NO_PROXY may hold networks. Of proxies only those that are spoken to in plain HTTP are used: what is
    told to them is TLS already.
    """
    parsed = urlsplit(url)
    host = parsed.hostname or ""
    if host == "localhost" or proxy_bypass(f"{host}:{parsed.port}" if parsed.port else host) or _is_excepted(host):
        return None
    found = getproxies().get(parsed.scheme)
    return found if found and found.startswith("http://") else None


def _is_excepted(host: str) -> bool:
    """Whether the host is an address of this machine, or of a network that NO_PROXY names."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return address.is_loopback or any(address in network for network in _networks(named))


def _networks(named: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for entry in named.split(","):
        try:
            found.append(ipaddress.ip_network(entry.strip(), strict=False))
        except ValueError:
            continue  # a name, which `proxy_bypass` has seen to
    return found
