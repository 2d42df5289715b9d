# SPDX-License-Identifier: GPL-2.0-only
"""Configuration mechanism #1, BARs and the chip set's functions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unikvm.core.bus import Bus
from unikvm.core.irq import IrqLine, SharedLine
from unikvm.pci import config
from unikvm.pci.bar import Bar, Window
from unikvm.pci.bridges import HostBridge, IsaBridge, PowerManagement
from unikvm.pci.bus import PciBus
from unikvm.pci.device import PciDevice

pytestmark = pytest.mark.unit


class Scratch:
    """A bus device that remembers."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.log: list[tuple[int, int, int]] = []

    def read(self, offset: int, width: int) -> int:
        return self.value & ((1 << 8 * width) - 1)

    def write(self, offset: int, width: int, value: int) -> None:
        self.log.append((offset, width, value))


class Card(PciDevice):
    name = "card"
    vendor_id, device_id, class_code = 0x1234, 0x5678, 0x020304
    revision, subsystem_vendor_id, subsystem_id, interrupt_pin = 9, 0xAAAA, 0xBBBB, 1


class Pc:
    """A bus with ports, as a guest sees it."""

    def __init__(self) -> None:
        self.pio, self.mmio = Bus("pio", 16), Bus("mmio", 40)
        self.resets = 0
        self.bus = PciBus(self.pio, self.mmio, self.reset)
        self.bus.attach()

    def reset(self) -> None:
        self.resets += 1

    def select(self, slot: int, function: int, offset: int, number: int = 0) -> None:
        address = 1 << 31 | number << 16 | slot << 11 | function << 8 | offset & 0xFC
        self.pio.write(0xCF8, 4, address)

    def read(self, slot: int, offset: int, width: int = 4, function: int = 0) -> int:
        self.select(slot, function, offset)
        return self.pio.read(0xCFC + (offset & 3), width)

    def write(self, slot: int, offset: int, value: int, width: int = 4, function: int = 0) -> None:
        self.select(slot, function, offset)
        self.pio.write(0xCFC + (offset & 3), width, value)


@pytest.fixture
def pc() -> Pc:
    return Pc()


def test_identity(pc: Pc) -> None:
    pc.bus.add(Card(), 3)
    assert pc.read(3, 0) == 0x56781234
    assert pc.read(3, 8) == 0x02030409
    assert pc.read(3, 0x2C) == 0xBBBBAAAA
    assert pc.read(3, 0x3D, 1) == 1
    pc.write(3, 0, 0xFFFFFFFF)
    assert pc.read(3, 0) == 0x56781234


def test_nothing_there_reads_as_ones(pc: Pc) -> None:
    assert pc.read(3, 0) == 0xFFFFFFFF and pc.read(3, 2, 2) == 0xFFFF and pc.read(3, 1, 1) == 0xFF
    pc.write(3, 4, 7)
    pc.bus.add(Card(), 3)
    pc.select(3, 0, 0, number=1)
    assert pc.pio.read(0xCFC, 4) == 0xFFFFFFFF
    pc.pio.write(0xCF8, 4, 3 << 11)  # not enabled
    assert pc.pio.read(0xCFC, 4) == 0xFFFFFFFF


def test_address_port(pc: Pc) -> None:
    pc.pio.write(0xCF8, 4, 0xFFFFFFFF)
    assert pc.pio.read(0xCF8, 4) == 0x80FFFFFC
    pc.pio.write(0xCF8, 1, 0)  # bytes do not reach the address register
    pc.pio.write(0xCFA, 2, 0)
    assert pc.pio.read(0xCF8, 4) == 0x80FFFFFC


def test_empty_slots_do_not_take_the_interpreter_lock(pc: Pc) -> None:
    pc.bus.add(Card(), 3)
    before = pc.pio.python_calls
    for slot in range(4, 32):
        assert pc.read(slot, 0) == 0xFFFFFFFF
        pc.write(slot, 4, 7)
    assert pc.pio.python_calls == before
    assert pc.read(3, 0) == 0x56781234 and pc.pio.python_calls == before + 1


def test_reset_register(pc: Pc) -> None:
    pc.pio.write(0xCF9, 1, 2)
    assert pc.resets == 0
    pc.pio.write(0xCF9, 1, 6)
    assert pc.resets == 1


def test_place_is_taken_once(pc: Pc) -> None:
    pc.bus.add(Card(), 3)
    for slot, function in ((3, 0), (32, 0), (-1, 0), (0, 8)):
        with pytest.raises(ValueError, match="taken"):
            pc.bus.add(Card(), slot, function)


def test_multifunction_bit(pc: Pc) -> None:
    pc.bus.add(Card(), 1)
    assert pc.read(1, 0xE, 1) == 0
    pc.bus.add(Card(), 1, 3)
    assert pc.read(1, 0xE, 1) == 0x80
    assert pc.read(1, 0, function=3) == 0x56781234


def with_bar(pc: Pc, size: int = 0x1000, io: bool = False) -> tuple[Card, Scratch, list]:
    card, scratch, moves = Card(), Scratch(0x1122334455667788), []
    card.add_bar(Bar(2, size, [Window(0, size // 2, scratch, "low")], io=io, moved=moves.append))
    pc.bus.add(card, 3)
    return card, scratch, moves


def test_bar_sizing_and_decoding(pc: Pc) -> None:
    _, scratch, moves = with_bar(pc)
    pc.write(3, 0x18, 0xFFFFFFFF)
    assert pc.read(3, 0x18) == 0xFFFFF000
    pc.write(3, 0x18, 0xE0000123)
    assert pc.read(3, 0x18) == 0xE0000000
    assert pc.mmio.read(0xE0000000, 4) == 0xFFFFFFFF  # decoding is off
    pc.write(3, 4, 2, 2)
    assert pc.mmio.read(0xE0000000, 8) == 0x1122334455667788
    pc.mmio.write(0xE0000010, 2, 0xABCD)
    assert scratch.log == [(0x10, 2, 0xABCD)]
    pc.write(3, 0x18, 0xD0000000)
    assert pc.mmio.read(0xE0000000, 4) == 0xFFFFFFFF
    assert pc.mmio.read(0xD0000000, 4) == 0x55667788
    pc.write(3, 4, 0, 2)
    assert pc.mmio.read(0xD0000000, 4) == 0xFFFFFFFF
    assert moves == [0xE0000000, 0xD0000000, None]


def test_io_bar(pc: Pc) -> None:
    with_bar(pc, 32, io=True)
    pc.write(3, 0x18, 0xFFFFFFFF)
    assert pc.read(3, 0x18) == 0xFFFFFFE1
    pc.write(3, 0x18, 0xC000)
    pc.write(3, 4, 1, 2)
    assert pc.pio.read(0xC000, 2) == 0x7788


def test_sizing_while_decoding_unmaps_meanwhile(pc: Pc) -> None:
    with_bar(pc)
    pc.write(3, 0x18, 0xE0000000)
    pc.write(3, 4, 2, 2)
    pc.write(3, 0x18, 0xFFFFFFFF)
    assert pc.mmio.windows() == []
    pc.write(3, 0x18, 0xE0000000)
    assert pc.mmio.read(0xE0000000, 4) == 0x55667788


def test_bar_on_top_of_another_device_decodes_nothing(pc: Pc) -> None:
    card, _, _ = with_bar(pc)
    other = Scratch(0x77)
    pc.mmio.register(0xE0000400, 0x100, other, "other")
    pc.write(3, 0x18, 0xE0000000)
    pc.write(3, 4, 2, 2)
    assert card.bars[0].base is None
    assert pc.mmio.read(0xE0000400, 1) == 0x77 and pc.mmio.read(0xE0000000, 1) == 0xFF


def test_bar_with_one_window_in_the_way_leaves_none(pc: Pc) -> None:
    card = Card()
    card.add_bar(
        Bar(0, 0x2000, [Window(0, 0x1000, Scratch(), "a"), Window(0x1000, 0x1000, Scratch(), "b")])
    )
    pc.bus.add(card, 3)
    pc.mmio.register(0xE0001800, 8, Scratch(), "other")
    pc.write(3, 0x10, 0xE0000000)
    pc.write(3, 4, 2, 2)
    assert [name for _, _, name in pc.mmio.windows()] == ["other"]


@pytest.mark.parametrize("size", [0, 3, 8, 0x1001])
def test_bad_bar_declarations(size: int) -> None:
    with pytest.raises(ValueError):
        Bar(0, size, [])
    with pytest.raises(ValueError):
        Bar(0, 0x1000, [Window(0xFFF, 2, Scratch(), "beyond")])


def test_capability_list() -> None:
    space = config.ConfigSpace()
    first = space.add_capability(9, bytes(3))
    second = space.add_capability(0x11, bytes(10), b"\xff")
    assert space.get(0x34, 1) == first == 0x40
    assert space.data[first + 1] == second == 0x48 and space.data[second + 1] == 0
    space.guest_write(second, 4, 0xFFFFFFFF)
    assert space.data[second : second + 4] == bytes([0x11, 0, 0xFF, 0])
    with pytest.raises(ValueError, match="no room"):
        space.add_capability(9, bytes(200))


def test_assign_like_a_firmware(pc: Pc) -> None:
    small, large = Card(), Card()
    small.add_bar(Bar(0, 0x1000, [Window(0, 16, Scratch(), "small")]))
    large.add_bar(Bar(1, 0x4000, [Window(0, 16, Scratch(), "large")]))
    pc.bus.add(small, 2)
    pc.bus.add(large, 3)
    pc.bus.assign(0xC0000000, 0xC0008000)
    assert [base for base, _, _ in pc.mmio.windows()] == [0xC0000000, 0xC0004000]
    with pytest.raises(ValueError, match="full"):
        pc.bus.assign(0xC0000000, 0xC0004000)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.sampled_from([1, 2, 4]),
                          st.integers(0, 0xFFFFFFFF)), max_size=40))  # fmt: skip
def test_random_configuration_writes(writes: list[tuple[int, int, int]]) -> None:
    """Nothing the guest writes raises, moves identity, or leaves a stale window."""
    pc = Pc()
    card, _, _ = with_bar(pc)
    pc.bus.add(HostBridge(), 0)
    for offset, width, value in writes:
        offset -= offset % width
        pc.write(3, offset, value & ((1 << 8 * width) - 1), width)
        pc.write(0, offset, value & ((1 << 8 * width) - 1), width)
    assert pc.read(3, 0) == 0x56781234
    base = card.bars[0].wanted(card.space)
    assert [start for start, _, _ in pc.mmio.windows()] == ([] if base is None else [base])


def test_host_bridge_identity_that_seabios_checks(pc: Pc) -> None:
    pc.bus.add(HostBridge(), 0)
    assert pc.read(0, 0) == 0x12378086 and pc.read(0, 0x2C) == 0x11001AF4


def test_pam_segments(pc: Pc) -> None:
    changes: list[tuple[int, int, bool, bool]] = []
    pc.bus.add(HostBridge(lambda *change: changes.append(change)), 0)
    pc.write(0, 0x59, 0x30, 1)
    assert changes == [(0xF0000, 0x10000, True, True)]
    changes.clear()
    pc.write(0, 0x5A, 0x31, 1)
    assert changes == [(0xC0000, 0x4000, True, False), (0xC4000, 0x4000, True, True)]
    changes.clear()
    # SeaBIOS writes two dwords over 0x58..0x5f; unchanged segments say nothing.
    pc.write(0, 0x58, 0x33313000)
    pc.write(0, 0x5C, 0x33333333)
    assert (0xC8000, 0x4000, True, True) in changes and (0xEC000, 0x4000, True, True) in changes
    assert all(base not in (0xF0000, 0xC0000, 0xC4000) for base, *_ in changes)
    changes.clear()
    pc.write(0, 0x59, 0x10, 1)
    assert changes == [(0xF0000, 0x10000, True, False)]


def test_pam_opened_without_a_firmware(pc: Pc) -> None:
    bridge = HostBridge(lambda *change: pytest.fail("called"))
    bridge.open_shadow()
    pc.bus.add(bridge, 0)
    assert pc.read(0, 0x5C) == 0x33333333 and pc.read(0, 0x59, 1) == 0x30


class Lines:
    """All interrupts of the chip set."""

    def __init__(self) -> None:
        self.lines = {gsi: IrqLine() for gsi in range(16)}
        self.shared = {gsi: SharedLine(line) for gsi, line in self.lines.items()}

    @property
    def raised(self) -> set[int]:
        return {gsi for gsi, line in self.lines.items() if line.level}


def test_pirq_routing(pc: Pc) -> None:
    lines = Lines()
    isa = IsaBridge(lines.shared.__getitem__)
    pc.bus.add(isa, 1)
    assert pc.read(1, 0x60) == 0x80808080
    card, other = Card(), Card()
    pc.bus.add(card, 2)
    pc.bus.add(other, 6)
    first, second = pc.bus.intx_line(card), pc.bus.intx_line(other)  # both PIRQB
    first.set(True)
    assert lines.raised == set()
    pc.write(1, 0x60, 0x0B0A0A0A)
    assert lines.raised == {10}
    second.set(True)
    first.set(False)
    assert lines.raised == {10}
    pc.write(1, 0x61, 0x05, 1)  # the level moves with the route
    assert lines.raised == {5}
    pc.write(1, 0x61, 0x85, 1)
    assert lines.raised == set()
    pc.write(1, 0x61, 0x0B, 1)
    assert lines.raised == {11} and isa.pin_gsi(2, 1) == 11
    second.set(False)
    assert lines.raised == set()


@pytest.mark.parametrize("gsi", [0, 1, 2, 8, 13])
def test_pirq_does_not_reach_isa_interrupts(pc: Pc, gsi: int) -> None:
    lines = Lines()
    isa = IsaBridge(lines.shared.__getitem__)
    pc.bus.add(isa, 1)
    pc.write(1, 0x60, gsi, 1)
    isa.pin_line(1, 1).set(True)
    assert lines.raised == set() and isa.pin_gsi(1, 1) == 0xFF


def test_two_pirqs_on_one_interrupt(pc: Pc) -> None:
    lines = Lines()
    isa = IsaBridge(lines.shared.__getitem__)
    isa.set_routes((10, 10, 11, 11))
    a, b = isa.pin_line(1, 1), isa.pin_line(2, 1)
    a.set(True)
    b.set(True)
    a.set(False)
    assert lines.raised == {10}
    b.set(False)
    assert lines.raised == set()


def test_power_management_tells_its_base(pc: Pc) -> None:
    pc.bus.add(PowerManagement(0x600), 1, 3)
    assert pc.read(1, 0, function=3) == 0x71138086
    pc.write(1, 0x40, 0xB001, function=3)
    assert pc.read(1, 0x40, function=3) == 0x601
    # Or SeaBIOS would wait for a system management interrupt that never comes.
    assert pc.read(1, 0x58, function=3) & 1 << 25
