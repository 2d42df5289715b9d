# SPDX-License-Identifier: GPL-2.0-only
"""MSI-X: masks, pending bits, and no message lost between them."""

from __future__ import annotations

import pytest

from unikvm.core.irq import Msi
from unikvm.pci.msix import PBA_OFFSET, MsixTable

pytestmark = pytest.mark.unit


def entry(table: MsixTable, vector: int, masked: bool = False) -> None:
    table.write(16 * vector, 4, 0xFEE01000)
    table.write(16 * vector + 4, 4, 0)
    table.write(16 * vector + 8, 4, 0x4000 + vector)
    table.write(16 * vector + 12, 4, masked)


@pytest.fixture
def msi() -> Msi:
    return Msi()


@pytest.fixture
def table(msi: Msi) -> MsixTable:
    made = MsixTable(msi, 3)
    made.set_control(True, False)
    return made


def test_message(table: MsixTable, msi: Msi) -> None:
    entry(table, 1)
    table.signal(1)
    assert msi.sent == [(0xFEE01000, 0x4001)] and table.pending == 0


def test_entries_start_masked(table: MsixTable, msi: Msi) -> None:
    assert [table.read(16 * vector + 12, 4) for vector in range(3)] == [1, 1, 1]
    table.signal(0)
    assert msi.sent == [] and table.pending == 1


def test_unmasking_delivers_once(table: MsixTable, msi: Msi) -> None:
    entry(table, 2, masked=True)
    table.signal(2)
    table.signal(2)
    assert table.read(PBA_OFFSET, 8) == 4
    table.write(2 * 16 + 12, 4, 0)
    assert msi.sent == [(0xFEE01000, 0x4002)] and table.read(PBA_OFFSET, 4) == 0


def test_function_mask(table: MsixTable, msi: Msi) -> None:
    entry(table, 0)
    entry(table, 1)
    table.set_control(True, True)
    table.signal(0)
    table.signal(1)
    assert msi.sent == [] and table.pending == 3
    table.set_control(True, False)
    assert [data for _, data in msi.sent] == [0x4000, 0x4001] and table.pending == 0


def test_disabled_function_sends_nothing(table: MsixTable, msi: Msi) -> None:
    entry(table, 0)
    table.set_control(False, False)
    table.signal(0)
    assert msi.sent == [] and table.pending == 0


@pytest.mark.parametrize("vector", [3, 63, 64, 0xFFFF])
def test_vectors_that_do_not_exist(table: MsixTable, msi: Msi, vector: int) -> None:
    table.signal(vector)
    assert msi.sent == [] and table.pending == 0


def test_accesses_beyond_the_table(table: MsixTable) -> None:
    for offset in (48, PBA_OFFSET - 8, PBA_OFFSET + 8, 0xFF8):
        table.write(offset, 8, 0xFFFFFFFFFFFFFFFF)
        assert table.read(offset, 8) == 0
    table.write(PBA_OFFSET, 8, 0xFF)
    assert table.pending == 0


def test_reset(table: MsixTable, msi: Msi) -> None:
    entry(table, 0, masked=True)
    table.signal(0)
    table.reset()
    assert table.pending == 0 and not table.enabled and table.read(12, 4) == 1
