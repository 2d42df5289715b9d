# SPDX-License-Identifier: GPL-2.0-only
"""struct boot_params, the "zero page" (Documentation/arch/x86/zero-page.rst)."""

from __future__ import annotations

import struct
from typing import Sequence

from . import e820
from .bzimage import CAN_USE_HEAP, HEADER_OFFSET, BzImage

SIZE = 4096
E820_MAX = 128
LOADER_UNDEFINED = 0xFF  # type_of_loader: no number was ever assigned to us


def build(
    kernel: BzImage,
    *,
    load: int,
    cmdline: int,
    initrd: tuple[int, int],
    rsdp: int,
    memory_map: Sequence[e820.Entry],
) -> bytes:
    """The zero page.

    `load`, `cmdline`, `rsdp`: guest-physical addresses; `initrd`: (address, size), (0, 0)
    for none; `memory_map`: at most 128 entries.
    """
    if len(memory_map) > E820_MAX:
        raise ValueError(f"{len(memory_map)} E820 entries, the zero page holds {E820_MAX}")
    page = bytearray(SIZE)
    page[HEADER_OFFSET : HEADER_OFFSET + len(kernel.header)] = kernel.header
    page[0x210] = LOADER_UNDEFINED
    page[0x211] &= ~CAN_USE_HEAP & 0xFF  # only the real-mode entry has a heap
    address, size = initrd
    struct.pack_into("<Q", page, 0x070, rsdp)
    _split64(page, 0x218, 0x0C0, address)
    _split64(page, 0x21C, 0x0C4, size)
    _split64(page, 0x228, 0x0C8, cmdline)
    struct.pack_into("<I", page, 0x214, load & 0xFFFF_FFFF)
    table = e820.pack(memory_map)
    page[0x1E8] = len(memory_map)
    page[0x2D0 : 0x2D0 + len(table)] = table
    return bytes(page)


def _split64(page: bytearray, low: int, high: int, value: int) -> None:
    struct.pack_into("<I", page, low, value & 0xFFFF_FFFF)
    struct.pack_into("<I", page, high, value >> 32)
