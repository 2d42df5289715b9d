# SPDX-License-Identifier: GPL-2.0-only
"""The ACPI tables as one relocatable piece, for a known address or for the firmware's loader.

Every pointer is kept as an offset into the piece together with the list of places that
hold one and of the checksums to be made afterwards.  `place()` resolves them for a
direct boot; `loader_script()` asks SeaBIOS to do the same (fw_cfg etc/table-loader).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from .. import layout
from . import dsdt

_OEM_ID = b"UNIKVM"
_OEM_TABLE_ID = b"UNIKVMPC"
_CREATOR_ID = b"UKVM"
_HEADER_SIZE = 36
_CHECKSUM_OFFSET = 9
_ALIGN = 64  # FACS wants 64, the rest takes it too (ACPI 6.4 5.2.10)

# FADT fixed feature flags (ACPI 6.4 table 5.10)
_WBINVD, _PROC_C1 = 1 << 0, 1 << 2
_POWER_BUTTON_NOT_FIXED, _SLEEP_BUTTON_NOT_FIXED = 1 << 4, 1 << 5
_RESET_REGISTER = 1 << 10
# IAPC_BOOT_ARCH: there are legacy ISA devices.  The 8042 bit stays clear: our controller
# only resets the machine, and a driver probing it for a keyboard would wait in vain.
_LEGACY_DEVICES, _NO_VGA = 1 << 0, 1 << 2
_CMOS_CENTURY = 0x32

_MADT_PCAT_COMPAT = 1 << 0  # two 8259s are there as well
_LEVEL_ACTIVE_HIGH = 0b1101  # MPS INTI flags (ACPI 6.4 table 5.27)
_ALL_CPUS = 0xFF
MAX_CPUS = 255  # one-byte APIC ids, 0xff is the broadcast id

_FILE_RSDP = "etc/acpi/rsdp"
_FILE_TABLES = "etc/acpi/tables"
_LOADER_ALLOCATE, _LOADER_POINTER, _LOADER_CHECKSUM = 1, 2, 3
_ZONE_HIGH, _ZONE_FSEG = 1, 2
_LOADER_ENTRY = 128
_LOADER_NAME = 56


class Pointer(NamedTuple):
    """A little-endian field of `width` bytes at `offset` that holds an offset to relocate."""

    offset: int
    width: int


class Checksum(NamedTuple):
    """The byte at `offset` makes the bytes [start, start + length) sum up to zero."""

    offset: int
    start: int
    length: int


@dataclass(frozen=True)
class Piece:
    """Bytes with unresolved pointers (all into the tables) and checksums."""

    data: bytes
    pointers: tuple[Pointer, ...]
    checksums: tuple[Checksum, ...]

    def resolve(self, target: int) -> bytes:
        """The final bytes when the tables lie at `target`."""
        data = bytearray(self.data)
        for offset, width in self.pointers:
            value = int.from_bytes(data[offset : offset + width], "little") + target
            data[offset : offset + width] = value.to_bytes(width, "little")
        for offset, start, length in self.checksums:
            data[offset] = -sum(data[start : start + length]) & 0xFF
        return bytes(data)


@dataclass(frozen=True)
class AcpiTables:
    """RSDP and tables."""

    rsdp: Piece
    tables: Piece

    def place(self, rsdp_address: int, tables_address: int) -> tuple[bytes, bytes]:
        """(RSDP, tables), ready to be copied to these guest-physical addresses."""
        if rsdp_address % 16 or tables_address % _ALIGN:
            raise ValueError("ACPI tables misaligned")
        return self.rsdp.resolve(tables_address), self.tables.resolve(tables_address)

    def fw_cfg_files(self) -> dict[str, bytes]:
        """The three files from which SeaBIOS installs the tables."""
        return {
            _FILE_RSDP: self.rsdp.data,
            _FILE_TABLES: self.tables.data,
            "etc/table-loader": self.loader_script(),
        }

    def loader_script(self) -> bytes:
        """128-byte commands: allocate both files, relocate pointers, then checksums."""
        script = _allocate(_FILE_RSDP, 16, _ZONE_FSEG)
        script += _allocate(_FILE_TABLES, _ALIGN, _ZONE_HIGH)
        for file, piece in ((_FILE_TABLES, self.tables), (_FILE_RSDP, self.rsdp)):
            for pointer in piece.pointers:
                script += _relocate(file, pointer)
            for checksum in piece.checksums:
                script += _command(
                    _LOADER_CHECKSUM, _file_name(file) + struct.pack("<III", *checksum)
                )
        return script


class _Builder:
    """Appends tables and records where their pointers and checksums are."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.pointers: list[Pointer] = []
        self.checksums: list[Checksum] = []

    def table(self, signature: bytes, revision: int, body: bytes) -> int:
        """Append a table with the standard header (5.2.6); returns its offset."""
        length = _HEADER_SIZE + len(body)
        header = struct.pack(
            "<4sIBB6s8sI4sI", signature, length, revision, 0,
            _OEM_ID, _OEM_TABLE_ID, 1, _CREATOR_ID, 1,
        )  # fmt: skip
        start = self.raw(header + body)
        self.checksums.append(Checksum(start + _CHECKSUM_OFFSET, start, length))
        return start

    def raw(self, data: bytes) -> int:
        """Append bytes without a checksum, aligned; returns their offset."""
        self.data += bytes(-len(self.data) % _ALIGN)
        start = len(self.data)
        self.data += data
        return start

    def piece(self) -> Piece:
        """What was built so far."""
        return Piece(bytes(self.data), tuple(self.pointers), tuple(self.checksums))


def build(*, cpus: int, memory: int) -> AcpiTables:
    """Tables for `cpus` processors (APIC ids 0..cpus-1) and `memory` bytes of RAM."""
    if not 1 <= cpus <= MAX_CPUS:
        raise ValueError(f"{cpus} CPUs: 1 to {MAX_CPUS} fit in the MADT's local APIC entries")
    out = _Builder()
    facs = out.raw(_facs())
    dsdt_offset = out.table(b"DSDT", 2, dsdt.build(cpus=cpus, memory=memory))
    fadt = out.table(b"FACP", 3, _fadt(facs, dsdt_offset))
    out.pointers += [Pointer(fadt + 36, 4), Pointer(fadt + 40, 4), Pointer(fadt + 140, 8)]
    madt = out.table(b"APIC", 3, _madt(cpus))
    rsdt = _directory(out, b"RSDT", 4, (fadt, madt))
    xsdt = _directory(out, b"XSDT", 8, (fadt, madt))
    return AcpiTables(rsdp=_rsdp(rsdt, xsdt), tables=out.piece())


def _directory(out: _Builder, signature: bytes, width: int, tables: tuple[int, ...]) -> int:
    body = b"".join(offset.to_bytes(width, "little") for offset in tables)
    start = out.table(signature, 1, body)
    for index in range(len(tables)):
        out.pointers.append(Pointer(start + _HEADER_SIZE + index * width, width))
    return start


def _rsdp(rsdt: int, xsdt: int) -> Piece:
    data = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, _OEM_ID, 2, rsdt, 36, xsdt, 0)
    return Piece(
        data,
        pointers=(Pointer(16, 4), Pointer(24, 8)),
        checksums=(Checksum(8, 0, 20), Checksum(32, 0, 36)),
    )


def _facs() -> bytes:
    """Firmware ACPI control structure: no waking vector, version 1, no checksum."""
    return struct.pack("<4sIIIIIQB31x", b"FACS", 64, 0, 0, 0, 0, 0, 1)


def _fadt(facs: int, dsdt_offset: int) -> bytes:
    """Body of a revision 3 FADT (ACPI 6.4 5.2.9 gives the offsets, header included)."""
    body = bytearray(244 - _HEADER_SIZE)

    def put(offset: int, layout_: str, *values: int) -> None:
        struct.pack_into("<" + layout_, body, offset - _HEADER_SIZE, *values)

    event = layout.PM_BASE + layout.PM1_EVENT
    control = layout.PM_BASE + layout.PM1_CONTROL
    timer = layout.PM_BASE + layout.PM_TIMER
    put(36, "II", facs, dsdt_offset)
    # SMI_CMD stays zero: the machine is always in ACPI mode, there is no SMM to ask.
    put(46, "H", layout.GSI_SCI)
    put(56, "II", event, 0)
    put(64, "II", control, 0)
    put(76, "I", timer)
    put(88, "BBBB", layout.PM1_EVENT_LEN, layout.PM1_CONTROL_LEN, 0, layout.PM_TIMER_LEN)
    put(96, "HH", 0xFFFF, 0xFFFF)  # no C2, no C3
    put(108, "B", _CMOS_CENTURY)
    put(109, "H", _LEGACY_DEVICES | _NO_VGA)
    flags = _WBINVD | _PROC_C1 | _POWER_BUTTON_NOT_FIXED | _SLEEP_BUTTON_NOT_FIXED
    put(112, "I", flags | _RESET_REGISTER)
    put(116, "BBBBQ", *_port(layout.PORT_RESET, 1))
    put(128, "B", layout.RESET_VALUE)
    put(140, "Q", dsdt_offset)
    put(148, "BBBBQ", *_port(event, layout.PM1_EVENT_LEN))
    put(172, "BBBBQ", *_port(control, layout.PM1_CONTROL_LEN))
    put(208, "BBBBQ", *_port(timer, layout.PM_TIMER_LEN))
    return bytes(body)


def _port(address: int, size: int) -> tuple[int, int, int, int, int]:
    """Generic address of `size` bytes in I/O space: space, bits, offset, access size, address."""
    access = {1: 1, 2: 2, 4: 3}[size]
    return 1, 8 * size, 0, access, address


def _madt(cpus: int) -> bytes:
    body = struct.pack("<II", layout.LAPIC_BASE, _MADT_PCAT_COMPAT)
    for index in range(cpus):
        body += struct.pack("<BBBBI", 0, 8, index, index, 1)  # enabled
    # The id is free on xAPIC and later (it has a bus of its own no more); 0 is KVM's.
    body += struct.pack("<BBBBII", 1, 12, 0, 0, layout.IOAPIC_BASE, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, layout.GSI_SCI, layout.GSI_SCI, _LEVEL_ACTIVE_HIGH)
    body += struct.pack("<BBBHB", 4, 6, _ALL_CPUS, 0, 1)  # NMI on LINT1
    return body


def _allocate(file: str, align: int, zone: int) -> bytes:
    return _command(_LOADER_ALLOCATE, _file_name(file) + struct.pack("<IB", align, zone))


def _relocate(file: str, pointer: Pointer) -> bytes:
    names = _file_name(file) + _file_name(_FILE_TABLES)
    return _command(_LOADER_POINTER, names + struct.pack("<IB", *pointer))


def _command(number: int, body: bytes) -> bytes:
    return (struct.pack("<I", number) + body).ljust(_LOADER_ENTRY, b"\0")


def _file_name(file: str) -> bytes:
    return file.encode("ascii").ljust(_LOADER_NAME, b"\0")
