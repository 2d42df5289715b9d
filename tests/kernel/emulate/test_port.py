# SPDX-License-Identifier: GPL-2.0-only
"""IN, OUT, INS, OUTS: batches, in-kernel ports, permissions."""

import pytest
from kernel.emulate import machine as m
from kernel.emulate.machine import USER_DEVICE, Machine

pytestmark = pytest.mark.unit

KERNEL_PORT, USER_PORT = 0x110, 0x3f8


@pytest.fixture
def cpu(logic):
    return Machine(logic, m.MODE_64)


def test_out_to_user_space(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RAX] = USER_PORT, 0x11223344
    assert cpu.step(b"\x66\xef").code == m.OK
    assert cpu.port() == (USER_PORT, 2, 1, 0)
    assert bytes(cpu.pio[:2]) == b"\x44\x33"


def test_out_to_the_kernel(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RAX] = KERNEL_PORT, 0x11223344
    assert cpu.step(b"\xef").code == m.OK
    assert cpu.port()[2] == 0
    assert cpu.log() == [(m.PORT_WRITE, KERNEL_PORT, 4, 0x11223344)]


def test_in_from_user_space(cpu):
    cpu.gpr[m.RAX] = 0xffffffffffffffff
    cpu.decode(b"\xe5\x70")
    assert cpu.run().code == m.IO_NEEDED
    assert cpu.port() == (0x70, 4, 1, 1)
    cpu.pio[:4] = [1, 2, 3, 4]
    cpu.port_answered()
    assert cpu.run().code == m.OK
    assert cpu.gpr[m.RAX] == 0x04030201 and cpu.port()[2] == 0


def test_in_byte_keeps_the_rest(cpu):
    cpu.gpr[m.RAX], cpu.gpr[m.RDX] = 0x1122334455667788, KERNEL_PORT
    assert cpu.step(b"\xec").code == m.OK
    ((kind, port, size, value),) = cpu.log()
    assert (kind, port, size) == (m.PORT_READ, KERNEL_PORT, 1)
    assert cpu.gpr[m.RAX] == 0x1122334455667700 | value


def test_rex_w_is_still_four_bytes(cpu):
    cpu.gpr[m.RDX] = USER_PORT
    assert cpu.step(b"\x48\xef").code == m.OK
    assert cpu.port()[1] == 4


def test_outs_goes_one_by_one(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RSI], cpu.gpr[m.RCX] = USER_PORT, 0x4ffe, 2
    cpu.poke(0x4ffe, b"abcd")
    result = cpu.step(b"\xf3\x66\x6f")
    assert result.code == m.OK and result.rep_pending
    assert cpu.port() == (USER_PORT, 2, 1, 0) and bytes(cpu.pio[:2]) == b"ab"
    assert (cpu.gpr[m.RSI], cpu.gpr[m.RCX], cpu.rip) == (0x5000, 1, 0x9000)
    cpu.port_done()
    assert not cpu.step(b"\xf3\x66\x6f").rep_pending
    assert cpu.port() == (USER_PORT, 2, 1, 0) and bytes(cpu.pio[:2]) == b"cd"
    assert (cpu.gpr[m.RSI], cpu.gpr[m.RCX], cpu.rip) == (0x5002, 0, 0x9003)


def test_ins_batch(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = USER_PORT, 0x4000, 512
    cpu.decode(b"\xf3\x66\x6d")
    assert cpu.run().code == m.IO_NEEDED
    assert cpu.port() == (USER_PORT, 2, 512, 1) and cpu.gpr[m.RCX] == 512
    cpu.pio[:1024] = bytes(n & 0xff for n in range(1024))
    cpu.port_answered()
    assert cpu.run().code == m.OK
    assert cpu.peek(0x4000, 1024) == bytes(n & 0xff for n in range(1024))
    assert (cpu.gpr[m.RDI], cpu.gpr[m.RCX], cpu.rip) == (0x4400, 0, 0x9003)


def test_ins_shrunk_while_away(cpu):
    """The guest's count may only shrink what is taken of the answer."""
    cpu.gpr[m.RDX], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = USER_PORT, 0x4000, 8
    cpu.decode(b"\xf3\x6c")
    assert cpu.run().code == m.IO_NEEDED
    cpu.pio[:8] = b"abcdefgh"
    cpu.gpr[m.RCX] = 2000
    cpu.port_answered()
    result = cpu.run()
    assert result.code == m.OK and result.rep_pending
    assert cpu.gpr[m.RCX] == 1992 and cpu.peek(0x4000, 9) == b"abcdefgh\0"


def test_ins_of_fewer_than_answered(cpu):
    """What user space gave beyond the count of now goes nowhere."""
    cpu.gpr[m.RDX], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = USER_PORT, 0x4000, 8
    cpu.decode(b"\xf3\x6c")
    assert cpu.run().code == m.IO_NEEDED
    cpu.pio[:8] = b"abcdefgh"
    cpu.gpr[m.RCX] = 4
    cpu.port_answered()
    result = cpu.run()
    assert result.code == m.OK and not result.rep_pending
    assert cpu.gpr[m.RCX] == 0 and cpu.peek(0x4000, 6) == b"abcd\0\0"


def test_ins_faults_before_the_port_is_read(cpu):
    cpu.page(0x4000, flags=m.READ_ONLY)
    cpu.gpr[m.RDX], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = KERNEL_PORT, 0x4000, 4
    result = cpu.step(b"\xf3\x6c")
    assert (result.code, result.vector, result.cr2) == (m.FAULT, m.PF, 0x4000)
    assert cpu.log() == [] and cpu.gpr[m.RCX] == 4


def test_ins_from_the_kernel_one_by_one(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = KERNEL_PORT, 0x4000, 3
    for left in (2, 1, 0):
        result = cpu.step(b"\xf3\x6c")
        assert bool(result.rep_pending) == (left > 0) and cpu.gpr[m.RCX] == left
    assert [entry[0] for entry in cpu.log()] == [m.PORT_READ] * 3


def test_ins_to_a_device_goes_one_by_one(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = USER_PORT, USER_DEVICE, 100
    cpu.decode(b"\xf3\x6d")
    assert cpu.run().code == m.IO_NEEDED
    assert cpu.port() == (USER_PORT, 4, 1, 1)
    cpu.pio[:4] = b"abcd"
    cpu.port_answered()
    assert cpu.run().code == m.OK
    assert cpu.posted() == [(USER_DEVICE, b"abcd")] and cpu.gpr[m.RCX] == 99


def test_outs_from_a_device(cpu):
    """Reading the source is asked of user space, then the port."""
    cpu.gpr[m.RDX], cpu.gpr[m.RSI] = USER_PORT, USER_DEVICE
    cpu.decode(b"\x6f")
    assert cpu.run().code == m.IO_NEEDED
    cpu.answer(b"abcd")
    assert cpu.run().code == m.OK
    assert cpu.port() == (USER_PORT, 4, 1, 0) and bytes(cpu.pio[:4]) == b"abcd"


@pytest.mark.parametrize("code", [b"\xf3\x6c", b"\xf3\x6e"])
def test_backwards(cpu, code):
    cpu.rflags |= m.DF
    cpu.gpr[m.RDX], cpu.gpr[m.RCX] = KERNEL_PORT, 2
    cpu.gpr[m.RSI] = cpu.gpr[m.RDI] = 0x4000
    while cpu.step(code).rep_pending:
        pass
    index = m.RDI if code[1] == 0x6c else m.RSI
    assert cpu.gpr[index] == 0x3ffe and len(cpu.log()) == 2


def test_count_zero_touches_nothing(cpu):
    cpu.gpr[m.RDX], cpu.gpr[m.RCX], cpu.gpr[m.RSI] = USER_PORT, 0, USER_DEVICE
    assert cpu.step(b"\xf3\x6e").code == m.OK
    assert cpu.port()[2] == 0 and cpu.rip == 0x9002


# -- the permission bitmap of the TSS, APM vol. 2, 12.2.4 ----------------------------

@pytest.fixture
def user(cpu):
    """CPL 3, IOPL 0, a TSS at 2000 whose bitmap at +68 allows ports 110 and 111."""
    cpu.cpl = 3
    tr = cpu.segment(m.TR)
    tr.base, tr.limit, tr.type, tr.present = 0x2000, 0x68 + 0x100, 11, 1
    cpu.page(0x2000, flags=m.SUPERVISOR)
    cpu.poke(0x2066, b"\x68\x00" + b"\xff" * 0x200)
    cpu.poke(0x2068 + 0x22, b"\xfc")
    cpu.gpr[m.RDX] = KERNEL_PORT
    return cpu


def test_bitmap_allows(user):
    assert user.step(b"\xec").code == m.OK
    assert user.step(b"\x66\xed").code == m.OK


@pytest.mark.parametrize("code, port", [(b"\xed", 0x110), (b"\x66\xed", 0x111), (b"\xec", 0x112),
                                        (b"\xec", 0xffff), (b"\xf3\x6c", 0x112)])
def test_bitmap_forbids(user, code, port):
    user.gpr[m.RDX], user.gpr[m.RCX] = port, 1
    result = user.step(code)
    assert (result.code, result.vector, result.error_code) == (m.FAULT, m.GP, 0)
    assert user.log() == []


def test_iopl_allows_all(user):
    user.rflags |= 0x3000
    user.gpr[m.RDX] = 0x1ff
    assert user.step(b"\xec").code == m.OK


@pytest.mark.parametrize("change", [{"limit": 0x67}, {"type": 3}, {"present": 0},
                                    {"unusable": 1}, {"limit": 0x68 + 0x22}])
def test_no_bitmap_there(user, change):
    for name, value in change.items():
        setattr(user.segment(m.TR), name, value)
    assert user.step(b"\xec").vector == m.GP


def test_tss_too_short_to_name_a_bitmap(user):
    user.segment(m.TR).limit = 0x66
    user.poke(0x2000, bytes(0x100))
    assert user.step(b"\xec").vector == m.GP
