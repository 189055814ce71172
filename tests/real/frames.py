"""Frames of HTTP/2 written by hand (RFC 9113), with headers that use no table (RFC 7541)."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
END_STREAM, END_HEADERS = 1, 4


def text(value: bytes) -> bytes:
    """As HPACK has it: its length in a prefix of seven bits (RFC 7541, 5.2)."""
    length, prefix = len(value), bytearray()
    if length < 127:
        return bytes([length]) + value
    prefix.append(127)
    length -= 127
    while length >= 128:
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes([*prefix, length]) + value


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def hello() -> bytes:
    """What a client begins with."""
    return PREFACE + frame(SETTINGS, 0, 0, b"")


def headers(stream: int, fields: list[tuple[bytes, bytes]], ends: bool) -> bytes:
    """HEADERS, and CONTINUATION as far as there are too many."""
    block = b"".join(b"\0" + text(name) + text(value) for name, value in fields)
    pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    last = len(pieces) - 1
    return b"".join(
        frame(CONTINUATION if at else HEADERS, END_HEADERS * (at == last) | (ends and not at), stream, piece)
        for at, piece in enumerate(pieces)
    )
