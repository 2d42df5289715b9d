# SPDX-License-Identifier: GPL-2.0-only
"""Device accesses: in order, each exactly once, however often the instruction is run again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.emulate import machine as m
from kernel.emulate.machine import KERNEL_DEVICE, USER_DEVICE, Machine

pytestmark = pytest.mark.unit

U64 = (1 << 64) - 1


@pytest.fixture
def cpu(logic):
    return Machine(logic, m.MODE_64)


def run_with_user(cpu, code: bytes, answers: dict[int, bytes]) -> list[tuple]:
    """Run to the end, answering reads; the accesses user space saw, in order."""
    seen = []
    cpu.decode(code)
    for _ in range(20):
        result = cpu.run()
        if result.code != m.IO_NEEDED:
            break
        gpa, length = cpu.waiting()
        seen.append(("read", gpa, length))
        cpu.answer(answers[gpa])
    assert result.code == m.OK
    seen += [("write", gpa, data) for gpa, data in cpu.posted()]
    return seen


def test_read(cpu):
    cpu.gpr[m.RBX] = USER_DEVICE
    before = list(cpu.gpr)
    cpu.decode(b"\x8b\x03")                             # mov eax, [rbx]
    assert cpu.run().code == m.IO_NEEDED
    assert cpu.waiting() == (USER_DEVICE, 4)
    assert list(cpu.gpr) == before and cpu.rip == 0x9000
    cpu.answer(b"\x78\x56\x34\x12")
    assert cpu.run().code == m.OK
    assert cpu.gpr[m.RAX] == 0x12345678 and cpu.rip == 0x9002
    assert cpu.waiting() is None and cpu.posted() == []


def test_write_is_posted_after_the_instruction(cpu):
    cpu.gpr[m.RBX], cpu.gpr[m.RAX] = USER_DEVICE + 2, 0x1122334455667788
    assert cpu.step(b"\x48\x89\x03").code == m.OK       # mov [rbx], rax
    assert cpu.rip == 0x9003
    assert cpu.posted() == [(USER_DEVICE + 2, bytes.fromhex("8877665544332211"))]
    assert cpu.posted() == []


def test_read_modify_write(cpu):
    cpu.gpr[m.RBX] = USER_DEVICE
    seen = run_with_user(cpu, b"\x83\x0b\x10", {USER_DEVICE: b"\x01\0\0\0"})   # or dword [rbx], 16
    assert seen == [("read", USER_DEVICE, 4), ("write", USER_DEVICE, b"\x11\0\0\0")]


def test_locked_on_a_device_is_read_and_write(cpu):
    cpu.gpr[m.RBX], cpu.gpr[m.RAX] = USER_DEVICE, 7
    seen = run_with_user(cpu, b"\xf0\x0f\xc1\x03", {USER_DEVICE: b"\x05\0\0\0"})
    assert seen == [("read", USER_DEVICE, 4), ("write", USER_DEVICE, b"\x0c\0\0\0")]
    assert cpu.gpr[m.RAX] == 5


def test_flags_of_a_late_answer(cpu):
    cpu.gpr[m.RBX] = USER_DEVICE
    run_with_user(cpu, b"\x80\x3b\x07", {USER_DEVICE: b"\x07"})                # cmp byte [rbx], 7
    assert cpu.rflags & m.ZF


def test_unaligned_across_pages(cpu):
    """Two guest-physical pages that are not neighbours: two accesses in address order."""
    cpu.page(0x5000, gpa=USER_DEVICE + 0x3000)
    cpu.page(0x6000, gpa=USER_DEVICE)
    cpu.gpr[m.RBX] = 0x5ffd
    low, high = USER_DEVICE + 0x3ffd, USER_DEVICE
    seen = run_with_user(cpu, b"\x48\x8b\x03", {low: b"abc", high: b"defgh"})
    assert seen == [("read", low, 3), ("read", high, 5)]
    assert cpu.gpr[m.RAX] == int.from_bytes(b"abcdefgh", "little")
    cpu.gpr[m.RBX] = 0x5ffd
    assert run_with_user(cpu, b"\x48\x89\x03", {}) == [("write", low, b"abc"),
                                                      ("write", high, b"defgh")]


def test_memory_then_device_across_pages(cpu):
    cpu.page(0x6000, gpa=USER_DEVICE)
    cpu.poke(0x5ffe, b"xy")
    cpu.gpr[m.RBX] = 0x5ffe
    assert run_with_user(cpu, b"\x8b\x03", {USER_DEVICE: b"zw"}) == [("read", USER_DEVICE, 2)]
    assert cpu.gpr[m.RAX] == int.from_bytes(b"xyzw", "little")
    assert run_with_user(cpu, b"\x89\x03", {}) == [("write", USER_DEVICE, b"zw")]
    assert cpu.peek(0x5ffe, 2) == b"xy"


def test_sixteen_bytes(cpu):
    cpu.gpr[m.RBX] = USER_DEVICE + 8
    answers = {USER_DEVICE + 8: b"01234567", USER_DEVICE + 16: b"89abcdef"}
    seen = run_with_user(cpu, bytes.fromhex("f3440f6f2b"), answers)           # movdqu xmm13, [rbx]
    assert seen == [("read", USER_DEVICE + 8, 8), ("read", USER_DEVICE + 16, 8)]
    assert bytes(cpu.xmm[13 * 16:14 * 16]) == b"0123456789abcdef"
    seen = run_with_user(cpu, bytes.fromhex("f3440f7f2b"), {})
    assert seen == [("write", USER_DEVICE + 8, b"01234567"),
                    ("write", USER_DEVICE + 16, b"89abcdef")]


def test_mmx(cpu):
    cpu.gpr[m.RBX] = USER_DEVICE
    seen = run_with_user(cpu, bytes.fromhex("440f6f2b"), {USER_DEVICE: b"01234567"})
    assert seen == [("read", USER_DEVICE, 8)]                       # movq mm5: REX.R is ignored
    assert cpu.mm[5].to_bytes(8, "little") == b"01234567"
    seen = run_with_user(cpu, bytes.fromhex("0f7f2b"), {})
    assert seen == [("write", USER_DEVICE, b"01234567")]


@pytest.mark.parametrize("code", ["0f6f2b", "0f7f2b"])
@pytest.mark.parametrize("cr0, vector", [(0, m.MF), (8, m.NM), (0xc, m.UD)])
def test_mmx_faults_before_the_device(cpu, code, cr0, vector):
    cpu.gpr[m.RBX] = USER_DEVICE
    cpu.cr[0] |= cr0
    cpu.x87_pending(True)
    result = cpu.step(bytes.fromhex(code))
    assert (result.code, result.vector, result.has_error_code) == (m.FAULT, vector, 0)
    assert cpu.posted() == [] and not cpu.mm[5]


def test_kernel_device_is_asked_once(cpu):
    """CMPS of an in-kernel device with user space: the first is read in the first run only."""
    cpu.gpr[m.RSI], cpu.gpr[m.RDI] = KERNEL_DEVICE, USER_DEVICE
    cpu.decode(b"\xa7")
    assert cpu.run().code == m.IO_NEEDED
    ((kind, address, length, data),) = cpu.log()
    assert (kind, address, length) == (m.KERNEL_READ, KERNEL_DEVICE, 4)
    assert cpu.waiting() == (USER_DEVICE, 4)
    cpu.answer(data.to_bytes(4, "little"))
    assert cpu.run().code == m.OK
    assert cpu.log() == [] and cpu.rflags & m.ZF
    assert (cpu.gpr[m.RSI], cpu.gpr[m.RDI]) == (KERNEL_DEVICE + 4, USER_DEVICE + 4)


def test_kernel_write_waits_for_every_read(cpu):
    """MOVS from user space to an in-kernel device."""
    cpu.gpr[m.RSI], cpu.gpr[m.RDI] = USER_DEVICE, KERNEL_DEVICE
    cpu.decode(b"\x48\xa5")
    assert cpu.run().code == m.IO_NEEDED and cpu.log() == []
    cpu.answer(b"abcdefgh")
    assert cpu.run().code == m.OK
    assert cpu.log() == [(m.KERNEL_WRITE, KERNEL_DEVICE, 8, int.from_bytes(b"abcdefgh", "little"))]


def test_stale_answers_are_dropped(cpu):
    """The guest's page tables move the operand while user space has the exit."""
    cpu.page(0x5000, gpa=USER_DEVICE)
    cpu.gpr[m.RBX] = 0x5000
    cpu.decode(b"\x8b\x03")
    assert cpu.run().code == m.IO_NEEDED
    cpu.answer(b"\xff" * 4)
    cpu.page(0x5000, gpa=USER_DEVICE + 0x1000)
    assert cpu.run().code == m.IO_NEEDED
    assert cpu.waiting() == (USER_DEVICE + 0x1000, 4)
    cpu.answer(b"\x01\0\0\0")
    assert cpu.run().code == m.OK and cpu.gpr[m.RAX] == 1


def test_unasked_answer_is_ignored(cpu):
    cpu.answer(b"\xff" * 8)
    cpu.gpr[m.RBX] = USER_DEVICE
    cpu.decode(b"\x8b\x03")
    assert cpu.run().code == m.IO_NEEDED


def test_rep_movs_from_user_space(cpu):
    """Each element is done for good before the next asks."""
    cpu.gpr[m.RSI], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = USER_DEVICE, 0x4000, 3
    cpu.decode(b"\xf3\x66\xa5")
    for element in range(3):
        result = cpu.run()
        assert result.code == m.IO_NEEDED and bool(result.progress) == (element > 0)
        assert cpu.waiting() == (USER_DEVICE + 2 * element, 2)
        assert cpu.gpr[m.RCX] == 3 - element and cpu.rip == 0x9000
        cpu.answer(bytes((element, 0xee)))
    assert cpu.run().code == m.OK
    assert cpu.peek(0x4000, 8) == b"\x00\xee\x01\xee\x02\xee\0\0"
    assert cpu.gpr[m.RCX] == 0 and cpu.rip == 0x9003


def test_rep_stos_to_user_space_posts_one_by_one(cpu):
    cpu.gpr[m.RDI], cpu.gpr[m.RCX], cpu.gpr[m.RAX] = USER_DEVICE, 2, 0x55
    for element in range(2):
        result = cpu.step(b"\xf3\xaa")
        assert result.code == m.OK and bool(result.rep_pending) == (element == 0)
        assert cpu.posted() == [(USER_DEVICE + element, b"\x55")]
    assert cpu.rip == 0x9002


def test_rep_movs_between_kernel_devices(cpu):
    cpu.gpr[m.RSI], cpu.gpr[m.RDI], cpu.gpr[m.RCX] = KERNEL_DEVICE, KERNEL_DEVICE + 0x100, 5
    assert cpu.step(b"\xf3\xa4").code == m.OK
    log = cpu.log()
    assert [entry[0] for entry in log] == [m.KERNEL_READ, m.KERNEL_WRITE] * 5
    assert [entry[1] for entry in log[::2]] == [KERNEL_DEVICE + n for n in range(5)]
    assert [entry[3] for entry in log[::2]] == [entry[3] for entry in log[1::2]]


def test_read_only_memory_is_written_through_user_space(cpu):
    """A slot with KVM_MEM_READONLY reads as memory and writes as MMIO."""
    cpu.read_only(0x5000)
    cpu.poke(0x5010, b"\x04")
    cpu.gpr[m.RBX] = 0x5010
    assert run_with_user(cpu, b"\x80\x03\x03", {}) == [("write", 0x5010, b"\x07")]
    assert cpu.peek(0x5010, 1) == b"\x04"
    assert run_with_user(cpu, b"\xf0\x80\x03\x03", {}) == [("write", 0x5010, b"\x07")]


def test_fault_on_the_write_side_comes_before_the_read(cpu):
    """ADD to a page that may not be written leaves the device alone."""
    cpu.page(0x5000, flags=m.READ_ONLY, gpa=KERNEL_DEVICE)
    cpu.gpr[m.RBX] = 0x5000
    result = cpu.step(b"\x01\x03")
    assert (result.code, result.vector, result.error_code) == (m.FAULT, m.PF, 3)
    assert cpu.log() == []


def test_push_to_a_device(cpu):
    cpu.gpr[m.RSP], cpu.gpr[m.RAX] = USER_DEVICE + 16, 0x42
    assert run_with_user(cpu, b"\x50", {}) == [("write", USER_DEVICE + 8, b"\x42" + bytes(7))]
    assert cpu.gpr[m.RSP] == USER_DEVICE + 8


def test_popa_from_a_device(logic):
    """Eight reads, each asked once, then everything at once."""
    cpu = Machine(logic, m.MODE_32)
    cpu.gpr[m.RSP] = USER_DEVICE
    answers = {USER_DEVICE + 4 * n: bytes((n, 0, 0, 0)) for n in range(8)}
    seen = run_with_user(cpu, b"\x61", answers)
    assert seen == [("read", USER_DEVICE + 4 * n, 4) for n in range(8)]
    assert [cpu.gpr[r] for r in (m.RDI, m.RSI, m.RBP, m.RBX, m.RDX, m.RCX, m.RAX)] == [
        0, 1, 2, 4, 5, 6, 7]
    assert cpu.gpr[m.RSP] == USER_DEVICE + 32


def test_pusha_to_a_device(logic):
    cpu = Machine(logic, m.MODE_32)
    cpu.gpr[:8] = [1, 2, 3, 4, USER_DEVICE + 32, 6, 7, 8]
    expected = [1, 2, 3, 4, USER_DEVICE + 32, 6, 7, 8]
    seen = run_with_user(cpu, b"\x60", {})
    assert seen == [("write", USER_DEVICE + 28 - 4 * n, value.to_bytes(4, "little"))
                    for n, value in enumerate(expected)]


MEMORY_FORMS = ["8b03", "488b03", "8a03", "0fb603", "480fbe03", "0103", "3b03", "f71b",
                "ff33", "8f03", "0fb113", "f0480fb113", "488713", "a4", "48a5", "a7", "ac", "ab",
                "0fc70b", "f30f6f03", "0fab03", "d32b", "ff03", "0f4403", "6303", "0f9403"]


@settings(max_examples=400, deadline=None)
@given(form=st.sampled_from(MEMORY_FORMS), source=st.integers(0, 0x40),
       target=st.integers(0, 0x40), data=st.binary(min_size=8, max_size=8),
       where=st.sampled_from([USER_DEVICE + 0xfc0, KERNEL_DEVICE + 0xfc0]))
def test_device_memory_behaves_as_memory(logic, form, source, target, data, where):
    """What an instruction does to memory it does to user space's memory; no read comes twice."""
    code = bytes.fromhex(form)
    plain, device = Machine(logic, m.MODE_64), Machine(logic, m.MODE_64)
    for cpu, base in ((plain, 0x5fc0), (device, where)):
        cpu.gpr[:] = [n * 0x1234567 for n in range(16)]
        cpu.gpr[m.RBX] = cpu.gpr[m.RSI] = base + source
        cpu.gpr[m.RDI], cpu.gpr[m.RSP] = base + target, 0x8000
    plain.poke(0x5fc0, data * 64)
    store = bytearray(data * 64)
    assert plain.step(code).code == m.OK
    if where == USER_DEVICE + 0xfc0:
        device.decode(code)
        while device.run().code == m.IO_NEEDED:
            gpa, length = device.waiting()
            device.answer(bytes(store[gpa - where:gpa - where + length]))
        for gpa, written in device.posted():
            store[gpa - where:gpa - where + len(written)] = written
        assert bytes(store) == plain.peek(0x5fc0, len(store))
        moved = [value - where + 0x5fc0 if where <= value < where + 0x1000 else value
                 for value in device.gpr]
        assert moved == list(plain.gpr) and device.rflags == plain.rflags
    else:
        assert device.step(code).code == m.OK
        reads = [entry[1] for entry in device.log() if entry[0] == m.KERNEL_READ]
        operands = 2 if form == "a7" and source == target else 1
        assert all(reads.count(address) <= operands for address in reads)


# ---- the processor's own translation, told by the exit ----

LINEAR, ELSEWHERE = 0x5008, USER_DEVICE + 0x7000        # the tables say ELSEWHERE, by now
THERE = USER_DEVICE + 0x3008                            # where the processor went

# (code, was the exit for a write?, accesses at THERE): one memory operand, no walk at all
BY_EXIT = {
    "read": ("8b03", False, [("read", THERE, 4)]),
    "write": ("8903", True, [("write", THERE, bytes(4))]),
    "read-modify-write": ("830310", True, [("read", THERE, 4),
                                           ("write", THERE, b"\x11\0\0\0")]),
    "locked": ("f00fc103", True, [("read", THERE, 4), ("write", THERE, b"\1\0\0\0")]),
    "16 bytes": ("f30f6f03", False, [("read", THERE, 8), ("read", THERE + 8, 8)]),
}


def exited(cpu, code: bytes, gpa: int, write: bool) -> list[tuple]:
    """As run_with_user(), after an exit for an access to gpa; every answer is 1."""
    seen = []
    cpu.decode(code)
    cpu.exit_at(gpa, write)
    while (result := cpu.run()).code == m.IO_NEEDED:
        seen.append(("read", *cpu.waiting()))
        cpu.answer(b"\1\0\0\0\0\0\0\0")
    assert result.code == m.OK
    return seen + [("write", gpa, data) for gpa, data in cpu.posted()]


@pytest.mark.parametrize("name", BY_EXIT)
def test_the_exit_told_where(cpu, name):
    code, write, accesses = BY_EXIT[name]
    cpu.page(LINEAR, gpa=ELSEWHERE)
    cpu.gpr[m.RBX] = LINEAR
    assert exited(cpu, bytes.fromhex(code), THERE, write) == accesses
    assert cpu.walks() == 0


# code, gpa of the exit, was it for a write?; RBX is LINEAR unless set
BY_TABLES = {
    "a write, but it read": ("8903", THERE, False),
    "another place of the page": ("8b03", THERE + 8, False),
    "string": ("a4", THERE, False),
    "push": ("ff33", THERE, False),
    "pop": ("8f03", THERE, True),
    "call": ("ff13", THERE, False),
}


@pytest.mark.parametrize("name", BY_TABLES)
def test_the_exit_may_mean_another(cpu, name):
    """The tables decide: the exit can have been for the other operand, or had other rights."""
    code, gpa, write = BY_TABLES[name]
    cpu.page(LINEAR, gpa=ELSEWHERE)
    cpu.gpr[m.RBX] = cpu.gpr[m.RSI] = LINEAR
    cpu.gpr[m.RDI] = 0x8000 | LINEAR & 0xfff
    cpu.gpr[m.RSP] = (0x8000 | LINEAR & 0xfff) + (0 if name == "pop" else 8)
    assert {access[1] for access in exited(cpu, bytes.fromhex(code), gpa, write)} == {
        ELSEWHERE | LINEAR & 0xfff}
    assert cpu.walks()


def test_the_exit_is_only_of_one_page(cpu):
    cpu.page(0x5000, gpa=ELSEWHERE)
    cpu.page(0x6000, gpa=USER_DEVICE)
    cpu.gpr[m.RBX] = 0x5ffe
    assert exited(cpu, b"\x8b\x03", THERE | 0xffe, False) == [
        ("read", ELSEWHERE | 0xffe, 2), ("read", USER_DEVICE, 2)]


def test_descriptors_are_not_the_operand(cpu):
    """MOV to DS reads its selector and the descriptor: the same offsets in their pages."""
    cpu.page(LINEAR, gpa=ELSEWHERE)
    cpu.gpr[m.RBX] = LINEAR
    cpu.table(False).base, cpu.table(False).limit = 0x9000, 0xff
    cpu.poke(0x7000 | LINEAR & 0xfff, b"\x08\0")
    cpu.poke(0x9008, (0x00cf93000000ffff).to_bytes(8, "little"))
    assert exited(cpu, b"\x8e\x1b", 0x7000 | LINEAR & 0xfff, False) == []    # mov ds, [rbx]
    assert cpu.segment(m.DS).selector == 8 and cpu.segment(m.DS).limit == 0xffffffff
    assert cpu.walks()


def test_the_next_instruction_has_its_own(cpu):
    cpu.page(LINEAR, gpa=ELSEWHERE)
    cpu.gpr[m.RBX] = LINEAR
    assert exited(cpu, b"\x8b\x03", THERE, False) == [("read", THERE, 4)]
    assert run_with_user(cpu, b"\x8b\x03", {ELSEWHERE | 8: bytes(4)}) == [
        ("read", ELSEWHERE | 8, 4)]
