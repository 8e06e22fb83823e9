"""Undoes the compression of packed entries, within a limit on what comes out."""

from __future__ import annotations

import io
import zlib

from fluent_krone.transport.forward.entries import CUT_SHORT, fault

# Gzip members in one chunk. Fluentd writes one member each time it appends to a chunk, which makes
# thousands. Each appended at least one event, so 100,000 of them would fill 10 MiB. What follows is
# given up as damaged.
_MAX_MEMBERS = 100_000
# zlib's name of the gzip format, as its argument `wbits`.
_GZIP_WBITS = 31
# Bytes given to zlib at a time. It copies what follows the end of a member, so a large portion
# would be copied once for each of its members.
_GZIP_READ_BYTES = 2**13
# Bytes that may come out of one call, so that the limit is checked before much is built.
_PIECE_BYTES = 2**20


def inflate_gzip(data: bytes, max_bytes: int) -> tuple[bytes, str | None]:
    """Undo gzip, any number of members in a row; return what came out, and what stopped it.

    Neither `gzip.decompress`, which copies the rest of the input for each member, nor a GzipFile,
    which reads headers in Python, is fast enough for thousands of members. When more than
    `max_bytes` come out, nothing is returned but the reason.
    """
    out = io.BytesIO()
    view = memoryview(data)
    at = 0
    try:
        for _ in range(_MAX_MEMBERS):
            if at == len(data):
                return out.getvalue(), None
            member = zlib.decompressobj(_GZIP_WBITS)
            while not member.eof:
                given = view[at : at + _GZIP_READ_BYTES]
                piece = member.decompress(given, _PIECE_BYTES)
                at += len(given) - len(member.unconsumed_tail) - len(member.unused_data)
                if not (given or piece):
                    return out.getvalue(), f"gzip entries are damaged: {CUT_SHORT}"
                if out.tell() + len(piece) > max_bytes:
                    return b"", f"gzip entries inflate to more than {max_bytes} bytes"
                out.write(piece)
    except zlib.error as error:
        return out.getvalue(), f"gzip entries are damaged: {fault(error)}"
    if at == len(data):
        return out.getvalue(), None
    return out.getvalue(), f"gzip entries have more than {_MAX_MEMBERS} members"
