# SPDX-License-Identifier: GPL-2.0-only
"""ACPI tables: structure here, meaning through Intel's disassembler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from unikvm.boot import layout
from unikvm.boot.acpi import aml, tables

pytestmark = pytest.mark.unit

BASE = 0xE0040
MEMORY = 512 << 20


def placed(cpus: int = 1, memory: int = MEMORY) -> tuple[bytes, bytes]:
    return tables.build(cpus=cpus, memory=memory).place(0xE0000, BASE)


def walk(rsdp: bytes, data: bytes, use_xsdt: bool) -> dict[bytes, bytes]:
    """All tables, found the way an operating system finds them."""
    assert rsdp[:8] == b"RSD PTR " and sum(rsdp[:20]) & 0xFF == 0 and sum(rsdp) & 0xFF == 0
    rsdt, length, xsdt = struct.unpack_from("<IIQ", rsdp, 16)
    assert length == 36

    def table(address: int) -> bytes:
        start = address - BASE
        size = struct.unpack_from("<I", data, start + 4)[0]
        body = data[start : start + size]
        assert len(body) == size and sum(body) & 0xFF == 0, body[:4]
        return body

    root = table(xsdt if use_xsdt else rsdt)
    width = 8 if use_xsdt else 4
    entries = [
        int.from_bytes(root[i : i + width], "little") for i in range(36, len(root), width)
    ]
    found = {body[:4]: body for body in map(table, entries)}
    fadt = found[b"FACP"]
    found[b"DSDT"] = table(struct.unpack_from("<I", fadt, 40)[0])
    assert struct.unpack_from("<Q", fadt, 140)[0] == struct.unpack_from("<I", fadt, 40)[0]
    facs = struct.unpack_from("<I", fadt, 36)[0] - BASE
    assert data[facs : facs + 8] == b"FACS\x40\0\0\0" and (BASE + facs) % 64 == 0
    return found


@pytest.mark.parametrize("use_xsdt", [False, True])
def test_pointers_and_checksums(use_xsdt: bool) -> None:
    found = walk(*placed(), use_xsdt)
    assert set(found) == {b"FACP", b"APIC", b"DSDT"}


def test_fadt_fields() -> None:
    fadt = walk(*placed(), True)[b"FACP"]
    assert len(fadt) == 244
    assert struct.unpack_from("<H", fadt, 46) == (9,)
    assert struct.unpack_from("<I", fadt, 48) == (0,)  # no SMI command: always ACPI mode
    assert struct.unpack_from("<I", fadt, 56) == (0x600,)
    assert struct.unpack_from("<I", fadt, 64) == (0x604,)
    assert struct.unpack_from("<I", fadt, 76) == (0x608,)
    assert struct.unpack_from("<BBBBQ", fadt, 116) == (1, 8, 0, 1, 0xCF9)
    assert fadt[128] == 6


@pytest.mark.parametrize("cpus", [1, 2, 255])
def test_madt_lists_each_cpu(cpus: int) -> None:
    madt = walk(*placed(cpus), True)[b"APIC"]
    assert struct.unpack_from("<I", madt, 36) == (0xFEE00000,)
    ids, position = [], 44
    while position < len(madt):
        kind, size = madt[position], madt[position + 1]
        assert size >= 2
        if kind == 0:
            ids.append(madt[position + 3])
        position += size
    assert ids == list(range(cpus)) and position == len(madt)


@pytest.mark.parametrize("cpus", [0, 256])
def test_cpu_count_is_bounded(cpus: int) -> None:
    with pytest.raises(ValueError, match="CPUs"):
        tables.build(cpus=cpus, memory=MEMORY)


def test_tables_fit_below_one_mib() -> None:
    _, data = placed(255)
    assert layout.ACPI_TABLES + len(data) <= layout.ACPI_END


def run_loader(script: bytes, files: dict[str, bytes]) -> dict[str, tuple[int, bytearray]]:
    """What SeaBIOS does with etc/table-loader, written from the fw_cfg format's description."""
    memory: dict[str, tuple[int, bytearray]] = {}
    free = {1: 0x7FF0000, 2: 0xF6000}
    for at in range(0, len(script), 128):
        command, rest = struct.unpack_from("<I", script, at)[0], script[at + 4 : at + 128]
        name = rest[:56].split(b"\0")[0].decode()
        if command == 1:
            align, zone = struct.unpack_from("<IB", rest, 56)
            address = (free[zone] + align - 1) & -align
            memory[name] = address, bytearray(files[name])
            free[zone] = address + len(files[name])
        elif command == 2:
            source = rest[56:112].split(b"\0")[0].decode()
            offset, width = struct.unpack_from("<IB", rest, 112)
            data = memory[name][1]
            value = int.from_bytes(data[offset : offset + width], "little") + memory[source][0]
            data[offset : offset + width] = value.to_bytes(width, "little")
        else:
            assert command == 3
            offset, start, length = struct.unpack_from("<III", rest, 56)
            data = memory[name][1]
            data[offset] = (data[offset] - sum(data[start : start + length])) & 0xFF
    return memory


def test_firmware_loader_gives_the_same_tables() -> None:
    acpi = tables.build(cpus=2, memory=MEMORY)
    files = acpi.fw_cfg_files()
    loaded = run_loader(files["etc/table-loader"], files)
    address, data = loaded["etc/acpi/tables"]
    rsdp_address, rsdp = loaded["etc/acpi/rsdp"]
    assert (bytes(rsdp), bytes(data)) == acpi.place(rsdp_address, address)
    assert len(files["etc/table-loader"]) % 128 == 0


@pytest.fixture(scope="module")
def disassembly(tmp_path_factory: pytest.TempPathFactory) -> str:
    iasl = shutil.which("iasl")
    if iasl is None:
        pytest.skip("iasl (acpica-tools) is not installed")
    directory: Path = tmp_path_factory.mktemp("acpi")
    (directory / "dsdt.aml").write_bytes(walk(*placed(3), True)[b"DSDT"])
    done = subprocess.run(
        [iasl, "-d", "dsdt.aml"], cwd=directory, capture_output=True, text=True, check=False
    )
    text = (directory / "dsdt.dsl").read_text()
    assert done.returncode == 0, done.stderr
    # What was disassembled must compile again: that checks lengths, names and resources.
    again = subprocess.run(
        [iasl, "-ve", "-p", "again", "dsdt.dsl"], cwd=directory, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    return text


@pytest.mark.parametrize(
    "expected",
    [
        "Name (\\_S5,",
        "Device (PCI0)",
        'EisaId ("PNP0A03")',
        'EisaId ("PNP0B00")',
        'EisaId ("PNP0501")',
        "0x03F8,             // Range Minimum",
        "IRQNoFlags ()",
        "0x80000000,         // Range Minimum",
        "0xFEBFFFFF,         // Range Maximum",
        "Device (C002)",
        "Name (_PRT, Package (0x7C)",
    ],
)
def test_disassembly_contains(disassembly: str, expected: str) -> None:
    assert expected in disassembly


def test_window_follows_memory() -> None:
    """SeaBIOS places BARs from 2 GiB when RAM ends there, else from 3 GiB."""
    small = walk(*placed(memory=2 << 30), True)[b"DSDT"]
    large = walk(*placed(memory=(2 << 30) + 4096), True)[b"DSDT"]
    assert aml.dword_memory(0x80000000, 0xFEBFFFFF) in small
    assert aml.dword_memory(0xC0000000, 0xFEBFFFFF) in large


@pytest.mark.parametrize("body", [0, 61, 62, 63, 4091, 4092, 4093, 1 << 20])
def test_pkg_length_counts_itself(body: int) -> None:
    encoded = aml.pkg_length(body)
    extra = encoded[0] >> 6
    assert len(encoded) == extra + 1
    if extra:
        value = encoded[0] & 0xF | int.from_bytes(encoded[1:], "little") << 4
    else:
        value = encoded[0]
    assert value == body + len(encoded)


def test_names() -> None:
    assert aml.name("\\_SB.PCI0") == b"\\\x2e_SB_PCI0"
    assert aml.name("A.B.C") == b"\x2f\x03A___B___C___"
    assert aml.name("^FOO") == b"^FOO_"
    with pytest.raises(ValueError):
        aml.name("TOOLONG")


def test_eisa_id() -> None:
    assert aml.eisa_id("PNP0A03") == bytes.fromhex("0c41d00a03")
