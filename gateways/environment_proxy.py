"""The proxy that this process's environment names for a server, read once."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The proxy to reach the server by (HTTPS_PROXY, HTTP_PROXY), None where there is none or NO_PROXY says so.

    As for Helm and kubectl, whose Go has that rule, none is used for a server on this very machine.
    """
    parsed = urlsplit(url)
    host = parsed.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parsed.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
