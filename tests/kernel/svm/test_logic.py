# SPDX-License-Identifier: GPL-2.0-only
"""SVM rules that an emulated processor does not enforce; APM vol. 2 chapter 15."""

import ctypes
from ctypes import POINTER, Structure, byref, c_bool, c_int, c_uint8, c_uint32, c_uint64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

FLUSH_ALL, FLUSH_ASID = 1, 3


class Pool(Structure):
    _fields_ = [("generation", c_uint64), ("next", c_uint32), ("min", c_uint32),
                ("max", c_uint32), ("flush_pending", c_bool)]


class Asid(Structure):
    _fields_ = [("generation", c_uint64), ("value", c_uint32)]


@pytest.fixture(scope="module")
def svm(logic):
    logic.asid_assign.restype = c_uint8
    logic.asid_flush.restype = c_uint8
    logic.event_encode.restype = c_uint32
    logic.event_encode.argtypes = [c_uint8, c_uint8, c_bool, c_bool]
    logic.msrpm_set.argtypes = [POINTER(c_uint8), c_uint32, c_bool, c_bool]
    logic.msrpm_offset.argtypes = [c_uint32]
    logic.msrpm_offset.restype = c_int
    logic.vmcb_changed_groups.restype = c_uint32
    logic.vmcb_insn_bytes.restype = c_uint8
    return logic


# -- ASIDs: a model processor that caches translations by ASID -------------------

@settings(max_examples=300, deadline=None)
@given(st.integers(2, 6), st.lists(st.tuples(st.sampled_from(["run", "flush", "cancel", "offline"]),
                                             st.integers(0, 7)), max_size=80), st.booleans())
def test_no_guest_ever_meets_stale_translations(svm, limit, steps, by_asid):
    """Run guests in any order; each entry must see an ASID free of what is not its own."""
    pool = Pool()
    svm.asid_pool_init(byref(pool), limit)
    guests = [Asid() for _ in range(8)]
    pending = [0] * 8                   # TLB_CONTROL of a guest's own flush
    version = [0] * 8                   # grows when the guest's mappings change
    tlb = {asid: ("unknown user", 0) for asid in range(1, limit + 1)}
    for what, g in steps:
        if what == "flush":
            version[g] += 1
            pending[g] = max(pending[g], svm.asid_flush(byref(guests[g]), by_asid))
            continue
        if what == "offline":           # the CPU went away, came back, and was another's
            svm.asid_pool_init(byref(pool), limit)
            tlb = {asid: ("unknown user", 0) for asid in range(1, limit + 1)}
            continue
        control = svm.asid_assign(byref(pool), byref(guests[g])) or pending[g]
        assert 1 <= guests[g].value <= limit
        if what == "cancel":
            continue
        if control == FLUSH_ALL:
            tlb.clear()
        elif control == FLUSH_ASID:
            tlb.pop(guests[g].value, None)
        svm.asid_entered(byref(pool))
        pending[g] = 0
        held = tlb.get(guests[g].value)
        assert held in (None, (g, version[g])), f"guest {g} met {held}"
        tlb[guests[g].value] = (g, version[g])


def test_asid_zero_is_never_given(svm):
    pool, asid = Pool(), Asid()
    svm.asid_pool_init(byref(pool), 1)
    for _ in range(5):
        svm.asid_assign(byref(pool), byref(asid))
        assert asid.value == 1
        svm.asid_flush(byref(asid), False)


# -- clean bits -------------------------------------------------------------------

# offset, size, bit of table 15-9; None: no group, the processor reads it always
VMCB_FIELDS = {
    "intercepts": (0x000, 24, 0), "pause_filter": (0x03C, 4, 0), "tsc_offset": (0x050, 8, 0),
    "iopm": (0x040, 8, 1), "msrpm": (0x048, 8, 1), "asid": (0x058, 4, 2),
    "int_ctl": (0x060, 4, 3), "int_vector": (0x064, 4, 3), "ncr3": (0x0B0, 8, 4),
    "g_pat": (0x668, 8, 4), "cr0": (0x558, 8, 5), "cr3": (0x550, 8, 5), "cr4": (0x548, 8, 5),
    "efer": (0x4D0, 8, 5), "dr6": (0x568, 8, 6), "dr7": (0x560, 8, 6), "gdtr": (0x460, 16, 7),
    "idtr": (0x480, 16, 7), "es": (0x400, 16, 8), "cs": (0x410, 16, 8), "ss": (0x420, 16, 8),
    "ds": (0x430, 16, 8), "cpl": (0x4CB, 1, 8), "cr2": (0x640, 8, 9), "dbgctl": (0x670, 8, 10),
    "tlb_control": (0x05C, 1, None), "event_inj": (0x0A8, 8, None), "int_state": (0x068, 4, None),
    "rip": (0x578, 8, None), "rax": (0x5F8, 8, None), "rflags": (0x570, 8, None),
    "fs": (0x440, 16, None), "lstar": (0x608, 8, None),
}


@pytest.mark.parametrize("name", VMCB_FIELDS)
def test_changed_field_names_its_clean_bit(svm, name):
    offset, size, bit = VMCB_FIELDS[name]
    for byte in {offset, offset + size - 1}:
        a, b = (ctypes.create_string_buffer(4096) for _ in range(2))
        b[byte] = 0x80
        expected = 0 if bit is None else 1 << bit
        assert svm.vmcb_changed_groups(a, b) == expected
        assert svm.vmcb_changed_groups(b, b) == 0


# -- EVENTINJ, figure 15-4 ----------------------------------------------------------

INTR, NMI, EXCEPTION, SOFT = 0, 2, 3, 4
WITH_ERROR = {8, 10, 11, 12, 13, 14, 17}


@given(st.integers(0, 7), st.integers(0, 255), st.booleans(), st.booleans())
@settings(deadline=None)
def test_event_encoding(svm, kind, vector, has_error, protmode):
    event = svm.event_encode(kind, vector, has_error, protmode)
    allowed = {INTR: not has_error, SOFT: not has_error, NMI: not has_error,
               EXCEPTION: vector < 32 and vector != 2
               and (not has_error or (vector in WITH_ERROR and protmode))}
    if not allowed.get(kind, False):
        assert event == 0
        return
    assert event >> 31 == 1
    assert event & 0xFF == (2 if kind == NMI else vector)
    assert event >> 8 & 7 == kind
    assert event >> 11 & 1 == has_error
    assert event & 0x7FFFF000 == 0


# -- intercepts of a fresh VMCB -----------------------------------------------------

# word: bits that must be set, appendix B table B-1
MUST = {
    0: [4, 20],                                         # CR4 read and write
    1: list(range(32)),                                 # every debug register
    2: [1, 6, 17, 18],                                  # #DB #UD #AC #MC
    3: [0, 1, 2, 3, 5, 15, 18, 19, 22, 24, 26, 27, 28, 29, 31],
    4: [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 13, 14],
}


def test_intercepts_of_a_fresh_vmcb(svm):
    control = (c_uint32 * 256)()
    svm.vmcb_init_intercepts(control)
    for word, bits in MUST.items():
        missing = [bit for bit in bits if not control[word] >> bit & 1]
        assert not missing, f"intercept word {word}: bits {missing} are clear"
    assert not control[2] >> 14 & 1, "#PF must not exit under nested paging"
    assert list(control[6:]) == [0] * 250


@pytest.mark.parametrize(("word", "bit", "hidden"), [(4, 7, (True, False)), (5, 2, (False, True))])
def test_hidden_instructions_exit(svm, word, bit, hidden):
    """RDTSCP and INVPCID, appendix B table B-1."""
    control = (c_uint32 * 256)()
    svm.vmcb_init_intercepts(control)
    before = list(control)
    svm.vmcb_hide_instructions(control, *hidden)
    assert control[word] == before[word] | 1 << bit != before[word]
    svm.vmcb_hide_instructions(control, False, False)
    assert list(control) == before


# -- decode assists: no emulator fills these bytes in, so here is all that tries it ------

NPF, PAGE_FAULT, CPUID = 0x400, 0x4E, 0x72


@pytest.mark.parametrize("length", [0, 1, 7, 15])
@pytest.mark.parametrize("code", [NPF, PAGE_FAULT, CPUID])
def test_instruction_bytes_of_an_exit(svm, code, length):
    control, found = (c_uint8 * 1024)(), (c_uint8 * 15)()
    control[0x70:0x78] = code.to_bytes(8, "little")
    control[0xD0] = 0xF0 | length       # the upper bits are reserved
    control[0xD1:0xE0] = range(1, 16)
    expected = length if code == NPF else 0
    assert svm.vmcb_insn_bytes(control, found) == expected
    assert list(found[:expected]) == list(range(1, expected + 1))


# -- MSR permission map, 15.11 -------------------------------------------------------

@pytest.mark.parametrize("msr,offset", [(0, 0), (0x174, 0x174 * 2), (0x1FFF, 0x3FFE),
                                        (0xC0000000, 0x4000), (0xC0000081, 0x4102),
                                        (0xC0001FFF, 0x7FFE), (0xC0010000, 0x8000),
                                        (0xC0011FFF, 0xBFFE), (0x2000, -1), (0x40000000, -1),
                                        (0xC0002000, -1), (0xC0012000, -1), (0xFFFFFFFF, -1)])
def test_msrpm_offset(svm, msr, offset):
    assert svm.msrpm_offset(msr) == offset


@given(st.integers(0, 0xFFFFFFFF) | st.sampled_from([0xC0000081, 0xC0000102, 0x174]),
       st.booleans(), st.booleans())
@settings(deadline=None)
def test_msrpm_set_changes_two_bits(svm, msr, read, write):
    msrpm = (c_uint8 * 8192)(*[0xFF] * 8192)
    svm.msrpm_set(msrpm, msr, read, write)
    bits = int.from_bytes(bytes(msrpm), "little")
    offset = svm.msrpm_offset(msr)
    expected = (1 << 8192 * 8) - 1
    if offset >= 0:
        expected &= ~(3 << offset)
        expected |= (read | write << 1) << offset
    assert bits == expected
