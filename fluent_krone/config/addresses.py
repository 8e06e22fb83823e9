"""Which addresses nobody else can reach, and which URLs nobody on the way can read along."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

# Ends of names that are not in the public name system.
_NEVER_PUBLIC = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".svc", ".test")


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which no other machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent to a URL: it is https, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and is_loopback(host)


def is_local(url: str) -> bool:
    """Whether a URL is of this machine."""
    return is_loopback(_host(url))


def may_use_proxy(url: str) -> bool:
    """Whether a proxy of the environment may carry requests to a URL.

    Never for plain http, where the proxy could read the API key. Nor for addresses that are not
    public: a proxy outside cannot reach them, and need not learn of them. A host name without a
    dot, or one that ends in `.local` or the like, is never public.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return False
    host = _host(url)
    if scheme != "https" or not host:
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.rstrip(".").endswith(_NEVER_PUBLIC)


def proxy_mounts(url: str) -> dict[str, None]:
    """What httpx is to mount so that requests to a URL use no proxy; empty if they may use one."""
    if may_use_proxy(url):
        return {}
    return {"http://": None, "https://": None, "all://": None}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
