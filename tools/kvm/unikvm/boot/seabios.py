# SPDX-License-Identifier: GPL-2.0-only
"""What SeaBIOS needs from us: where its image goes and what fw_cfg tells it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ..core.errors import UserError
from . import bzimage, e820, initrd as initrd_check, layout
from .acpi.tables import AcpiTables

# fw_cfg selectors that predate the file directory.  Little endian unless said otherwise.
SEL_RAM_SIZE = 0x03
SEL_NB_CPUS = 0x05
SEL_KERNEL_ADDR, SEL_KERNEL_SIZE = 0x07, 0x08
SEL_INITRD_ADDR, SEL_INITRD_SIZE = 0x0A, 0x0B
SEL_NUMA = 0x0D
SEL_BOOT_MENU = 0x0E
SEL_MAX_CPUS = 0x0F
SEL_KERNEL_ENTRY, SEL_KERNEL_DATA = 0x10, 0x11
SEL_INITRD_DATA = 0x12
SEL_CMDLINE_ADDR, SEL_CMDLINE_SIZE, SEL_CMDLINE_DATA = 0x13, 0x14, 0x15
SEL_SETUP_ADDR, SEL_SETUP_SIZE, SEL_SETUP_DATA = 0x16, 0x17, 0x18
SEL_ACPI_TABLES = 0x8000
SEL_SMBIOS = 0x8001
SEL_IRQ0_OVERRIDE = 0x8002

OPTION_ROM_FILE = "genroms/unikvm-linuxboot.rom"
_OPTION_ROM_MAX = 64 * layout.KIB
_SETUP_MAX = 64 * layout.KIB  # one real-mode segment holds setup code, heap and stack
_HEAP_END = 0xFE00 - 0x200  # heap_end_ptr: up to the end of the segment, less 0x200


@dataclass(frozen=True)
class FirmwareImage:
    """`image` goes to `base`, read-only; `shadow` to `shadow_base`, below 1 MiB."""

    image: bytes
    base: int
    shadow: bytes
    shadow_base: int


@dataclass
class FwCfgContents:
    """Contents for the fw_cfg device: by selector, and by file name."""

    selectors: dict[int, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def firmware_image(image: bytes, name: str) -> FirmwareImage:
    """Check a BIOS image and say where it goes; UserError when it is none."""
    size = len(image)
    if size == 0 or size % (64 * layout.KIB) or size > layout.FIRMWARE_MAX:
        raise UserError(
            f"{name}: not a BIOS image: {size} bytes, "
            f"a multiple of 64 KiB up to {layout.FIRMWARE_MAX >> 10} KiB is needed"
        )
    # At reset CS:IP is 16 bytes below the end; every PC BIOS has a far jump there.
    if image[-16] != 0xEA:
        raise UserError(f"{name}: not a BIOS image (no jump at the reset vector)")
    shadow = image[-layout.FIRMWARE_SHADOW_MAX :]
    return FirmwareImage(
        image, layout.FIRMWARE_END - size, shadow, layout.FIRMWARE_SHADOW_END - len(shadow)
    )


def machine_contents(
    memory: int, cpus: int, acpi: AcpiTables, boot_order: list[str]
) -> FwCfgContents:
    """What describes the machine: `memory` in bytes, `boot_order` as open firmware paths."""
    contents = FwCfgContents()
    contents.selectors = {
        SEL_RAM_SIZE: struct.pack("<Q", memory),
        SEL_NB_CPUS: struct.pack("<H", cpus),
        SEL_NUMA: struct.pack("<Q", 0),
        SEL_BOOT_MENU: struct.pack("<H", 0),
        SEL_MAX_CPUS: struct.pack("<H", cpus),
        SEL_ACPI_TABLES: struct.pack("<H", 0),
        SEL_SMBIOS: struct.pack("<H", 0),
        SEL_IRQ0_OVERRIDE: b"\0",
    }
    contents.files = {
        "etc/e820": e820.pack(e820.for_firmware(memory)),
        "etc/boot-fail-wait": struct.pack("<I", 0xFFFF_FFFF),
        **acpi.fw_cfg_files(),
    }
    if boot_order:
        contents.files["bootorder"] = "\n".join(boot_order).encode("ascii") + b"\0"
    return contents


def pci_disk_path(slot: int) -> str:
    """The bootorder line of the disk behind the PCI function `slot`.0."""
    return f"/pci@i0cf8/scsi@{slot:x}/disk@0,0"


def option_rom_path() -> str:
    """The bootorder line of our kernel-loading option ROM."""
    return f"/rom@{OPTION_ROM_FILE}"


def add_kernel(
    contents: FwCfgContents,
    kernel: bzimage.BzImage,
    cmdline: str,
    initrd: bytes | None,
    initrd_name: str,
    memory: int,
    option_rom: bytes,
) -> None:
    """Hand kernel, initrd and command line to the option ROM through the legacy keys.

    The ROM only copies: the setup code with a header completed here to its address, the
    rest likewise, and jumps to the real-mode entry (boot.rst, "RUNNING THE KERNEL").
    """
    _check_option_rom(option_rom)
    ram_end = layout.low_ram_size(memory) - layout.FIRMWARE_HIGH_RESERVE
    # The real-mode entry moves nothing: code32_start is where we put the payload.
    load = layout.LINUX_KERNEL_ADDR
    _check_kernel_fits(kernel, load, ram_end)
    text = bzimage.encode_cmdline(kernel, cmdline, layout.BOOT_CMDLINE_MAX)
    address, data = 0, b""
    if initrd is not None:
        initrd_check.check(initrd, initrd_name)
        data = initrd
        address = bzimage.initrd_address(
            kernel, len(initrd), max(load, kernel.pref_address), ram_end
        )
    setup = _real_mode_setup(kernel, address, len(data))
    contents.selectors |= {
        SEL_KERNEL_ADDR: struct.pack("<I", load),
        SEL_KERNEL_SIZE: struct.pack("<I", kernel.payload_size),
        SEL_KERNEL_ENTRY: struct.pack("<I", load),
        SEL_KERNEL_DATA: bytes(kernel.payload),
        SEL_INITRD_ADDR: struct.pack("<I", address),
        SEL_INITRD_SIZE: struct.pack("<I", len(data)),
        SEL_INITRD_DATA: data,
        SEL_CMDLINE_ADDR: struct.pack("<I", layout.LINUX_CMDLINE_ADDR),
        SEL_CMDLINE_SIZE: struct.pack("<I", len(text)),
        SEL_CMDLINE_DATA: text,
        SEL_SETUP_ADDR: struct.pack("<I", layout.LINUX_SETUP_ADDR),
        SEL_SETUP_SIZE: struct.pack("<I", len(setup)),
        SEL_SETUP_DATA: setup,
    }
    contents.files[OPTION_ROM_FILE] = option_rom


def _check_option_rom(rom: bytes) -> None:
    if rom[:2] != b"\x55\xaa" or len(rom) > _OPTION_ROM_MAX:
        raise UserError(f"the firmware's kernel-loading option ROM is damaged ({len(rom)} bytes)")


def _check_kernel_fits(kernel: bzimage.BzImage, load: int, ram_end: int) -> None:
    end = max(load, kernel.pref_address) + max(kernel.init_size, kernel.payload_size)
    if end > ram_end:
        raise UserError(
            f"{kernel.name}: needs {(end + layout.FIRMWARE_HIGH_RESERVE + 0xfffff) >> 20} MiB of "
            "guest memory; give more with --memory"
        )
    if kernel.setup_size > _SETUP_MAX - 0x8000:
        raise UserError(f"{kernel.name}: damaged kernel image (setup code of {kernel.setup_size})")


def _real_mode_setup(kernel: bzimage.BzImage, initrd: int, initrd_size: int) -> bytes:
    """The setup code with the fields of its header that a boot loader fills in."""
    setup = bytearray(kernel.setup)
    setup[0x210] = 0xFF  # type_of_loader: no assigned number
    setup[0x211] |= bzimage.CAN_USE_HEAP
    struct.pack_into("<I", setup, 0x214, layout.LINUX_KERNEL_ADDR)
    struct.pack_into("<II", setup, 0x218, initrd, initrd_size)
    struct.pack_into("<H", setup, 0x224, _HEAP_END)
    struct.pack_into("<I", setup, 0x228, layout.LINUX_CMDLINE_ADDR)
    return bytes(setup)
