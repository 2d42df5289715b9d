# SPDX-License-Identifier: GPL-2.0-only
"""Keyboard controller, port 92, debug console, ACPI PM block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.core.irq import IrqLine
from unikvm.hw.i8042 import I8042
from unikvm.hw.pm import TIMER_HZ, PowerManagement
from unikvm.hw.ports import DebugConsole, Port92

pytestmark = pytest.mark.unit


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1


class Keyboard:
    """The controller as a driver uses it."""

    def __init__(self):
        self.line, self.reset = IrqLine(), Counter()
        self.chip = I8042(self.line, self.reset)

    def command(self, value, *data):
        self.chip.command.write(0, 1, value)
        for byte in data:
            self.chip.data.write(0, 1, byte)

    def key(self, value):
        self.chip.data.write(0, 1, value)

    def status(self):
        return self.chip.command.read(0, 1)

    def answers(self):
        got = []
        while self.status() & 1:
            got.append(self.chip.data.read(0, 1))
        return got


@pytest.fixture
def keyboard():
    return Keyboard()


def test_self_tests(keyboard):
    assert keyboard.status() & 1 == 0
    keyboard.command(0xAA)
    assert keyboard.answers() == [0x55] and keyboard.status() & 4
    keyboard.command(0xAB)
    assert keyboard.answers() == [0x00]


def test_control_byte(keyboard):
    keyboard.command(0x60, 0x61)
    keyboard.command(0x20)
    assert keyboard.answers() == [0x61]


def test_keyboard_identifies_and_resets(keyboard):
    for key, answer in ((0xFF, [0xFA, 0xAA]), (0xF2, [0xFA, 0xAB, 0x83]), (0xF4, [0xFA]),
                        (0xF5, [0xFA]), (0xEE, [0xEE]), (0x10, [0xFE])):
        keyboard.key(key)
        assert keyboard.answers() == answer


def test_parameters_and_scan_code_set(keyboard):
    keyboard.key(0xED)
    keyboard.key(0x07)
    assert keyboard.answers() == [0xFA, 0xFA]
    keyboard.key(0xF0)
    keyboard.key(0x00)
    assert keyboard.answers() == [0xFA, 0xFA, 2]


def test_no_mouse_port(keyboard):
    """As Linux looks for one: loop a byte, then test the port."""
    keyboard.command(0xD3, 0x5A)
    assert not keyboard.status() & 0x20
    keyboard.answers()
    keyboard.command(0xA9)
    assert keyboard.answers() == [0x01]


def test_interrupt_for_each_byte(keyboard):
    keyboard.command(0x60, 0x45)
    keyboard.key(0xFF)
    assert keyboard.line.level
    keyboard.chip.data.read(0, 1)
    assert keyboard.line.level
    keyboard.chip.data.read(0, 1)
    assert not keyboard.line.level


@pytest.mark.parametrize("value, resets", [(0xFE, 1), (0xF0, 1), (0xFF, 0), (0xF1, 0)])
def test_pulse_resets(keyboard, value, resets):
    keyboard.command(value)
    assert keyboard.reset.calls == resets


def test_output_port_resets(keyboard):
    keyboard.command(0xD1, 0x03)
    assert keyboard.reset.calls == 0
    keyboard.command(0xD1, 0x02)
    assert keyboard.reset.calls == 1
    keyboard.command(0xD0)
    assert keyboard.answers()[0] & 2, "A20 stays open"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 255)), max_size=200))
def test_no_sequence_grows_or_breaks_it(writes):
    keyboard = Keyboard()
    for is_command, value in writes:
        (keyboard.chip.command if is_command else keyboard.chip.data).write(0, 1, value)
    assert len(keyboard.answers()) <= 16


@pytest.mark.parametrize("values, resets", [((0, 1), 1), ((1, 1), 1), ((2,), 0), ((1, 0, 1), 2)])
def test_port_92_resets_on_an_edge(values, resets):
    reset = Counter()
    port = Port92(reset)
    for value in values:
        port.write(0, 1, value)
    assert reset.calls == resets


def test_a20_reads_open():
    port = Port92(Counter())
    port.write(0, 1, 0)
    assert port.read(0, 1) == 2


def test_debug_console():
    out = bytearray()
    console = DebugConsole(out.extend)
    for letter in b"SeaBIOS":
        console.write(0, 1, letter)
    assert out == b"SeaBIOS" and console.read(0, 1) == 0xE9


class Pm:
    """A PM block with a clock and timer of the test's own."""

    def __init__(self, s5=0):
        self.now, self.sci, self.off = 0.0, IrqLine(), Counter()
        self.delay = None
        self.block = PowerManagement(self.sci, self.off, s5, self.timer, lambda: self.now)

    def timer(self, callback):
        self.callback = callback
        return self

    def arm(self, seconds):
        self.delay = seconds

    def cancel(self):
        self.delay = None

    def get(self, offset, width=2):
        return self.block.read(offset, width)

    def put(self, offset, value, width=2):
        self.block.write(offset, width, value)


def test_pm_timer_counts_24_bits():
    pm = Pm()
    assert pm.get(8, 4) == 0
    pm.now = 1.0
    assert pm.get(8, 4) == TIMER_HZ
    pm.now = 10.0
    assert pm.get(8, 4) == 10 * TIMER_HZ & 0xFFFFFF
    assert pm.get(9, 1) == 10 * TIMER_HZ >> 8 & 0xFF


def test_sleep_type_decides():
    pm = Pm(s5=5)
    pm.put(4, 0x2000 | 1 << 10)
    assert pm.off.calls == 0
    pm.put(4, 5 << 10)
    assert pm.off.calls == 0, "without SLP_EN nothing happens"
    pm.put(4, 0x2000 | 5 << 10)
    assert pm.off.calls == 1
    assert pm.get(4) == 5 << 10 | 1, "SLP_EN reads 0, SCI_EN 1"
    pm.put(5, 0x34, 1)
    assert pm.off.calls == 2, "the high byte alone is enough"


def test_power_button_raises_the_sci():
    pm = Pm()
    pm.block.press_power_button()
    assert not pm.sci.level
    pm.put(2, 0x100)
    assert pm.sci.level and pm.get(0) & 0x100
    pm.put(0, 0x100)
    assert not pm.sci.level and not pm.get(0) & 0x100


def test_timer_status_and_interrupt():
    pm = Pm()
    pm.put(2, 1)
    assert 0 < pm.delay <= (1 << 23) / TIMER_HZ + 1e-5
    pm.now = pm.delay
    pm.callback()
    assert pm.sci.level and pm.get(0) & 1 and pm.delay is None
    pm.put(0, 1)
    assert not pm.sci.level and pm.delay is not None


@given(st.lists(st.tuples(st.integers(0, 63), st.sampled_from((1, 2, 4)),
                          st.integers(0, 2**32 - 1)), max_size=30))
def test_no_access_breaks_the_pm_block(accesses):
    pm = Pm()
    for offset, width, value in accesses:
        if offset + width <= 64:
            pm.put(offset, value & (1 << 8 * width) - 1, width)
            assert 0 <= pm.get(offset, width) < 1 << 8 * width
