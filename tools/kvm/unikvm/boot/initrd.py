# SPDX-License-Identifier: GPL-2.0-only
"""Check an initrd before the guest does: its panic would come late and say little."""

from __future__ import annotations

import re
import zlib

from ..core.errors import UserError

_CPIO = (b"070701", b"070702")
_COMPRESSED = (
    b"\x1f\x8b",  # gzip
    b"BZh",  # bzip2
    b"\xfd7zXZ\0",  # xz
    b"\x5d\0\0",  # lzma
    b"\x89LZO",  # lzo
    b"\x02\x21\x4c\x18",  # lz4, legacy frame
    b"\x28\xb5\x2f\xfd",  # zstd
)
_HEADER = 110  # newc: magic and thirteen fields of eight hexadecimal digits
_XZ_FOOTER = b"YZ"
_PIECE = 16 << 10
_ZEROS = re.compile(rb"\0*")


def check(data: bytes, name: str) -> None:
    """UserError unless `data` is a plausible, complete initrd.

    An initrd is a row of cpio archives, of which the last may be compressed.  Plain cpio
    and gzip are followed to their end, xz is looked at by its footer; for the other
    compressions the standard library has no decoder, so only the start is checked.
    """
    if not data:
        raise UserError(f"{name}: the initrd is empty")
    position = _skip_padding(data, 0)
    if position == len(data):
        raise UserError(f"{name}: the initrd contains only zeros")
    while position < len(data):
        if data[position : position + 6] not in _CPIO:
            _check_compressed(data, position, name)
            return
        position = _skip_padding(data, _walk_cpio(data, position, name))


def _walk_cpio(data: bytes, position: int, name: str) -> int:
    """Offset behind the archive that starts at `position`."""
    while True:
        header = data[position : position + _HEADER]
        if len(header) < _HEADER:
            raise UserError(f"{name}: truncated initrd (cpio ends at byte {len(data)})")
        if header[:6] not in _CPIO:
            raise UserError(f"{name}: damaged initrd (no cpio header at byte {position})")
        size, name_size = _field(header, 6, name), _field(header, 11, name)
        name_start = position + _HEADER
        entry = data[name_start : name_start + min(name_size, 16)]
        body = _align4(name_start + name_size)
        position = _align4(body + size)
        if body + size > len(data):
            raise UserError(
                f"{name}: truncated initrd: {len(data)} bytes, "
                f"an entry reaches to byte {body + size}"
            )
        if entry.startswith(b"TRAILER!!!\0"):
            return position


def _field(header: bytes, index: int, name: str) -> int:
    text = header[6 + 8 * index : 14 + 8 * index]
    if not all(character in b"0123456789abcdefABCDEF" for character in text):
        raise UserError(f"{name}: damaged initrd (bad cpio header)")
    return int(text, 16)


def _check_compressed(data: bytes, position: int, name: str) -> None:
    head = data[position : position + 6]
    if not head.startswith(_COMPRESSED):
        raise UserError(f"{name}: not an initrd (neither cpio nor a known compression)")
    if head.startswith(b"\x1f\x8b"):
        _check_gzip(data, position, name)
    elif head.startswith(b"\xfd7zXZ\0") and not data.rstrip(b"\0").endswith(_XZ_FOOTER):
        raise UserError(f"{name}: truncated initrd (xz data without an end)")


def _check_gzip(data: bytes, position: int, name: str) -> None:
    stream = zlib.decompressobj(wbits=31)
    view = memoryview(data)
    try:
        # In pieces: what comes out is thrown away, and may be a thousand times larger.
        for start in range(position, len(data), _PIECE):
            stream.decompress(view[start : start + _PIECE])
            if stream.eof:
                return
    except zlib.error as error:
        raise UserError(f"{name}: damaged initrd ({error})") from None
    raise UserError(f"{name}: truncated initrd (gzip data without an end)")


def _skip_padding(data: bytes, position: int) -> int:
    return _ZEROS.match(data, position).end()


def _align4(value: int) -> int:
    return (value + 3) & ~3
