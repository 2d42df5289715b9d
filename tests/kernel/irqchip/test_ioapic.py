# SPDX-License-Identifier: GPL-2.0-only
"""The IOAPIC against a model, and the 82093AA data sheet (290566-001) by hand."""

import ctypes

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kernel.irqchip.chips import EXTINT, FIXED, LOWEST, NMI, Ioapic, IoapicState, Message

pytestmark = pytest.mark.unit

REMOTE_IRR, LEVEL, MASKED = 1 << 14, 1 << 15, 1 << 16
STREAK = 10000              # IOAPIC_EOI_STREAK


@pytest.fixture
def ioapic(lib: ctypes.CDLL) -> Ioapic:
    """As after RESET."""
    return Ioapic(lib)


def test_registers_after_reset(ioapic: Ioapic) -> None:
    assert ioapic.register(0x01) == 0x00170011
    assert ioapic.register(0x00) == 0
    assert all(ioapic.register(0x10 + 2 * pin) == MASKED for pin in range(24))
    ioapic.write_register(0x00, 0xffffffff)
    assert ioapic.register(0x00) == 0x0f000000 == ioapic.register(0x02)
    ioapic.write_register(0x01, 0)
    assert ioapic.register(0x01) == 0x00170011


def test_entry_keeps_reserved_and_read_only_bits(ioapic: Ioapic) -> None:
    ioapic.program(3, 0xffffffffffffffff)
    assert ioapic.entry(3) == 0xff00000000000000 | 0x1afff
    assert ioapic.register(0x40) == 0               # no pin 24
    ioapic.write_register(0x40, 0xffffffff)
    ioapic.write_register(0xff, 0xffffffff)
    assert ioapic.register(0xff) == 0


def test_edge_is_sent_on_the_rise(ioapic: Ioapic) -> None:
    ioapic.program(4, 0x31 | LOWEST << 8 | 1 << 11 | 0x07 << 56)
    assert ioapic.line(4, True) == 1
    assert ioapic.message() == Message(7, 0x31, LOWEST, True, False)
    assert ioapic.line(4, True) == 0                # still high
    ioapic.line(4, False)
    ioapic.line(4, True)
    assert ioapic.sent == 2
    assert not ioapic.entry(4) & REMOTE_IRR


def test_masked_edge_is_lost(ioapic: Ioapic) -> None:
    """Data sheet, "Interrupt Mask": neither delivered nor held pending."""
    ioapic.program(4, 0x31 | MASKED)
    assert ioapic.line(4, True) == -1
    ioapic.program(4, 0x31)
    assert ioapic.sent == 0
    ioapic.line(4, False)
    assert ioapic.line(4, True) == 1


def test_level_waits_for_eoi(ioapic: Ioapic) -> None:
    ioapic.program(10, 0x51 | LEVEL)
    assert ioapic.line(10, True) == 1
    assert ioapic.entry(10) & REMOTE_IRR
    assert ioapic.line(10, True) == 0
    ioapic.eoi(0x52)                                # not this one
    assert ioapic.sent == 1
    ioapic.eoi(0x51)                                # still asserted: again
    assert ioapic.sent == 2
    ioapic.line(10, False)
    ioapic.eoi(0x51)
    assert ioapic.sent == 2 and not ioapic.entry(10) & REMOTE_IRR


def test_level_that_nobody_took_is_not_in_service(ioapic: Ioapic) -> None:
    ioapic.answer(-1)
    ioapic.program(10, 0x51 | LEVEL)
    assert ioapic.line(10, True) == -1
    assert not ioapic.entry(10) & REMOTE_IRR
    ioapic.answer(1)
    ioapic.program(10, 0x51 | LEVEL | 1 << 56)      # tried again when rewritten
    assert ioapic.entry(10) & REMOTE_IRR


def test_unmasking_delivers_an_asserted_level(ioapic: Ioapic) -> None:
    ioapic.program(10, 0x51 | LEVEL | MASKED)
    assert ioapic.line(10, True) == -1
    assert ioapic.write_register(0x10 + 20, 0x51 | LEVEL) == 1 << 10
    assert ioapic.sent == 1


def test_linux_ends_a_level_by_an_edge_detour(ioapic: Ioapic) -> None:
    ioapic.program(10, 0x51 | LEVEL)
    ioapic.line(10, True)
    ioapic.write_register(0x10 + 20, 0x51 | MASKED)
    assert not ioapic.entry(10) & REMOTE_IRR
    ioapic.write_register(0x10 + 20, 0x51 | LEVEL)
    assert ioapic.sent == 2


@pytest.mark.parametrize("mode", [NMI, EXTINT])
def test_other_modes_are_edges(ioapic: Ioapic, mode: int) -> None:
    ioapic.program(2, 0x20 | mode << 8 | LEVEL)
    ioapic.line(2, True)
    assert ioapic.message() == Message(0, 0x20, mode, False, False)
    assert not ioapic.entry(2) & REMOTE_IRR


def test_two_pins_of_one_vector(ioapic: Ioapic) -> None:
    for pin in (16, 17):
        ioapic.program(pin, 0x61 | LEVEL)
        ioapic.line(pin, True)
    ioapic.line(16, False)
    ioapic.eoi(0x61)
    assert ioapic.sent == 3
    assert [bool(ioapic.entry(pin) & REMOTE_IRR) for pin in (16, 17)] == [False, True]


def test_a_storm_is_put_off(ioapic: Ioapic) -> None:
    """A line nobody serves: after a streak the next delivery waits for a timer, then goes on."""
    ioapic.program(10, 0x51 | LEVEL)
    ioapic.line(10, True)
    put_off = [count for count in range(2 * STREAK) if ioapic.eoi(0x51)]
    assert put_off == [STREAK - 1]
    assert ioapic.sent == STREAK
    ioapic.retry(1 << 10)
    assert ioapic.sent == STREAK + 1
    ioapic.line(10, False)
    ioapic.retry(1 << 10)
    assert ioapic.sent == STREAK + 1


def test_a_quiet_line_ends_the_streak(ioapic: Ioapic) -> None:
    ioapic.program(10, 0x51 | LEVEL)
    for _ in range(3):
        ioapic.line(10, True)
        for _ in range(STREAK - 1):
            assert ioapic.eoi(0x51) == 0
        ioapic.line(10, False)
        ioapic.eoi(0x51)


def test_pins_without_number_are_refused(ioapic: Ioapic) -> None:
    assert ioapic.line(24, True) == -1 and ioapic.line(0xffffffff, True) == -1


class Model:
    """Entries and lines as dictionaries; what must be sent, as a list."""

    def __init__(self) -> None:
        self.entry = {pin: MASKED for pin in range(24)}
        self.high: set[int] = set()
        self.serving: set[int] = set()      # remote IRR
        self.sent: list[Message] = []
        self.takes = True

    def is_level(self, pin: int) -> bool:
        return bool(self.entry[pin] & LEVEL) and self.entry[pin] >> 8 & 7 in (FIXED, LOWEST)

    def send(self, pin: int) -> int:
        entry = self.entry[pin]
        if entry & MASKED:
            return -1
        if self.is_level(pin) and pin in self.serving:
            return 0
        self.sent.append(Message(entry >> 56, entry & 0xff, entry >> 8 & 7, bool(entry & 1 << 11),
                                 self.is_level(pin)))
        if self.takes and self.is_level(pin):
            self.serving.add(pin)
        return 1 if self.takes else -1

    def line(self, pin: int, level: bool) -> int:
        if not level:
            self.high.discard(pin)
            return 1
        rises = pin not in self.high
        self.high.add(pin)
        return self.send(pin) if rises or self.is_level(pin) else 0

    def write_half(self, pin: int, high: bool, value: int) -> None:
        if high:
            self.entry[pin] = self.entry[pin] & 0xffffffff | (value & 0xff000000) << 32
        else:
            self.entry[pin] = self.entry[pin] & ~0xffffffff | value & 0x1afff
        if not self.entry[pin] & LEVEL:
            self.serving.discard(pin)
        if self.is_level(pin) and pin in self.high:
            self.send(pin)

    def eoi(self, vector: int) -> None:
        for pin in range(24):
            entry = self.entry[pin]
            if entry & 0xff == vector and entry >> 8 & 7 in (FIXED, LOWEST) and pin in self.serving:
                self.serving.discard(pin)
                if pin in self.high and self.is_level(pin):
                    self.send(pin)


PINS = st.integers(0, 23)
HALVES = st.builds(lambda vector, mode, rest: vector | mode << 8 | rest,
                   st.sampled_from([0x31, 0x32, 0xfe]), st.sampled_from([FIXED, FIXED, LOWEST, NMI, EXTINT]),
                   st.sampled_from([0, LEVEL, LEVEL, MASKED, LEVEL | MASKED, 0x7000, 0xfffe0000, 1 << 11]))


class IoapicMachine(RuleBasedStateMachine):
    """Any lines, entries and EOIs in any order."""

    lib: ctypes.CDLL

    def __init__(self) -> None:
        super().__init__()
        self.chip, self.model, self.seen = Ioapic(self.lib), Model(), 0

    @rule(pin=PINS, level=st.booleans())
    def line(self, pin: int, level: bool) -> None:
        assert self.chip.line(pin, level) == self.model.line(pin, level)

    @rule(pin=PINS, value=HALVES)
    def low(self, pin: int, value: int) -> None:
        masked = self.model.entry[pin] & MASKED
        unmasked = self.chip.write_register(0x10 + 2 * pin, value)
        self.model.write_half(pin, False, value)
        assert unmasked == (1 << pin if masked and not value & MASKED else 0)

    @rule(pin=PINS, value=st.integers(0, 2**32 - 1))
    def high(self, pin: int, value: int) -> None:
        self.chip.write_register(0x11 + 2 * pin, value)
        self.model.write_half(pin, True, value)

    @rule(vector=st.sampled_from([0x31, 0x32, 0xfe, 0x00]))
    def eoi(self, vector: int) -> None:
        assert self.chip.eoi(vector) == 0
        self.model.eoi(vector)

    @rule(takes=st.booleans())
    def answer(self, takes: bool) -> None:
        self.chip.answer(1 if takes else -1)
        self.model.takes = takes

    @rule()
    def save_and_restore(self) -> None:
        """GET, SET into a new chip, GET: the same but for levels that can go out now."""
        state = self.chip.get()
        asserted = {pin for pin in self.model.high if self.model.is_level(pin)}
        assert state.irr == sum(1 << pin for pin in asserted)
        self.chip, self.seen, self.model.sent = Ioapic(self.lib), 0, []
        self.chip.answer(1 if self.model.takes else -1)
        self.model.high = set()
        self.chip.set(state)
        for pin in sorted(asserted):
            self.model.line(pin, True)
        again = self.chip.get()
        assert (again.irr, again.id, again.base_address) == (state.irr, state.id, 0xfec00000)

    @invariant()
    def same(self) -> None:
        new = [self.chip.message(index) for index in range(self.seen, self.chip.sent)]
        assert new == self.model.sent[self.seen:]
        self.seen = len(self.model.sent)
        for pin in range(24):
            serving = REMOTE_IRR if pin in self.model.serving else 0
            assert self.chip.entry(pin) == self.model.entry[pin] | serving


def test_any_sequence(lib: ctypes.CDLL) -> None:
    IoapicMachine.lib = lib
    run_state_machine_as_test(IoapicMachine, settings=settings(
        max_examples=200, stateful_step_count=60, deadline=None))


def test_hostile_state_is_tamed(ioapic: Ioapic) -> None:
    ioapic.set(IoapicState.from_buffer_copy(b"\xff" * ctypes.sizeof(IoapicState)))
    state = ioapic.get()
    assert (state.base_address, state.ioregsel, state.id) == (0xfec00000, 0xff, 0xf)
    assert all(state.redirtbl[pin] & 0x00fffffffffe0000 == 0 for pin in range(24))
    assert ioapic.window() == 0
