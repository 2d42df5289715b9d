# SPDX-License-Identifier: GPL-2.0-only
"""Hand-over to the firmware: image placement, fw_cfg contents, kernel keys."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from unikvm.boot import bzimage, layout, seabios
from unikvm.boot.acpi import tables
from unikvm.core.errors import UserError

pytestmark = pytest.mark.unit

MEMORY = 256 << 20
ROM = b"\x55\xaa\x01" + bytes(509)


def bios(size: int) -> bytes:
    return bytes(size - 16) + b"\xea" + bytes(15)


@pytest.mark.parametrize(("size", "shadow"), [(0x10000, 0xF0000), (0x20000, 0xE0000),
                                              (0x40000, 0xE0000)])  # fmt: skip
def test_image_ends_at_4g_and_at_1m(size: int, shadow: int) -> None:
    image = seabios.firmware_image(bios(size), "b")
    assert image.base + size == 1 << 32
    assert image.shadow_base == shadow and shadow + len(image.shadow) == 1 << 20
    assert image.shadow[-16] == 0xEA


@pytest.mark.parametrize("data", [b"", bytes(100), bytes(0x20000), bios(0x80000)])
def test_no_bios_image(data: bytes) -> None:
    with pytest.raises(UserError, match="some-bios: not a BIOS image"):
        seabios.firmware_image(data, "some-bios")


def contents() -> seabios.FwCfgContents:
    acpi = tables.build(cpus=1, memory=MEMORY)
    order = [seabios.option_rom_path(), seabios.pci_disk_path(3)]
    return seabios.machine_contents(MEMORY, 1, acpi, order)


def test_machine_contents() -> None:
    made = contents()
    assert set(made.files) == {
        "etc/e820", "etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader", "bootorder",
        "etc/boot-fail-wait",
    }  # fmt: skip
    lines = made.files["bootorder"].rstrip(b"\0").split(b"\n")
    assert lines == [b"/rom@genroms/unikvm-linuxboot.rom", b"/pci@i0cf8/scsi@3/disk@0,0"]
    assert struct.unpack_from("<QQI", made.files["etc/e820"]) == (0, MEMORY, 1)
    assert made.selectors[0x0F] == b"\1\0"


@pytest.fixture
def kernel() -> bzimage.BzImage:
    setup = bytearray(2048)
    setup[0x201] = 0x6A
    return bzimage.BzImage(
        name="k", image=bytes(setup) + b"P" * 4096, protocol=0x20F, setup_size=2048,
        payload_size=4096, pref_address=0x1000000, init_size=0x2000000, alignment=0x200000,
        relocatable=True, cmdline_max=2047, initrd_max=0x7FFFFFFF,
    )  # fmt: skip


def u32(data: bytes) -> int:
    return struct.unpack("<I", data)[0]


def test_kernel_keys(kernel: bzimage.BzImage) -> None:
    made = contents()
    initrd = b"\x28\xb5\x2f\xfd" + bytes(9000)
    seabios.add_kernel(made, kernel, "console=ttyS0", initrd, "i", MEMORY, ROM)
    keys = made.selectors
    assert keys[seabios.SEL_KERNEL_DATA] == b"P" * 4096
    assert u32(keys[seabios.SEL_KERNEL_SIZE]) == 4096
    assert u32(keys[seabios.SEL_KERNEL_ADDR]) == 0x100000
    assert keys[seabios.SEL_CMDLINE_DATA] == b"console=ttyS0\0"
    assert u32(keys[seabios.SEL_CMDLINE_SIZE]) == 14
    assert keys[seabios.SEL_INITRD_DATA] == initrd
    address = u32(keys[seabios.SEL_INITRD_ADDR])
    # Above everything the kernel needs, below what SeaBIOS keeps at the top.
    assert 0x3000000 <= address and address + len(initrd) <= MEMORY - (1 << 20)
    setup = keys[seabios.SEL_SETUP_DATA]
    assert len(setup) == u32(keys[seabios.SEL_SETUP_SIZE]) == 2048
    assert struct.unpack_from("<II", setup, 0x218) == (address, len(initrd))
    assert struct.unpack_from("<I", setup, 0x228) == (layout.LINUX_CMDLINE_ADDR,)
    assert setup[0x210] == 0xFF and setup[0x211] & 0x80
    assert made.files["genroms/unikvm-linuxboot.rom"] == ROM


def test_without_initrd_the_header_says_none(kernel: bzimage.BzImage) -> None:
    made = contents()
    seabios.add_kernel(made, kernel, "", None, "", MEMORY, ROM)
    assert struct.unpack_from("<II", made.selectors[seabios.SEL_SETUP_DATA], 0x218) == (0, 0)
    assert made.selectors[seabios.SEL_INITRD_DATA] == b""


def test_kernel_must_fit_below_the_firmwares_reserve(kernel: bzimage.BzImage) -> None:
    with pytest.raises(UserError, match="--memory"):
        seabios.add_kernel(contents(), kernel, "", None, "", 48 << 20, ROM)


def test_oversized_setup_code_is_refused(kernel: bzimage.BzImage) -> None:
    large = replace(kernel, image=bytes(0x10000), setup_size=0xF000)
    with pytest.raises(UserError, match="setup code"):
        seabios.add_kernel(contents(), large, "", None, "", MEMORY, ROM)


def test_damaged_option_rom(kernel: bzimage.BzImage) -> None:
    with pytest.raises(UserError, match="option ROM"):
        seabios.add_kernel(contents(), kernel, "", None, "", MEMORY, b"")
