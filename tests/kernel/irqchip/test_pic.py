# SPDX-License-Identifier: GPL-2.0-only
"""The 8259A pair against a model, and the data sheet's examples by hand."""

import ctypes

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kernel.irqchip.chips import Pic, PicState
from kernel.irqchip.picmodel import Pair, bits

pytestmark = pytest.mark.unit

MASTER, SLAVE = 0x20, 0xa0
EOI, SPECIFIC_EOI = 0x20, 0x60


@pytest.fixture
def pic(lib: ctypes.CDLL) -> Pic:
    """A pair initialized as a PC's: vectors 20h and 28h."""
    pic = Pic(lib)
    for port, base in ((MASTER, 0x20), (SLAVE, 0x28)):
        pic.write(port, 0x11)
        pic.write(port + 1, base)
        pic.write(port + 1, 4)
        pic.write(port + 1, 1)
    pic.acked()
    return pic


def test_edge_is_taken_once(pic: Pic) -> None:
    assert pic.pulse(4) == 1
    assert pic.pulse(4) == 0                # already pending
    assert pic.output
    assert pic.inta() == 0x24
    assert not pic.output
    pic.write(MASTER, EOI)
    assert pic.acked() == 1 << 4
    assert pic.inta() == 0x27               # spurious
    pic.write(MASTER, 0x0b)
    assert pic.read(MASTER) == 0            # and leaves no ISR bit


def test_level_asks_again_while_asserted(pic: Pic) -> None:
    pic.write(0x4d0, 1 << 5)
    pic.line(5, True)
    assert pic.inta() == 0x25
    assert not pic.output                   # in service
    pic.write(MASTER, SPECIFIC_EOI | 5)
    assert pic.output
    pic.line(5, False)
    assert not pic.output


def test_slave_comes_through_cascade(pic: Pic) -> None:
    pic.pulse(12)
    assert pic.inta() == 0x2c
    pic.write(MASTER, 0x0b)
    pic.write(SLAVE, 0x0b)
    assert (pic.read(MASTER), pic.read(SLAVE)) == (1 << 2, 1 << 4)
    pic.pulse(9)                            # more urgent, but the cascade is in service
    assert not pic.output
    pic.write(SLAVE, EOI)
    pic.write(MASTER, EOI)
    assert pic.inta() == 0x29


def test_special_fully_nested_lets_the_slave_nest(pic: Pic) -> None:
    pic.write(MASTER, 0x11)
    pic.write(MASTER + 1, 0x20)
    pic.write(MASTER + 1, 4)
    pic.write(MASTER + 1, 0x11)             # ICW4: SFNM
    pic.pulse(12)
    assert pic.inta() == 0x2c
    pic.pulse(9)
    assert pic.output and pic.inta() == 0x29
    pic.pulse(5)                            # the master's less urgent inputs still wait
    assert not pic.output


def test_mask_and_priority(pic: Pic) -> None:
    pic.write(MASTER + 1, 1 << 1)
    assert pic.line(1, True) == -1
    pic.pulse(6)
    pic.pulse(3)
    assert [pic.inta(), pic.output] == [0x23, False]
    pic.write(MASTER, EOI)
    assert pic.inta() == 0x26


def test_rotation_makes_the_served_lowest(pic: Pic) -> None:
    pic.pulse(3)
    pic.inta()
    pic.write(MASTER, 0xa0)                 # rotate on non-specific EOI
    pic.pulse(3)
    pic.pulse(7)
    pic.pulse(4)
    vectors = []
    for _ in range(3):
        vectors.append(pic.inta())
        pic.write(MASTER, EOI)
    assert vectors == [0x24, 0x27, 0x23]


def test_special_mask_mode_opens_lower_levels(pic: Pic) -> None:
    pic.pulse(1)
    pic.inta()
    pic.pulse(6)
    assert not pic.output
    pic.write(MASTER + 1, 1 << 1)
    assert not pic.output
    pic.write(MASTER, 0x68)                 # set special mask
    assert pic.inta() == 0x26
    pic.write(MASTER, EOI)                  # ends 6; the masked 1 is skipped
    pic.write(MASTER, EOI)
    pic.write(MASTER, 0x0b)
    assert pic.read(MASTER) == 1 << 1


def test_automatic_eoi(pic: Pic) -> None:
    pic.write(MASTER, 0x11)
    pic.write(MASTER + 1, 0x40)
    pic.write(MASTER + 1, 4)
    pic.write(MASTER + 1, 3)
    pic.pulse(6)
    assert pic.inta() == 0x46
    assert pic.acked() == 1 << 6
    pic.write(MASTER, 0x0b)
    assert pic.read(MASTER) == 0


def test_poll_acknowledges(pic: Pic) -> None:
    pic.pulse(6)
    pic.write(MASTER, 0x0c)
    assert pic.read(MASTER) == 0x86
    assert not pic.output
    pic.write(MASTER, 0x0c)
    assert pic.read(MASTER) & 0x80 == 0


def test_single_mode_expects_no_icw3(pic: Pic) -> None:
    pic.write(MASTER, 0x12)                 # SNGL, no ICW4
    pic.write(MASTER + 1, 0x50)
    pic.write(MASTER + 1, 0xfe)             # so this is OCW1
    assert pic.read(MASTER + 1) == 0xfe


def test_elcr_keeps_the_pc_inputs_edge(pic: Pic) -> None:
    pic.write(0x4d0, 0xff)
    pic.write(0x4d1, 0xff)
    assert (pic.read(0x4d0), pic.read(0x4d1)) == (0xf8, 0xde)


def test_initialization_drops_edges_and_says_so(pic: Pic) -> None:
    pic.pulse(0)
    pic.pulse(4)
    assert pic.inta() == 0x20
    pic.write(MASTER, 0x11)
    assert pic.acked() == 0x11              # who waits for an end must not wait on
    assert not pic.output


class PairMachine(RuleBasedStateMachine):
    """Any ports, lines and acknowledge cycles in any order."""

    lib: ctypes.CDLL

    def __init__(self) -> None:
        super().__init__()
        self.pic, self.model = Pic(self.lib), Pair()

    @rule(pin=st.integers(0, 15), level=st.booleans())
    def line(self, pin: int, level: bool) -> None:
        assert self.pic.line(pin, level) == self.model.line(pin, level)

    @rule(pin=st.integers(0, 15))
    def pulse(self, pin: int) -> None:
        self.line(pin, True)
        self.line(pin, False)

    @rule(port=st.sampled_from([0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]), value=st.integers(0, 255))
    def write(self, port: int, value: int) -> None:
        self.pic.write(port, value)
        self.model.write(port, value)

    @rule(port=st.sampled_from([0x20, 0xa0]),
          value=st.sampled_from([0x0a, 0x0b, 0x0c, 0x20, 0x48, 0x61, 0x68, 0x80, 0xa0, 0xc3, 0xe2]))
    def command(self, port: int, value: int) -> None:
        self.write(port, value)

    @rule(port=st.sampled_from([0x20, 0xa0]), icw1=st.sampled_from([0x10, 0x11, 0x12, 0x13]),
          icw4=st.sampled_from([1, 3, 0x11, 0x13]))
    def initialize(self, port: int, icw1: int, icw4: int) -> None:
        words = [port] + [0] * (not icw1 & 2) + [icw4] * (icw1 & 1)
        self.write(port, icw1)
        for word in words:
            self.write(port + 1, word)

    @rule(port=st.sampled_from([0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]))
    def read(self, port: int) -> None:
        assert self.pic.read(port) == self.model.read(port)

    @rule()
    def inta(self) -> None:
        assert self.pic.inta() == self.model.inta()

    @rule()
    def save_and_restore(self) -> None:
        """GET, SET into new chips, GET: the same, and they go on alike."""
        if any(chip.words for chip in self.model.chips):
            return      # ICW1's SNGL is not part of the ABI's state
        states = [self.pic.get(chip) for chip in range(2)]
        self.pic = Pic(self.lib)
        for chip in (0, 1, 0):
            self.pic.set(chip, states[chip])
        assert [bytes(self.pic.get(chip)) for chip in range(2)] == [bytes(s) for s in states]
        self.model.acked.clear()

    @invariant()
    def same(self) -> None:
        assert self.pic.output == self.model.output
        for number, chip in enumerate(self.model.chips):
            state = self.pic.get(number)
            assert (state.irr, state.isr, state.imr) == (bits(chip.irr), bits(chip.isr), bits(chip.imr))
            assert state.priority_add == chip.order[0]
        acked = self.pic.acked()
        assert {pin for pin in range(16) if acked >> pin & 1} == self.model.acked
        self.model.acked.clear()


def test_any_sequence(lib: ctypes.CDLL) -> None:
    PairMachine.lib = lib
    run_state_machine_as_test(PairMachine, settings=settings(
        max_examples=300, stateful_step_count=60, deadline=None))


def test_hostile_state_is_tamed(lib: ctypes.CDLL) -> None:
    pic = Pic(lib)
    for chip in range(2):
        pic.set(chip, PicState.from_buffer_copy(b"\xff" * 16))
    state = pic.get(0)
    assert state.priority_add == 7 and state.irq_base == 0xf8 and state.elcr == 0xf8
    for port in (0x20, 0x21, 0xa0, 0xa1):
        pic.read(port)
        pic.write(port, 0x0c)
    assert 0 <= pic.inta() <= 255
