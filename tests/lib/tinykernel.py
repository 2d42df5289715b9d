# SPDX-License-Identifier: GPL-2.0-only
"""A bzImage of a few hundred bytes around a payload entered at its 64-bit entry."""

from __future__ import annotations

import struct
from pathlib import Path

from lib.payload import assemble

LOAD = 0x100000


def bzimage(load: int = LOAD, name: str = "tiny_kernel") -> bytes:
    """Boot sector with a setup header (protocol 2.15), one setup sector, the payload."""
    payload = assemble(name, load)
    payload += bytes(-len(payload) % 16)
    setup = bytearray(2 * 512)
    setup[0x1F1] = 1  # setup_sects
    struct.pack_into("<I", setup, 0x1F4, len(payload) // 16)  # syssize
    struct.pack_into("<H", setup, 0x1FE, 0xAA55)
    setup[0x200:0x202] = b"\xeb\x6a"  # jump: the header ends at 0x26c
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, 0x020F)
    setup[0x211] = 1  # loaded high
    struct.pack_into("<I", setup, 0x214, load)  # code32_start
    struct.pack_into("<I", setup, 0x22C, 0x7FFFFFFF)  # initrd_addr_max
    struct.pack_into("<I", setup, 0x230, 0x200000)  # kernel_alignment
    struct.pack_into("<H", setup, 0x236, 1)  # xloadflags: 64-bit entry
    struct.pack_into("<I", setup, 0x238, 2047)  # cmdline_size
    struct.pack_into("<Q", setup, 0x258, load)  # pref_address
    struct.pack_into("<I", setup, 0x260, 0x10000)  # init_size
    return bytes(setup) + payload


def write(folder: Path, name: str = "tiny_kernel") -> Path:
    """payloads/NAME.S as an image in folder."""
    path = folder / name
    path.write_bytes(bzimage(name=name))
    return path
