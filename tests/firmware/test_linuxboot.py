# SPDX-License-Identifier: GPL-2.0-only
"""The option ROM: its header, what it loads where, and what it refuses."""
from __future__ import annotations

import random
import struct
import zlib

import pytest

ERROR = "unikvm-linuxboot: error: "


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that no pattern can pass for; the same ones each time."""
    return random.Random(seed).randbytes(size)


@pytest.mark.unit
def test_rom_header(built):
    rom = built.rom.read_bytes()
    assert rom[:2] == b"\x55\xaa"
    assert len(rom) == rom[2] * 512
    assert sum(rom) % 256 == 0
    (pnp,) = struct.unpack_from("<H", rom, 0x1A)
    header = rom[pnp:pnp + 32]
    assert header[:4] == b"$PnP" and header[5] * 16 == 32
    assert sum(header) % 256 == 0
    bcv, _, bev = struct.unpack_from("<HHH", header, 22)
    assert bcv == 0 and 0 < bev < len(rom)


@pytest.mark.boot
@pytest.mark.parametrize("dma", [True, False], ids=["dma", "port"])
@pytest.mark.parametrize("rom", ["qemu", "genroms"])
def test_hand_over(payload, boot, files, dma, rom):
    """Every byte arrives, at a place the boot protocol allows."""
    # Odd sizes, above one port-read buffer, the kernel above 1 MiB + 512 KiB.
    data, initrd = noise(700_001), noise(300_003, 2)
    kernel = files("kernel", payload.bzimage(data, init_size=0x200000))
    cmdline = "console=ttyS0 an argument, last"
    went = boot(kernel, initrd=files("initrd", initrd), cmdline=cmdline,
                dma=dma, rom=rom)
    assert f"fw_cfg by {'DMA' if dma else 'port'}" in went.console
    assert went.report["cmdline"] == cmdline
    assert went.number("kernel_crc") == zlib.crc32(data)
    assert went.number("initrd_size") == len(initrd)
    assert went.number("initrd_crc") == zlib.crc32(initrd)
    assert went.number("code32_start") == 0x100000
    # Above the kernel's working memory, below the end of RAM.
    assert went.number("initrd") % 4096 == 0
    assert 0x300000 <= went.number("initrd") < 64 << 20
    assert went.number("loader") == 0xFF
    assert went.number("loadflags") & 0x81 == 0x81
    # The heap ends 0x200 below the stack's top, both in the setup segment.
    assert went.number("heap_end") == went.number("stack") - 0x200
    assert went.number("setup") + went.number("stack") <= 0x20000


@pytest.mark.boot
def test_no_initrd_and_no_command_line(payload, boot, files):
    kernel = files("kernel", payload.bzimage(b"x"))
    went = boot(kernel)
    assert went.number("initrd") == 0 and went.number("initrd_size") == 0
    assert went.report["cmdline"] == ""


@pytest.mark.boot
def test_longest_command_line(payload, boot, files):
    """cmdline_size counts without the terminator: exactly that many fit."""
    kernel = files("kernel", payload.bzimage(b"x", cmdline_size=2047))
    text = "x" * 2046 + "y"
    assert boot(kernel, cmdline=text).report["cmdline"] == text


@pytest.mark.boot
def test_initrd_stays_below_the_kernels_limit(payload, boot, files):
    limit = 0x1FFFFFF
    data = noise(100_000)
    kernel = files("kernel", payload.bzimage(b"x", initrd_addr_max=limit))
    went = boot(kernel, initrd=files("initrd", data), memory=128)
    top = went.number("initrd") + len(data)
    assert limit - 4096 < top - 1 <= limit
    assert went.number("initrd_crc") == zlib.crc32(data)


@pytest.mark.boot
def test_initrd_avoids_reserved_memory(payload, boot, files):
    """SeaBIOS keeps its tables at the top of RAM; the initrd goes below."""
    went = boot(files("kernel", payload.bzimage(b"x")),
                initrd=files("initrd", noise(5000)))
    ram = [line.split() for line in went.console.splitlines()
           if line.endswith("= 1 RAM")]
    # "2: 0000000000100000 - 0000000003fe0000 = 1 RAM"
    ranges = [(int(words[1], 16), int(words[3], 16)) for words in ram]
    at = went.number("initrd")
    assert any(start <= at and at + 5000 <= end for start, end in ranges)
    assert max(end for _, end in ranges) < 64 << 20


@pytest.mark.boot
@pytest.mark.parametrize("dma", [True, False], ids=["dma", "port"])
def test_not_a_kernel(payload, boot, files, dma):
    image = payload.bzimage(b"x").replace(b"HdrS", b"Hdrs", 1)
    went = boot(files("kernel", image), until=ERROR, dma=dma)
    assert ERROR + "the kernel is not a Linux bzImage" in went.console


@pytest.mark.boot
def test_no_kernel(boot, files, built):
    """Our ROM in a machine without a hand-over."""
    went = boot(None, rom="genroms", until=ERROR)
    assert ERROR + "no kernel in fw_cfg" in went.console


@pytest.mark.boot
def test_command_line_too_long(payload, boot, files):
    kernel = files("kernel", payload.bzimage(b"x", cmdline_size=100))
    went = boot(kernel, cmdline="x" * 101, until=ERROR)
    assert ERROR + "command line of 102 bytes, this kernel takes 100" \
        in went.console


@pytest.mark.boot
def test_kernel_needs_more_memory(payload, boot, files):
    kernel = files("kernel", payload.bzimage(b"x", init_size=48 << 20))
    went = boot(kernel, memory=32, until=ERROR)
    assert ERROR + "the kernel needs RAM from 0x100000 up to 49 MiB, " \
        "there is 31 MiB" in went.console


@pytest.mark.boot
def test_no_room_for_initrd(payload, boot, files):
    """The initrd would fit into the RAM there is, but not beside the kernel."""
    kernel = files("kernel", payload.bzimage(b"x", init_size=24 << 20))
    went = boot(kernel, initrd=files("initrd", bytes(10 << 20)), memory=32,
                until=ERROR)
    assert ERROR + f"no RAM for an initrd of {10 << 20} bytes" in went.console


@pytest.mark.boot
def test_old_protocol(payload, boot, files):
    """2.01 kernels take their command line another way: refused, not guessed."""
    kernel = files("kernel", payload.bzimage(b"x", protocol=0x201))
    went = boot(kernel, until=ERROR)
    assert ERROR + "boot protocol 0x201 is too old" in went.console


@pytest.mark.boot
def test_version_on_debug_console(payload, boot, files, built):
    import json
    version = json.loads((built.out / "bios.json").read_text())["version"]
    assert "-unikvm-" in version
    went = boot(files("kernel", payload.bzimage(b"x")))
    assert f"SeaBIOS (version {version})\n" in went.console


@pytest.mark.unit
@pytest.mark.parametrize(("flat", "words"), [
    (b"\0" * 64, "no option ROM signature"),
    (b"\x55\xaa" + bytes(200), "no PnP expansion header"),
    (b"\x55\xaa" + bytes(255 * 512), "exceed an option ROM"),
])
def test_mkrom_refuses(flat, words):
    import mkrom
    with pytest.raises(ValueError, match=words):
        mkrom.finish(flat)
