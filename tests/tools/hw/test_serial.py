# SPDX-License-Identifier: GPL-2.0-only
"""The 16550A as its data sheet and its drivers see it."""

import os
import time

import pytest

from unikvm.core.bus import Bus
from unikvm.core.chardev import BufferBackend, CharBackend
from unikvm.core.eventloop import EventLoop
from unikvm.core.irq import IrqLine
from unikvm.hw.serial import Serial

pytestmark = pytest.mark.unit

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)
OUT2 = 8


class Port:
    """A serial port on a bus, its line and its backend."""

    def __init__(self, backend=None):
        self.line, self.backend = IrqLine(), backend or BufferBackend()
        self.serial = Serial(self.line, self.backend)
        self.bus = Bus("ports", 16)
        self.bus.register(0x3F8, Serial.SIZE, self.serial, "com1", 1)

    def __getitem__(self, register):
        return self.bus.read(0x3F8 + register, 1)

    def __setitem__(self, register, value):
        self.bus.write(0x3F8 + register, 1, value)


@pytest.fixture
def port():
    return Port()


def test_after_reset(port):
    assert port[LSR] == 0x60, "transmitter empty and idle"
    assert port[MSR] == 0xB0, "carrier, data set ready, clear to send"
    assert port[IIR] == 1, "no interrupt, no FIFO"
    assert not port.line.level


def test_output_reaches_the_backend(port):
    for letter in b"hello":
        port[DATA] = letter
    assert port.backend.output == b"hello"
    assert port[LSR] & 0x60 == 0x60


def test_divisor_hides_data_and_enables(port):
    port[IER] = 5
    port[LCR] = 0x83
    port[DATA], port[IER] = 0x01, 0x02
    assert (port[DATA], port[IER]) == (0x01, 0x02)
    port[LCR] = 0x03
    assert port[IER] == 5 and port[LCR] == 3
    assert port.backend.output == b""


def test_scratch_and_masks(port):
    port[SCR] = 0xA5
    port[IER] = 0xFF
    port[MCR] = 0xFF
    assert (port[SCR], port[IER], port[MCR]) == (0xA5, 0x0F, 0x1F)


def test_fifo_enable_shows_in_iir(port):
    port[IIR] = 0x01
    assert port[IIR] & 0xC0 == 0xC0
    port[IIR] = 0x00
    assert port[IIR] & 0xC0 == 0


def test_one_byte_without_fifo_sixteen_with(port):
    port.backend.feed(b"abcdefghijklmnopqrst")
    assert port[LSR] & 1
    assert bytes(port[DATA] for _ in range(3)) == b"abc"
    port[IIR] = 0x01  # clears what is in the receiver: the d
    received = bytearray()
    while port[LSR] & 1:
        received.append(port[DATA])
    assert received == b"efghijklmnopqrst"


def test_nothing_is_lost_between_backend_and_fifo(port):
    port[IIR] = 0x01
    sent = bytes(range(200))
    port.backend.feed(sent)
    received = bytearray()
    while port[LSR] & 1:
        received.append(port[DATA])
    assert received == sent


def test_receive_interrupt(port):
    port[MCR] = OUT2
    port[IER] = 1
    port.backend.feed(b"x")
    assert port.line.level
    assert port[IIR] & 0x0F == 4
    assert port[DATA] == ord("x")
    assert not port.line.level and port[IIR] & 0x0F == 1


def test_trigger_level_and_timeout(port):
    port[MCR] = OUT2
    port[IIR] = 0x81  # FIFO, trigger at 8
    port[IER] = 1
    port.backend.feed(b"1234567")
    assert port[IIR] & 0x0F == 0x0C
    port.backend.feed(b"8")
    assert port[IIR] & 0x0F == 4


def test_transmit_interrupt_is_an_event(port):
    port[MCR] = OUT2
    port[IER] = 2
    assert port.line.level, "enabling it with an empty transmitter fires"
    assert port[IIR] & 0x0F == 2
    assert not port.line.level and port[IIR] & 0x0F == 1, "reading IIR takes it away"
    port[DATA] = 65
    assert port.line.level, "the byte went out"
    port[IER] = 0
    assert not port.line.level


def test_receive_comes_before_transmit(port):
    port[IER] = 3
    port.backend.feed(b"x")
    assert port[IIR] & 0x0F == 4
    port[DATA]
    assert port[IIR] & 0x0F == 2


def test_out2_gates_the_line(port):
    port[IER] = 2
    assert not port.line.level
    port[MCR] = OUT2
    assert port.line.level


def test_loopback_as_linux_probes_it(port):
    port[MCR] = 0x10 | 0x0A
    assert port[MSR] & 0xF0 == 0x90
    port[DATA] = 0x42
    assert port[DATA] == 0x42 and port.backend.output == b""
    port[MCR] = 0
    assert port[MSR] & 0xF0 == 0xB0


def test_modem_interrupt_on_change(port):
    port[MCR] = 0x1F
    port[MSR]
    port[IER] = 8
    port[MCR] = 0x1D  # RTS falls, so CTS changes
    assert port[IIR] & 0x0F == 0
    assert port[MSR] & 0x0F == 1
    assert port[IIR] & 0x0F == 1


def test_ring_reports_only_its_trailing_edge(port):
    port[MCR] = 0x10
    port[MSR]
    port[MCR] = 0x14
    assert port[MSR] & 0x4F == 0x40
    port[MCR] = 0x10
    assert port[MSR] & 0x4F == 0x04


def test_overrun_in_loopback(port):
    port[MCR] = 0x10
    port[IIR] = 1
    for value in range(17):
        port[DATA] = value
    assert port[LSR] & 2
    assert not port[LSR] & 2, "reading clears it"
    assert [port[DATA] for _ in range(16)] == list(range(16))


class Slow(CharBackend):
    """Full until told otherwise."""

    def __init__(self):
        super().__init__()
        self.output, self.stuck = bytearray(), True

    def write(self, data):
        self.output += data

    @property
    def full(self):
        return self.stuck


def test_a_full_backend_makes_the_transmitter_busy():
    port = Port(backend=Slow())
    port[MCR], port[IER] = OUT2, 0
    sent = 0
    while port[LSR] & 0x20:
        port[DATA] = sent & 0xFF
        sent += 1
        assert sent < 100_000, "the guest could fill our memory"
    port[DATA] = 0  # a driver that does not look loses a byte, and nothing else
    port[IER] = 2
    assert not port.line.level
    port.backend.stuck = False
    port.serial.serve()
    assert port.line.level and port[LSR] & 0x60 == 0x60
    assert port.backend.output == bytes(n & 0xFF for n in range(sent))


def test_with_an_event_loop_nothing_waits_for_the_end():
    loop, backend = EventLoop(), BufferBackend()
    serial = Serial(IrqLine(), backend, loop)
    loop.start()
    try:
        for letter in b"prompt: ":
            serial.write(DATA, 1, letter)
        deadline = time.monotonic() + 5
        while backend.output != b"prompt: ":
            assert time.monotonic() < deadline, backend.output
            time.sleep(0.01)
        with loop.lock:
            backend.feed(b"answer")
        got = bytearray()
        while len(got) < 6:
            assert time.monotonic() < deadline, got
            if serial.read(LSR, 1) & 1:
                got.append(serial.read(DATA, 1))
        assert got == b"answer"
    finally:
        loop.stop()


def test_many_bytes_go_out_in_order_under_load():
    loop, backend = EventLoop(), BufferBackend()
    serial = Serial(IrqLine(), backend, loop)
    loop.start()
    sent = os.urandom(50_000)
    for value in sent:
        while not serial.read(LSR, 1) & 0x20:
            time.sleep(0.001)
        serial.write(DATA, 1, value)
    loop.stop()
    serial.stop()
    assert backend.output == sent
