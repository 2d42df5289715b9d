# SPDX-License-Identifier: GPL-2.0-only
"""Builders for ACPI Machine Language (ACPI 6.4 chapter 20) and resources (6.4).

Each function returns the bytes of one term; terms nest by passing bytes on.
"""

from __future__ import annotations

import struct

# Resource descriptors: general flags of address spaces (ACPI 6.4 6.4.3.5).
_MIN_FIXED, _MAX_FIXED = 1 << 2, 1 << 3
_SPACE_MEMORY, _SPACE_IO, _SPACE_BUS = 0, 1, 2
_IO_ENTIRE_RANGE = 3
_MEMORY_READ_WRITE = 1


def pkg_length(body: int) -> bytes:
    """PkgLength in front of `body` bytes; it counts itself (20.2.4)."""
    if body + 1 < 1 << 6:
        return bytes([body + 1])
    for extra in (1, 2, 3):
        total = body + 1 + extra
        if total < 1 << (4 + 8 * extra):
            head = bytes([extra << 6 | total & 0xF])
            return head + (total >> 4).to_bytes(extra, "little")
    raise ValueError(f"AML package of {body} bytes")


def name(path: str) -> bytes:
    """NameString: "\\_SB.PCI0", "^FOO", "BAR" (20.2.2); segments are padded with '_'."""
    prefix = path[: len(path) - len(path.lstrip("\\^"))]
    segments = [part for part in path[len(prefix) :].split(".") if part]
    if any(len(part) > 4 for part in segments):
        raise ValueError(f"AML name segment too long in {path!r}")
    body = b"".join(part.ljust(4, "_").encode("ascii") for part in segments)
    count = {0: b"\0", 1: b"", 2: b"\x2e"}.get(len(segments))
    lead = bytes([0x2F, len(segments)]) if count is None else count
    return prefix.encode("ascii") + lead + body


def integer(value: int) -> bytes:
    """The shortest constant for `value` (0..2^64-1)."""
    if value in (0, 1):
        return bytes([value])
    for opcode, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
        if value < 1 << (8 * size):
            return bytes([opcode]) + value.to_bytes(size, "little")
    raise ValueError(f"AML integer {value:#x} is wider than 64 bits")


def string(text: str) -> bytes:
    """A zero-terminated ASCII string."""
    return b"\x0d" + text.encode("ascii") + b"\0"


def eisa_id(text: str) -> bytes:
    """EISAID("PNP0A03"): three letters of five bits, four hexadecimal digits, big endian."""
    letters = 0
    for letter in text[:3]:
        letters = letters << 5 | ord(letter) - 0x40
    raw = struct.pack(">HH", letters, int(text[3:], 16))
    return integer(int.from_bytes(raw, "little"))


def buffer(data: bytes) -> bytes:
    """A buffer of exactly `data`."""
    body = integer(len(data)) + data
    return b"\x11" + pkg_length(len(body)) + body


def package(*elements: bytes) -> bytes:
    """A package of at most 255 elements."""
    body = bytes([len(elements)]) + b"".join(elements)
    return b"\x12" + pkg_length(len(body)) + body


def named(path: str, value: bytes) -> bytes:
    """Name (path, value)."""
    return b"\x08" + name(path) + value


def scope(path: str, *terms: bytes) -> bytes:
    """Scope (path) { terms }."""
    body = name(path) + b"".join(terms)
    return b"\x10" + pkg_length(len(body)) + body


def device(path: str, *terms: bytes) -> bytes:
    """Device (path) { terms }."""
    body = name(path) + b"".join(terms)
    return b"\x5b\x82" + pkg_length(len(body)) + body


def resources(*descriptors: bytes) -> bytes:
    """ResourceTemplate () { descriptors }: a buffer closed by an end tag, checksum unused."""
    return buffer(b"".join(descriptors) + b"\x79\x00")


def io_ports(base: int, length: int) -> bytes:
    """IO (Decode16, base, base, 1, length)."""
    return struct.pack("<BBHHBB", 0x47, 1, base, base, 1, length)


def irq(number: int) -> bytes:
    """IRQNoFlags () {number}: ISA semantics, edge, active high, exclusive."""
    return struct.pack("<BH", 0x22, 1 << number)


def memory32_fixed(base: int, length: int) -> bytes:
    """Memory32Fixed (ReadWrite, base, length)."""
    return struct.pack("<BHBII", 0x86, 9, _MEMORY_READ_WRITE, base, length)


def bus_numbers(first: int, last: int) -> bytes:
    """WordBusNumber (ResourceProducer, ...)."""
    return _word_space(_SPACE_BUS, 0, first, last)


def word_io(first: int, last: int) -> bytes:
    """WordIO (ResourceProducer, ..., EntireRange)."""
    return _word_space(_SPACE_IO, _IO_ENTIRE_RANGE, first, last)


def dword_memory(first: int, last: int) -> bytes:
    """DWordMemory (ResourceProducer, ..., NonCacheable, ReadWrite)."""
    return struct.pack(
        "<BHBBBIIIII", 0x87, 23, _SPACE_MEMORY, _MIN_FIXED | _MAX_FIXED, _MEMORY_READ_WRITE,
        0, first, last, 0, last - first + 1,
    )  # fmt: skip


def _word_space(space: int, type_flags: int, first: int, last: int) -> bytes:
    return struct.pack(
        "<BHBBBHHHHH", 0x88, 13, space, _MIN_FIXED | _MAX_FIXED, type_flags,
        0, first, last, 0, last - first + 1,
    )  # fmt: skip
