"""The handshake, both halves against each other and against digests worked out by hand."""

from __future__ import annotations

import msgpack
import pytest
from frames import GOOD, pack

from fluent_krone.errors import ProtocolError
from fluent_krone.transport.forward import ClientHandshake, ServerHandshake


def shake(server: ServerHandshake, client: ClientHandshake) -> str:
    """Run both machines against each other; the reason of a refusal, or nothing."""
    ping, nonce = client.ping(server.helo())
    outcome = server.answer(ping)
    try:
        client.check_pong(outcome.pong, nonce)
    except ProtocolError as error:
        assert not outcome.accepted and outcome.reason in str(error)
    else:
        assert outcome.accepted
    assert outcome.client == client.hostname
    return outcome.reason


def test_handshake_by_shared_key() -> None:
    assert shake(ServerHandshake("key", "s"), ClientHandshake("key", "c")) == ""
    assert shake(ServerHandshake("key", "s"), ClientHandshake("kex", "c")) == "shared_key mismatch"


def test_handshake_by_user() -> None:
    server = ServerHandshake("key", "s", {"ann": "pw", "empty": ""})
    assert shake(server, ClientHandshake("key", "c", "ann", "pw")) == ""
    assert shake(server, ClientHandshake("key", "c", "empty", "")) == ""
    for login in (("ann", "no"), ("bob", "pw"), ("bob", ""), ("", "")):
        assert shake(server, ClientHandshake("key", "c", *login)) == "username/password mismatch"


def test_handshake_digests_follow_the_specification() -> None:
    """sha512 hex of salt + hostname + nonce + key, worked out with `sha512sum`."""
    server = ServerHandshake("key", "srv", nonce=b"nonce")
    ping, _ = ClientHandshake("key", "cli", salt="salt").ping(server.helo())
    assert msgpack.unpackb(ping) == ["PING", "cli", "salt", PING_DIGEST, "", ""]
    assert msgpack.unpackb(server.answer(ping).pong) == ["PONG", True, "", "srv", PONG_DIGEST]


def test_client_refuses_a_server_that_does_not_know_the_key() -> None:
    client = ClientHandshake("key", "c")
    _, nonce = client.ping(ServerHandshake("other", "s").helo())
    with pytest.raises(ProtocolError, match="shared_key differs"):
        client.check_pong(pack(["PONG", True, "", "s", "0" * 128]), nonce)


@pytest.mark.parametrize(
    "message", [b"", b"\xc1", pack(3), pack(["PING"]), pack(["PING", 1, 2, 3, 4, 5]), GOOD]
)
def test_what_is_no_handshake(message: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected PING"):
        ServerHandshake("key", "s").answer(message)
    with pytest.raises(ProtocolError, match="expected HELO"):
        ClientHandshake("key", "c").ping(message)
    with pytest.raises(ProtocolError, match="expected PONG"):
        ClientHandshake("key", "c").check_pong(message, b"")


def test_secrets_stay_out_of_repr() -> None:
    assert "hush" not in repr(ServerHandshake("hush", "s", {"u": "hush"})) + repr(
        ClientHandshake("hush", "c", "u", "hush")
    )


PING_DIGEST = (
    "3a003bbae734141a26397258dc13409bf7e4c16504115fe8e393675278687ea7"
    "325f1ece63582efe05710ef5e793b865ade5e4b444e0e1be83d94973116eb6b7"
)


PONG_DIGEST = (
    "9d93928d1b0d20a9660c3b404624a76d503741111fdb11afc494a539260591ce"
    "55846fc9f8162032b47c19bee57c4bc2adf24fe50c251963321f91c1c34687a0"
)
