"""The Forward protocol v1 as a pure machine: bytes in, chunks out, and back; no socket, no clock.

Two inputs use it: the pipe under Fluentd and the TCP server. All four carriers are understood
(Message, Forward, PackedForward and CompressedPackedForward), and so are the `chunk` option, which
asks for an ack, and the handshake by shared key.
Specification: https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1

Each module has one job:

- `framing` cuts a byte stream into messages and reads the frame around the events, with a short
  way for small ones;
- `large` reads frames that are too large for memory into files (`spool`);
- `headers` knows the first bytes of msgpack objects;
- `compression` undoes gzip and zstd;
- `entries` turns packed events into times and records: the hot path;
- `encode` packs events and acks;
- `handshake` has both halves of the handshake.
"""

from __future__ import annotations

from .encode import ack_bytes, encode_event_time, encode_events, pack_message
from .entries import Chunk, Event
from .framing import ForwardDecoder, Frame, FrameSplitter, decode_frame
from .handshake import ClientHandshake, HandshakeOutcome, ServerHandshake
from .headers import foreign_protocol
from .large import FrameTooLarge, LargeFrame

__all__ = [
    "Chunk",
    "ClientHandshake",
    "Event",
    "ForwardDecoder",
    "Frame",
    "FrameSplitter",
    "FrameTooLarge",
    "HandshakeOutcome",
    "LargeFrame",
    "ServerHandshake",
    "ack_bytes",
    "decode_frame",
    "encode_event_time",
    "encode_events",
    "foreign_protocol",
    "pack_message",
]
