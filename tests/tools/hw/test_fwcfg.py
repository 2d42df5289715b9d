# SPDX-License-Identifier: GPL-2.0-only
"""fw_cfg: the port interface, and DMA with descriptors that mean harm."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unikvm.core.bus import Bus
from unikvm.core.memory import GuestMemory
from unikvm.hw.fwcfg import FwCfg

pytestmark = pytest.mark.unit

PORT, RAM = 0x510, 0x10000
READ, SKIP, SELECT, WRITE, ERROR = 2, 4, 8, 16, 1
SPACE = 0x8000  # where tests let data go
BLOB = bytes(range(1, 101))


class Rig:
    def __init__(self):
        self.memory = GuestMemory([(0, RAM)])
        self.fwcfg = FwCfg(self.memory)
        self.bus = Bus("ports", 16)
        self.bus.register(PORT, FwCfg.SIZE, self.fwcfg, "fw_cfg")

    def select(self, key):
        self.bus.write(PORT, 2, key)

    def bytes(self, count):
        return bytes(self.bus.read(PORT + 1, 1) for _ in range(count))

    def dma(self, control, length, address, descriptor=0x100):
        """Run a transfer; the descriptor's control word afterwards."""
        self.memory.write(descriptor, struct.pack(">IIQ", control, length, address))
        self.bus.write(PORT + 8, 4, int.from_bytes(struct.pack(">I", descriptor), "little"))
        return struct.unpack(">I", self.memory.read(descriptor, 4))[0]

    def directory(self):
        self.select(0x19)
        count, = struct.unpack(">I", self.bytes(4))
        entries = [struct.unpack(">IHH56s", self.bytes(64)) for _ in range(count)]
        return {name.rstrip(b"\0").decode(): (key, size) for size, key, _, name in entries}


@pytest.fixture
def rig():
    rig = Rig()
    rig.fwcfg.add_file("etc/blob", BLOB)
    return rig


def test_signature_and_features(rig):
    rig.select(0)
    assert rig.bytes(6) == b"QEMU\0\0"
    rig.select(1)
    assert rig.bytes(4) == b"\x03\0\0\0"
    dma = rig.bus.read(PORT + 4, 4).to_bytes(4, "little") + \
        rig.bus.read(PORT + 8, 4).to_bytes(4, "little")
    assert dma == b"QEMU CFG"


def test_directory_is_sorted_and_leads_to_the_files(rig):
    rig.fwcfg.add_file("bootorder", b"x\0")
    rig.fwcfg.add_file("etc/computed", lambda: b"later")
    found = rig.directory()
    assert list(found) == ["bootorder", "etc/blob", "etc/computed"]
    for name, content in (("etc/blob", BLOB), ("etc/computed", b"later")):
        key, size = found[name]
        assert size == len(content)
        rig.select(key)
        assert rig.bytes(size + 2) == content + b"\0\0"


def test_selecting_starts_over_and_unknown_is_empty(rig):
    key, _ = rig.directory()["etc/blob"]
    rig.select(key)
    rig.bytes(5)
    rig.select(key)
    assert rig.bytes(1) == BLOB[:1]
    rig.select(0x3FFF)
    assert rig.bytes(3) == b"\0\0\0"


def test_fixed_keys(rig):
    rig.fwcfg.add_key(0x05, b"\x02\0")
    rig.fwcfg.add_key(0x8000, b"arch")
    rig.select(5)
    assert rig.bytes(2) == b"\x02\0"
    rig.select(0x8000)
    assert rig.bytes(4) == b"arch"
    for bad in (0x05, 0x19, 0x20, 0x7FFF, 0x10000):
        with pytest.raises(ValueError):
            rig.fwcfg.add_key(bad, b"")


@pytest.mark.parametrize("name", ["", "x" * 56, "ümlaut", "etc/blob"])
def test_bad_file_names_are_refused(rig, name):
    with pytest.raises(ValueError):
        rig.fwcfg.add_file(name, b"")


def test_dma_select_and_read(rig):
    key, size = rig.directory()["etc/blob"]
    assert rig.dma(key << 16 | SELECT | READ, size, SPACE) == 0
    assert rig.memory.read(SPACE, size) == BLOB


def test_dma_skip_and_past_the_end(rig):
    key, size = rig.directory()["etc/blob"]
    rig.memory.fill(SPACE, 0xEE, 32)
    assert rig.dma(key << 16 | SELECT | SKIP, size - 4, 0) == 0
    assert rig.dma(READ, 16, SPACE) == 0
    assert rig.memory.read(SPACE, 17) == BLOB[-4:] + bytes(12) + b"\xee"
    assert rig.dma(key << 16 | SELECT | SKIP, 0xFFFFFFFF, 0) == 0
    assert rig.dma(READ, 4, SPACE) == 0
    assert rig.memory.read(SPACE, 4) == bytes(4)


def test_dma_write_is_an_error(rig):
    key, _ = rig.directory()["etc/blob"]
    assert rig.dma(key << 16 | SELECT | WRITE, 4, SPACE) == ERROR
    rig.select(key)
    assert rig.bytes(4) == BLOB[:4]


@pytest.mark.parametrize("address, length", [
    (RAM, 1), (RAM - 4, 8), (2**64 - 4, 8), (2**64 - 1, 1), (0, RAM + 1), (0, 0xFFFFFFFF),
    (RAM - 0x200, 0x300)])  # the item itself would fit, the zeros after it would not
def test_dma_out_of_memory_is_an_error_and_changes_nothing(rig, address, length):
    key, _ = rig.directory()["etc/blob"]
    rig.memory.fill(0x1000, 0x77, RAM - 0x1000)
    before = rig.memory.read(0x1000, RAM - 0x1000)
    assert rig.dma(key << 16 | SELECT | READ, length, address) == ERROR
    assert rig.memory.read(0x1000, RAM - 0x1000) == before


@pytest.mark.parametrize("descriptor", [RAM, RAM - 8, 0xFFFFFFFF])
def test_a_descriptor_outside_memory_is_ignored(rig, descriptor):
    rig.bus.write(PORT + 8, 4, int.from_bytes(struct.pack(">I", descriptor), "little"))
    rig.bus.write(PORT + 4, 4, 0xFFFFFFFF)
    rig.bus.write(PORT + 8, 4, 0xFFFFFFFF)
    key, size = rig.directory()["etc/blob"]
    assert rig.dma(key << 16 | SELECT | READ, size, SPACE) == 0, "it still works"


def test_the_high_half_counts_once(rig):
    rig.bus.write(PORT + 4, 4, int.from_bytes(struct.pack(">I", 1), "little"))
    rig.memory.write(0x100, struct.pack(">IIQ", 0x19 << 16 | SELECT | READ, 4, SPACE))
    low = int.from_bytes(struct.pack(">I", 0x100), "little")
    rig.bus.write(PORT + 8, 4, low)
    assert rig.memory.load32(0x100) != 0, "4 GiB up there is nothing"
    rig.bus.write(PORT + 8, 4, low)
    assert rig.memory.load32(0x100) == 0


def test_a_transfer_over_its_own_descriptor(rig):
    key, _ = rig.directory()["etc/blob"]
    assert rig.dma(key << 16 | SELECT | READ, 64, 0xF8, descriptor=0x100) == 0
    assert rig.memory.read(0x104, 4) == BLOB[12:16]


@given(control=st.integers(0, 2**32 - 1), length=st.integers(0, 2**32 - 1),
       address=st.integers(0, 2**64 - 1), near=st.booleans())
def test_no_descriptor_breaks_it(control, length, address, near):
    rig = Rig()
    rig.fwcfg.add_file("etc/blob", BLOB)
    if near:
        control = control & 0x1F | (0x20 | control >> 16 & 3) << 16
        length, address = length % 0x200, RAM - 0x100 + address % 0x200
    status = rig.dma(control, length, address)
    assert status in (0, ERROR)
    if control & READ and length and address + length > RAM:
        assert status == ERROR


@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from((1, 2, 4, 8)), st.booleans(),
                          st.integers(0, 2**64 - 1)), max_size=30))
def test_no_access_breaks_it(accesses):
    rig = Rig()
    for offset, width, is_write, value in accesses:
        if is_write:
            rig.bus.write(PORT + offset, width, value)
        else:
            assert 0 <= rig.bus.read(PORT + offset, width) < 1 << 8 * width
