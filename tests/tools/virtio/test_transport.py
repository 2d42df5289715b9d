# SPDX-License-Identifier: GPL-2.0-only
"""The PCI transport: discovery, negotiation, interrupts, and drivers that misbehave."""

from __future__ import annotations

import gc
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unikvm.core.chardev import BufferBackend
from unikvm.virtio.console import VirtioConsole
from unikvm.virtio.pci import VirtioPci

pytestmark = pytest.mark.unit

VERSION_1 = 1 << 32
EVENT_IDX, INDIRECT_DESC = 1 << 29, 1 << 28


@pytest.fixture
def function(machine):  # noqa: ANN001, ANN201
    return machine.plug(VirtioConsole(BufferBackend()))


def test_identity_and_structures(function) -> None:  # noqa: ANN001
    assert function.config_read(0, 4) == 0x10431AF4
    assert function.config_read(8, 4) == 0x07800001
    assert set(function.capabilities) == {1, 2, 3, 4, 5, -0x11}
    assert len({function.windows[kind] >> 12 for kind in (1, 2, 3, 4)}) == 4
    assert function.config_read(function.capabilities[2] + 16, 4) == 4  # notify multiplier
    assert function.read(18, 2) == 2 and function.read(21, 1) == 0


def test_features_and_negotiation(function) -> None:  # noqa: ANN001
    assert function.features() == VERSION_1 | EVENT_IDX | INDIRECT_DESC
    function.write(0, 4, 2)
    assert function.read(4, 4) == 0
    function.negotiate(VERSION_1 | EVENT_IDX)
    assert function.status == 11
    function.write(8, 4, 0)
    function.write(12, 4, 0)  # too late to change
    assert function.read(12, 4) == EVENT_IDX


@pytest.mark.parametrize("features", [0, EVENT_IDX, VERSION_1 | 1 << 40, VERSION_1 | 1 << 5])
def test_bad_features_are_refused(function, features: int) -> None:  # noqa: ANN001
    function.negotiate(features)
    assert function.status == 3
    function.status = 15
    assert not function.status & 12


def test_queue_fields(function, make_ring) -> None:  # noqa: ANN001
    function.negotiate()
    ring = make_ring(16)
    function.set_queue(1, ring)
    assert [function.read(offset, 2) for offset in (22, 24, 26, 28, 30)] == [1, 16, 0xFFFF, 1, 1]
    assert function.read(32, 4) == ring.desc and function.read(36, 4) == 0
    # Its set-up is fixed now.
    function.write(24, 2, 4)
    function.write(32, 4, 0)
    assert function.read(24, 2) == 16 and function.read(32, 4) == ring.desc
    function.write(22, 2, 2)  # no such queue
    assert function.read(24, 2) == 0
    function.write(24, 2, 8)
    function.write(28, 2, 1)
    assert function.status == 11


def test_reset_forgets_everything(function, make_ring) -> None:  # noqa: ANN001
    function.start(make_ring(16), make_ring(16))
    assert function.status == 15
    function.status = 0
    assert function.status == 0
    function.write(22, 2, 1)
    assert function.read(24, 2) == 64 and function.read(28, 2) == 0 and function.read(32, 4) == 0


@pytest.mark.parametrize(
    ("field", "value"), [(24, 3), (24, 128), (24, 0), (32, 0x11), (40, 1), (48, 2), (36, 0x7FFFFFFF)]
)
def test_queue_nonsense_needs_a_reset(function, make_ring, field, value) -> None:  # noqa: ANN001
    function.negotiate()
    function.write(22, 2, 0)
    ring = make_ring(16)
    for offset, address in ((32, ring.desc), (40, ring.avail), (48, ring.used)):
        function.write(offset, 4, address)
    function.write(field, 2 if field == 24 else 4, value)
    function.write(28, 2, 1)
    assert function.status & 64
    function.status = 0
    function.start(make_ring(16), make_ring(16))
    assert function.status == 15


def test_queue_before_features_ok_is_ignored(function, make_ring) -> None:  # noqa: ANN001
    function.status = 3
    function.set_queue(0, make_ring(16))
    assert function.read(28, 2) == 0


def test_doorbells_follow_the_bar(machine, function) -> None:  # noqa: ANN001
    base = function.windows[2]
    # The transmit queue has none: its notifications are handled where they happen.
    assert sorted(machine.doorbells) == [base]
    function.config_write(0x20, 4, 0xD0000000)
    assert sorted(machine.doorbells) == [0xD0003000]
    function.config_write(4, 2, 0)
    assert machine.doorbells == {}


def test_doorbell_the_kernel_refuses(machine, make_ring) -> None:  # noqa: ANN001
    def refuse(address: int, fd: int, assign: bool) -> None:
        raise OSError(17, "exists")

    machine.doorbell = refuse
    backend = BufferBackend()
    function = machine.plug(VirtioConsole(backend))
    rings = make_ring(16), make_ring(16)
    function.start(*rings)
    send(machine, function, rings[1], b"still works")
    machine.wait(lambda: backend.output == b"still works")


def test_prompt_queue_is_served_before_the_notification_returns(machine, make_ring) -> None:  # noqa: ANN001
    backend = BufferBackend()
    function = machine.plug(VirtioConsole(backend))
    rings = make_ring(16), make_ring(16)
    function.start(*rings)
    machine.loop.stop()
    send(machine, function, rings[1], b"now")
    assert backend.output == b"now" and len(rings[1].take_used()) == 1
    machine.loop.start()


def test_doorbells_are_closed_with_the_function(make_machine) -> None:  # noqa: ANN001
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    made = make_machine()
    card = VirtioPci(VirtioConsole(BufferBackend()), made.memory, made.loop, made.msi)
    made.bus.add(card, 5)
    del made, card
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def send(machine, function, ring, text: bytes) -> None:  # noqa: ANN001
    machine.memory.write(0x100000, text)
    ring.publish(ring.add([(0x100000, len(text))], []))
    function.kick(1)


def test_intx(machine, make_ring) -> None:  # noqa: ANN001
    function = machine.plug(VirtioConsole(BufferBackend()))
    rings = make_ring(16), make_ring(16)
    function.start(*rings)
    gsi = function.config_read(0x3C, 1)
    line = machine.lines[gsi]
    send(machine, function, rings[1], b"x")
    machine.wait(lambda: line.level)
    assert function.config_read(6, 2) & 8
    function.config_write(4, 2, 2 | 1 << 10)
    assert not line.level
    function.config_write(4, 2, 2)
    assert line.level
    assert function.read(0, 1, kind=3) == 1 and not line.level
    assert function.read(0, 1, kind=3) == 0
    assert machine.msi.sent == []


def test_msix(machine, make_ring) -> None:  # noqa: ANN001
    function = machine.plug(VirtioConsole(BufferBackend()))
    rings = make_ring(16), make_ring(16)
    function.enable_msix(3)
    function.negotiate()
    function.write(16, 2, 0)
    for index, ring in enumerate(rings):
        function.set_queue(index, ring, vector=index + 1)
    function.status = 15
    send(machine, function, rings[1], b"x")
    machine.wait(lambda: machine.msi.sent)
    assert machine.msi.sent == [(0xFEE00020, 2)]
    assert not machine.lines[function.config_read(0x3C, 1)].level


def test_vector_that_does_not_exist_reads_back_as_none(function) -> None:  # noqa: ANN001
    function.write(16, 2, 3)
    assert function.read(16, 2) == 0xFFFF
    function.write(22, 2, 1)
    function.write(26, 2, 0x1234)
    assert function.read(26, 2) == 0xFFFF
    function.write(26, 2, 2)
    assert function.read(26, 2) == 2


def test_broken_ring_interrupts_and_needs_a_reset(machine, make_ring) -> None:  # noqa: ANN001
    function = machine.plug(VirtioConsole(BufferBackend()))
    rings = make_ring(16), make_ring(16)
    function.start(*rings)
    machine.memory.store16(rings[1].avail + 2, 999)
    function.kick(1)
    machine.wait(lambda: function.status & 64)
    assert function.read(0, 1, kind=3) & 2  # configuration interrupt
    function.kick(0)
    function.kick(1)
    machine.settle()
    # And the driver can get it going again.
    rings = make_ring(16), make_ring(16)
    function.start(*rings)
    assert function.status == 15
    send(machine, function, rings[1], b"again")
    machine.wait(lambda: rings[1].take_used())


def through_window(function, bar: int, offset: int, width: int) -> None:  # noqa: ANN001
    at = function.capabilities[5]
    function.config_write(at + 4, 1, bar)
    function.config_write(at + 8, 4, offset)
    function.config_write(at + 12, 4, width)


def test_configuration_access_capability(function) -> None:  # noqa: ANN001
    at = function.capabilities[5]
    through_window(function, 4, 18, 2)
    assert function.config_read(at + 16, 2) == 2
    through_window(function, 4, 20, 1)
    function.config_write(at + 16, 1, 1)
    assert function.status == 1
    for bar, offset, width in ((4, 0x4000, 4), (0, 0, 4), (4, 0xFFFFFFFC, 4), (4, 17, 2), (4, 16, 3),
                               (4, 0x1000, 4), (7, 0, 1)):  # fmt: skip
        through_window(function, bar, offset, width)
        assert function.config_read(at + 16, 4 if width == 3 else width) == 0
        function.config_write(at + 16, 4, 0xFFFFFFFF)
    assert function.status == 1


def test_status_bits_of_the_device_cannot_be_written(function) -> None:  # noqa: ANN001
    function.status = 64
    assert function.status == 0
    function.status = 128
    assert function.status == 128


operations = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 4]), st.integers(0, 70), st.sampled_from([1, 2, 4, 8]),
              st.integers(0, (1 << 64) - 1)),
    max_size=60,
)  # fmt: skip


def test_random_register_writes_raise_nothing(machine, function) -> None:  # noqa: ANN001
    @settings(max_examples=100, deadline=None)
    @given(operations)
    def run(chosen: list[tuple[int, int, int, int]]) -> None:
        for kind, offset, width, value in chosen:
            value &= (1 << 8 * width) - 1
            function.write(offset, width, value, kind=kind)
            function.read(offset, width, kind=kind)
        function.status = 0
        assert function.status == 0 and function.read(18, 2) == 2

    run()
    machine.settle()


config_writes = st.lists(
    st.tuples(st.integers(0, 255), st.sampled_from([1, 2, 4]),
              st.one_of(st.sampled_from([0, 1, 0xFFFFFFFF, 0xC0000000, 0x1000, 0x3000]),
                        st.integers(0, 0xFFFFFFFF))),
    max_size=60,
)  # fmt: skip


def test_random_configuration_writes_raise_nothing(machine, function) -> None:  # noqa: ANN001
    @settings(max_examples=150, deadline=None)
    @given(config_writes)
    def run(chosen: list[tuple[int, int, int]]) -> None:
        for offset, width, value in chosen:
            offset -= offset % width
            function.config_write(offset, width, value & ((1 << 8 * width) - 1))
            function.config_read(offset, width)
        through_window(function, 4, 18, 2)
        assert function.config_read(function.capabilities[5] + 16, 2) == 2
        assert function.config_read(0, 4) == 0x10431AF4

    run()
    machine.settle()


def test_config_space_of_the_console(function) -> None:  # noqa: ANN001
    assert struct.pack("<I", function.read(4, 4, kind=4)) == b"\1\0\0\0"
    assert function.read(100, 4, kind=4) == 0
