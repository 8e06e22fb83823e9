"""Who may use the live page: everyone who has its token.

How a request is let in, and why this suffices:

1. The token is drawn by lot at each start and logged once, or it is read from a file. A browser
   gets it in the part of the address after `#`, which it never sends to anyone. The page's script
   posts it once and gets a cookie.
2. The cookie is derived from the token. No script can read it (HttpOnly), and no other site can
   make a browser send it (SameSite=Strict).
3. Whatever changes something must also come from the page's own origin, so that an old browser
   without SameSite is safe as well.
4. Programs send the token itself as `Authorization: Bearer`. Other sites cannot set this header.

All comparisons take the same time, however much of a guess is right.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import Counter
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from ..config import Config
from ..errors import ConfigError
from ..runtime.http import JSON, Request, Response
from ..runtime.secrets import secret_file

# Characters of a token in a file. A shorter one could be guessed.
_LEAST_TOKEN = 16
# Random bytes of a token that is drawn by lot.
_TOKEN_BYTES = 16


def console_token(config: Config) -> str:
    """The token of the live page: from its file, or drawn by lot. Raises ConfigError."""
    path = config.console_token_file
    if path is None:
        return secrets.token_urlsafe(_TOKEN_BYTES)
    token = secret_file("console_token_file", path).strip()
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"console_token_file {path} must hold a token of at least {_LEAST_TOKEN} ASCII "
            "characters on one line"
        )
    return token


class Access:
    """Lets requests in that show the token, or the cookie that was given for it.

    `port` is part of the cookie's name: browsers send cookies to every port of a host, and two
    services may run on one.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._name = f"krone_{port}"
        # Whoever reads the cookie from a browser's disk does not learn the token.
        self._cookie = hmac.new(token.encode(), b"cookie", hashlib.sha256).hexdigest()
        self.refused: Counter[str] = Counter()

    def log_in(self, request: Request) -> Response:
        """The cookie, for a request whose JSON body holds the right token."""
        if not _is_same_origin(request):
            return self._refuse("origin")
        try:
            token = json.loads(request.body)["token"]
        except (ValueError, TypeError, KeyError, RecursionError):
            token = None
        if not isinstance(token, str) or not _is_equal(token, self._token):
            return self._refuse("token")
        cookie = f"{self._name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"
        return Response(200, b"{}", JSON, headers=(("Set-Cookie", cookie),))

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request that is not let in; None: it is."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            if _is_equal(token.strip(), self._token):
                return None
            return self._refuse("token")
        if not _is_equal(self._cookie_of(request), self._cookie):
            return self._refuse("cookie")
        if request.method != "GET" and not _is_same_origin(request):
            return self._refuse("origin")
        return None

    def _cookie_of(self, request: Request) -> str:
        try:
            cookies = SimpleCookie(request.headers.get("cookie", ""))
        except CookieError:
            return ""
        if self._name not in cookies:
            return ""
        return cookies[self._name].value

    def _refuse(self, reason: str) -> Response:
        self.refused[reason] += 1
        body = json.dumps({"error": f"refused: wrong or missing {reason}"}).encode()
        if reason == "origin":
            return Response(403, body, JSON)
        return Response(401, body, JSON)


def _is_equal(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode())


def _is_same_origin(request: Request) -> bool:
    """Whether a browser says that the request comes from a page of this server.

    The scheme is not compared, because a proxy in front may add TLS.
    """
    origin = urlsplit(request.headers.get("origin", "")).netloc
    return bool(origin) and origin == request.headers.get("host")
