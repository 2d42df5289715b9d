# SPDX-License-Identifier: GPL-2.0-only
"""Linux bzImage: parse, validate, place (Documentation/arch/x86/boot.rst, protocol 2.12+).

The file comes from the user and is hostile: every field is checked before it is used,
and what is wrong with it ends in one UserError naming the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..core.errors import UserError

SECTOR = 512
MIN_PROTOCOL = 0x020C  # first with xloadflags and the 64-bit entry
HEADER_OFFSET = 0x1F1
HEADER_FIXED_END = 0x268  # end of the fields of protocol 2.12 (handover_offset included)
BOOT_FLAG = 0xAA55
MAGIC = b"HdrS"
LOADED_HIGH = 1 << 0
CAN_USE_HEAP = 1 << 7
XLF_KERNEL_64 = 1 << 0
XLF_CAN_BE_LOADED_ABOVE_4G = 1 << 1
ENTRY_64_OFFSET = 0x200

# What else people pass as a kernel, so that the message can say what it is.
_OTHER_FORMATS = (
    (b"\x7fELF", "an ELF file (vmlinux?); a bzImage is needed (arch/x86/boot/bzImage)"),
    (b"\x1f\x8b", "gzip data; a bzImage is needed"),
    (b"070701", "a cpio archive (an initrd?); a bzImage is needed"),
    (b"!<arch>", "a Debian package or an archive; a bzImage is needed"),
)


@dataclass(frozen=True)
class BzImage:
    """A validated kernel image.  Addresses and sizes in bytes, as in the setup header."""

    name: str
    image: bytes
    protocol: int
    setup_size: int  # boot sector and real-mode code
    payload_size: int  # protected-mode code that has to be in memory
    pref_address: int
    init_size: int  # bytes of RAM the kernel needs from its load address on
    alignment: int
    relocatable: bool
    cmdline_max: int  # without the terminating zero
    initrd_max: int  # highest address an initrd may occupy

    @property
    def setup(self) -> bytes:
        """The real-mode part: boot sector, setup header and setup code."""
        return self.image[: self.setup_size]

    @property
    def payload(self) -> memoryview:
        """The protected-mode part, as loaded at the load address."""
        return memoryview(self.image)[self.setup_size : self.setup_size + self.payload_size]

    @property
    def header(self) -> bytes:
        """The setup header, as boot_params wants it at 0x1f1."""
        end = 0x202 + self.image[0x201]
        return self.image[HEADER_OFFSET : min(end, 0x290)]

    @property
    def version(self) -> str:
        """The kernel's version string, or "" when the header points nowhere sensible."""
        (offset,) = struct.unpack_from("<H", self.image, 0x20E)
        start = offset + 0x200
        if not offset or start >= self.setup_size:
            return ""
        text = self.image[start : min(start + 256, self.setup_size)].split(b"\0", 1)[0]
        return text.decode("ascii", "replace")


def parse(image: bytes, name: str) -> BzImage:
    """Check `image` (whole file) and return its description; UserError names what is wrong."""
    _check_format(image, name)
    protocol = _u16(image, 0x206)
    if protocol < MIN_PROTOCOL:
        raise UserError(
            f"{name}: boot protocol {protocol >> 8}.{protocol & 0xff:02d} is too old, "
            "2.12 or newer is needed (Linux 3.8)"
        )
    if not image[0x211] & LOADED_HIGH:
        raise UserError(f"{name}: a zImage (loaded low); a bzImage is needed")
    if not _u16(image, 0x236) & XLF_KERNEL_64:
        raise UserError(f"{name}: a 32-bit kernel (no 64-bit entry point); an x86-64 one is needed")
    setup_size = ((image[0x1F1] or 4) + 1) * SECTOR
    payload_size = _u32(image, 0x1F4) * 16
    _check_sizes(image, name, setup_size, payload_size)
    kernel = BzImage(
        name=name,
        image=image,
        protocol=protocol,
        setup_size=setup_size,
        payload_size=payload_size,
        pref_address=_u64(image, 0x258),
        init_size=_u32(image, 0x260),
        alignment=_u32(image, 0x230),
        relocatable=bool(image[0x234]),
        cmdline_max=_u32(image, 0x238),
        initrd_max=_u32(image, 0x22C),
    )
    _check_placement_fields(kernel)
    return kernel


def load_address(kernel: BzImage, low_ram: int) -> int:
    """Where the protected-mode code goes, all of init_size inside `low_ram` bytes of RAM."""
    address = kernel.pref_address
    need = max(kernel.init_size, kernel.payload_size)
    if address + need > low_ram and kernel.relocatable:
        address = _align_up(0x10_0000, kernel.alignment)
    if address + need > low_ram:
        raise UserError(
            f"{kernel.name}: needs {(address + need + 0xfffff) >> 20} MiB of guest memory, "
            f"there are {low_ram >> 20}; give more with --memory"
        )
    return address


def initrd_address(kernel: BzImage, size: int, load: int, ram_end: int) -> int:
    """Highest page-aligned place for `size` bytes below `ram_end` and the kernel's own limit."""
    end = min(kernel.initrd_max + 1, ram_end)
    address = (end - size) & ~0xFFF
    if address < load + max(kernel.init_size, kernel.payload_size):
        raise UserError(
            f"initrd of {size >> 20} MiB and kernel {kernel.name} do not fit in guest memory "
            f"({ram_end >> 20} MiB usable); give more with --memory"
        )
    return address


def encode_cmdline(kernel: BzImage, cmdline: str, limit: int) -> bytes:
    """Zero-terminated command line, checked against the kernel's and the layout's limit."""
    if "\0" in cmdline:
        raise UserError("kernel command line contains a NUL character")
    data = cmdline.encode("utf-8", "surrogateescape")
    most = min(kernel.cmdline_max or 255, limit - 1)
    if len(data) > most:
        raise UserError(f"kernel command line has {len(data)} bytes, {kernel.name} takes {most}")
    return data + b"\0"


def _check_format(image: bytes, name: str) -> None:
    if not image:
        raise UserError(f"{name}: the kernel image is empty")
    for magic, what in _OTHER_FORMATS:
        if image.startswith(magic):
            raise UserError(f"{name}: {what}")
    if len(image) < HEADER_FIXED_END:
        raise UserError(f"{name}: too short to be a Linux kernel image ({len(image)} bytes)")
    if _u16(image, 0x1FE) != BOOT_FLAG or image[0x202:0x206] != MAGIC:
        raise UserError(f"{name}: not a Linux x86 kernel image (no boot header)")


def _check_sizes(image: bytes, name: str, setup_size: int, payload_size: int) -> None:
    if payload_size == 0:
        raise UserError(f"{name}: damaged kernel image (its header says it has no code)")
    if setup_size < 0x290 or setup_size + payload_size > len(image):
        raise UserError(
            f"{name}: truncated kernel image: {len(image)} bytes, "
            f"its header asks for {setup_size + payload_size}"
        )


def _check_placement_fields(kernel: BzImage) -> None:
    alignment = kernel.alignment
    if alignment == 0 or alignment & (alignment - 1) or alignment > 1 << 30:
        raise UserError(f"{kernel.name}: damaged kernel image (kernel_alignment {alignment:#x})")
    if not 0x10_0000 <= kernel.pref_address < 1 << 32:
        raise UserError(
            f"{kernel.name}: damaged kernel image (pref_address {kernel.pref_address:#x})"
        )
    if kernel.init_size == 0 or kernel.image[0x201] < 0x62:
        raise UserError(f"{kernel.name}: damaged kernel image (short setup header)")


def _align_up(value: int, alignment: int) -> int:
    return (value + alignment - 1) & ~(alignment - 1)


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")


def _u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")
