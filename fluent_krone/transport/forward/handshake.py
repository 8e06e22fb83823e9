"""Both halves of the handshake: HELO, PING and PONG prove that either side knows the shared key."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgpack

from ...errors import ProtocolError
from .encode import pack_message


def _nonce() -> bytes:
    return os.urandom(16)


def _salt() -> str:
    # The salt is text because Fluent Bit does not accept a msgpack bin for it.
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class HandshakeOutcome:
    """The server's answer to a PING: the PONG to send, and what to log."""

    pong: bytes
    accepted: bool
    reason: str
    client: str


@dataclass(frozen=True, slots=True)
class ServerHandshake:
    """The server's half: send `helo()`, then pass the client's PING to `answer`.

    Each connection needs its own. `users` maps names to passwords. When it is given, a client must
    name one of them besides knowing the key. `hostname` must differ from the client's own name:
    Fluentd takes an equal name for a loop and refuses the connection.
    """

    shared_key: str = field(repr=False)
    hostname: str
    users: Mapping[str, str] | None = field(default=None, repr=False)
    nonce: bytes = field(default_factory=_nonce, repr=False)
    auth_salt: bytes = field(default_factory=_nonce, repr=False)

    def helo(self) -> bytes:
        """Return the HELO, which opens the handshake."""
        auth: bytes | str = ""
        if self.users is not None:
            auth = self.auth_salt
        return pack_message(["HELO", {"nonce": self.nonce, "auth": auth, "keepalive": True}])

    def answer(self, packed: bytes) -> HandshakeOutcome:
        """Judge a PING. A refusal is an outcome; what is not a PING raises ProtocolError."""
        client, salt, digest, user, password = _handshake_message(packed, b"PING", 6)
        name = client.decode("utf-8", "replace")
        refusal = self._refusal(client, salt, digest, user, password)
        if refusal:
            pong = pack_message(["PONG", False, refusal, "", ""])
            return HandshakeOutcome(pong, False, refusal, name)
        proof = _digest(salt, self.hostname.encode(), self.nonce, self.shared_key.encode())
        pong = pack_message(["PONG", True, "", self.hostname, proof])
        return HandshakeOutcome(pong, True, "", name)

    def _refusal(
        self, client: bytes, salt: bytes, digest: bytes, user: bytes, password: bytes
    ) -> str:
        """Return why the client is refused, or nothing.

        The words are Fluentd's. They must fit the 31 bytes that Fluent Bit has for them.
        """
        if not _same(digest, _digest(salt, client, self.nonce, self.shared_key.encode())):
            return "shared_key mismatch"
        if self.users is None:
            return ""
        # The digest is also computed for an unknown name, so that the time of the answer does not
        # reveal which names exist.
        known = self.users.get(user.decode("utf-8", "replace"))
        right = _same(password, _digest(self.auth_salt, user, (known or "").encode()))
        if right and known is not None:
            return ""
        return "username/password mismatch"


@dataclass(frozen=True, slots=True)
class ClientHandshake:
    """The client's half: answer the HELO with `ping`, then `check_pong` before the first event."""

    shared_key: str = field(repr=False)
    hostname: str
    username: str = ""
    password: str = field(default="", repr=False)
    salt: str = field(default_factory=_salt, repr=False)

    def ping(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return the PING for a HELO, and the server's nonce, which `check_pong` needs."""
        (option,) = _handshake_message(packed, b"HELO", 2, dict)
        nonce = option.get(b"nonce", b"")
        auth = option.get(b"auth", b"")
        if not isinstance(nonce, bytes) or not isinstance(auth, bytes):
            raise ProtocolError("handshake: nonce and auth of the HELO must be strings")
        key = _digest(self.salt.encode(), self.hostname.encode(), nonce, self.shared_key.encode())
        login = ("", "")
        if auth:
            login = (self.username, _digest(auth, self.username.encode(), self.password.encode()))
        return pack_message(["PING", self.hostname, self.salt, key, *login]), nonce

    def check_pong(self, packed: bytes, nonce: bytes) -> None:
        """Raise ProtocolError when the server refuses us, or does not know the key itself."""
        accepted, reason, server, digest = _handshake_message(packed, b"PONG", 5, object)
        if accepted is not True:
            raise ProtocolError(f"the server refused us: {_text(reason)}")
        if not isinstance(server, bytes) or not isinstance(digest, bytes):
            raise ProtocolError("handshake: hostname and digest of the PONG must be strings")
        if not _same(digest, _digest(self.salt.encode(), server, nonce, self.shared_key.encode())):
            raise ProtocolError("the server's shared_key differs from ours")


def _handshake_message(packed: bytes, name: bytes, length: int, kind: type = bytes) -> list[Any]:
    """Return the elements after the name, all strings as bytes, each of type `kind`."""
    try:
        message = msgpack.unpackb(packed, raw=True, strict_map_key=False)
    except (ValueError, TypeError):
        message = None
    if not isinstance(message, list) or len(message) != length or message[0] != name:
        _no_handshake(name)
    if not all(isinstance(part, kind) for part in message[1:]):
        _no_handshake(name)
    return message[1:]


def _no_handshake(name: bytes) -> NoReturn:
    raise ProtocolError(
        f"handshake: expected {name.decode()}; does only one side have a shared_key?"
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _same(given: bytes, expected: str) -> bool:
    return hmac.compare_digest(given, expected.encode())
