# SPDX-License-Identifier: GPL-2.0-only
"""Turn the linked option ROM into an image a BIOS accepts.

Extracts the flat bytes from the ELF file, pads to whole 512-byte blocks,
writes the block count and makes the PnP header and the image sum to zero
(BIOS Boot Specification 1.01, PnP BIOS Specification 1.0A section 3.2).

Usage: mkrom.py OBJCOPY ELF ROM
"""
from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

BLOCK = 512
ROM_BLOCKS = 2        # offset of the length byte, in blocks
ROM_PNP = 0x1A        # offset of the 16-bit pointer to the PnP header
PNP_LENGTH = 5        # offset in that header of its length, in 16 bytes
PNP_CHECKSUM = 9


def finish(flat: bytes) -> bytes:
    """Return the image of `flat` with length and checksums filled in.

    Raises ValueError if `flat` has no option ROM header or is too long for
    the header's 8-bit count of 512-byte blocks.
    """
    # One byte more than the code: the last is the image's checksum.
    blocks = -(-(len(flat) + 1) // BLOCK)
    if flat[:2] != b"\x55\xaa":
        raise ValueError("no option ROM signature")
    if blocks > 255:
        raise ValueError(f"{len(flat)} bytes exceed an option ROM")
    rom = bytearray(flat.ljust(blocks * BLOCK, b"\0"))
    rom[ROM_BLOCKS] = blocks
    (pnp,) = struct.unpack_from("<H", rom, ROM_PNP)
    if rom[pnp:pnp + 4] != b"$PnP":
        raise ValueError("no PnP expansion header")
    header = rom[pnp:pnp + 16 * rom[pnp + PNP_LENGTH]]
    rom[pnp + PNP_CHECKSUM] = (rom[pnp + PNP_CHECKSUM] - sum(header)) & 0xFF
    rom[-1] = -sum(rom) & 0xFF
    return bytes(rom)


def main(objcopy: str, elf: str, out: str) -> int:
    """Write the finished image of `elf` to `out`; returns the exit status."""
    flat = Path(out + ".flat")
    subprocess.run([objcopy, "-O", "binary", "-j", ".image", elf, str(flat)],
                   check=True)
    try:
        Path(out).write_bytes(finish(flat.read_bytes()))
    except ValueError as error:
        print(f"mkrom: {elf}: {error}", file=sys.stderr)
        return 1
    finally:
        flat.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
