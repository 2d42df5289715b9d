# SPDX-License-Identifier: GPL-2.0-only
"""kernel/x86/cpuid_logic.c as Python sees it, and hosts to feed it with."""

import ctypes
from collections.abc import Callable, Mapping
from ctypes import CFUNCTYPE, POINTER, Structure, c_bool, c_int, c_uint8, c_uint32, c_uint64, c_void_p

EAX, EBX, ECX, EDX = range(4)
INDEXED = 1                     # KVM_CPUID_FLAG_SIGNIFCANT_INDEX
E2BIG = 7
Regs = tuple[int, int, int, int]
Host = Callable[[int, int], Regs]
ReadFn = CFUNCTYPE(None, c_void_p, c_uint32, c_uint32, POINTER(c_uint32))


class Entry(Structure):
    """struct kvm_cpuid_entry2"""

    _fields_ = [(name, c_uint32) for name in
                ("function", "index", "flags", "eax", "ebx", "ecx", "edx")] + [
                    ("padding", c_uint32 * 3)]

    @property
    def regs(self) -> Regs:
        return self.eax, self.ebx, self.ecx, self.edx


class Env(Structure):
    """struct cpuid_env"""

    _fields_ = [("read", ReadFn), ("ctx", c_void_p), ("guest_xcr0", c_uint64),
                ("pv_features", c_uint32)]


class Runtime(Structure):
    """struct cpuid_runtime"""

    _fields_ = [("osxsave", c_bool), ("pke", c_bool), ("apic_enabled", c_bool),
                ("mwait_follows", c_bool), ("mwait", c_bool), ("xcr0", c_uint64)]


def bind(lib: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes the types of the functions used here."""
    table = [POINTER(Entry), c_uint32]
    lib.cpuid_supported.argtypes = [POINTER(Env), POINTER(Entry), c_uint32]
    lib.cpuid_supported.restype = c_int
    lib.cpuid_query.argtypes = [*table, c_uint32, c_uint32, POINTER(c_uint32)]
    lib.cpuid_query.restype = None
    lib.cpuid_apply_runtime.argtypes = [*table, POINTER(Runtime)]
    lib.cpuid_apply_runtime.restype = None
    for name, restype in (("cpuid_cr4_reserved", c_uint64), ("cpuid_efer_reserved", c_uint64),
                          ("cpuid_maxphyaddr", c_uint8), ("cpuid_linear_width_ok", c_bool),
                          ("cpuid_pv_features", c_uint32),
                          ("cpuid_vendor_zeroes_unknown", c_bool)):
        getattr(lib, name).argtypes = table
        getattr(lib, name).restype = restype
    lib.cpuid_xcr0_valid.argtypes = [c_uint64, c_uint64]
    lib.cpuid_xcr0_valid.restype = c_bool
    return lib


def from_table(table: Mapping[tuple[int, int], Regs]) -> Host:
    """A host that answers zeros for leaves outside the table, as AMD's do."""
    return lambda function, index: table.get((function, index), (0, 0, 0, 0))


def supported(lib: ctypes.CDLL, host: Host, xcr0: int, pv: int = 0,
              room: int = 256) -> dict[tuple[int, int], Entry] | int:
    """What cpuid_supported() makes of host: by (function, index), or a negative errno."""
    def read(_ctx: object, function: int, index: int, out: "ctypes._Pointer[c_uint32]") -> None:
        out[0], out[1], out[2], out[3] = host(function, index)

    fn = ReadFn(read)
    env = Env(fn, None, xcr0, pv)
    entries = (Entry * (room + 1))()
    entries[room].function = 0xdeadbeef
    n = lib.cpuid_supported(ctypes.byref(env), entries, room)
    assert entries[room].function == 0xdeadbeef, "written past the room given"
    if n < 0:
        return n
    out = {(e.function, e.index): Entry.from_buffer_copy(e) for e in entries[:n]}
    assert len(out) == n, "an entry twice"
    return out


def array(entries: list[Entry]) -> "ctypes.Array[Entry]":
    return (Entry * len(entries))(*entries)


def query(lib: ctypes.CDLL, entries: list[Entry], function: int, index: int = 0) -> Regs:
    out = (c_uint32 * 4)()
    lib.cpuid_query(array(entries), len(entries), function, index, out)
    return tuple(out)


# XSAVE components as leaf d of real processors gives them: index -> (size, offset) in bytes
COMPONENTS = {2: (256, 576), 3: (64, 960), 4: (64, 1024), 5: (64, 1088), 6: (512, 1152),
              7: (1024, 1664), 9: (8, 2688)}

BRAND = (0x20444d41, 0x43595045, 0x20202020, 0x00202020)

# Family 19h, as its PPR documents it, shortened to what matters here.
EPYC: dict[tuple[int, int], Regs] = {
    (0, 0): (0x10, 0x68747541, 0x444d4163, 0x69746e65),
    (1, 0): (0x00a00f11, 0x05100800, 0x7efa320b, 0x178bfbff),
    (5, 0): (0x40, 0x40, 3, 0x11),
    (6, 0): (4, 0, 1, 0),
    (7, 0): (1, 0x219c97a9, 0x0040069c, 0x10),
    (7, 1): (0, 0, 0, 0),
    (0xb, 0): (1, 2, 0x100, 5),
    (0xd, 0): (0x207, 0x988, 0x988, 0),
    (0xd, 1): (0xf, 0x358, 0x1800, 0),
    (0xd, 2): (0x100, 0x240, 0, 0),
    (0xd, 9): (8, 0x980, 0, 0),
    (0xd, 11): (0x10, 0, 1, 0),
    (0x80000000, 0): (0x80000023, 0x68747541, 0x444d4163, 0x69746e65),
    (0x80000001, 0): (0x00a00f11, 0x40000000, 0x75c237ff, 0x2fd3fbff),
    (0x80000002, 0): BRAND,
    (0x80000003, 0): BRAND,
    (0x80000004, 0): BRAND,
    (0x80000005, 0): (0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140),
    (0x80000006, 0): (0x48002200, 0x68004200, 0x02006140, 0x00809140),
    (0x80000007, 0): (0, 0x3b, 0, 0x6799),
    (0x80000008, 0): (0x00303030, 0x111ef657, 0x0000707f, 0x00010007),
    (0x8000000a, 0): (1, 0x8000, 0, 0x119b9cff),
    (0x80000019, 0): (0xf040f040, 0xf0400000, 0, 0),
    (0x8000001a, 0): (6, 0, 0, 0),
    (0x8000001d, 0): (0x00004121, 0x01c0003f, 0x3f, 0),
    (0x8000001d, 1): (0x00004122, 0x01c0003f, 0x3f, 0),
    (0x8000001e, 0): (5, 0x102, 0, 0),
    (0x80000021, 0): (0x4d, 0, 0, 0),
}
EPYC_XCR0 = 0x207


def all_ones(function: int, index: int) -> Regs:
    """A processor with every feature bit that can be: what passes is what the masks allow."""
    table = {0: 0x20, 0x80000000: 0x80000028}
    if function in table:
        return table[function], 0x68747541, 0x444d4163, 0x69746e65
    if function in (4, 0x8000001d):
        return (0xffffffff,) * 4 if index < 3 else (0, 0, 0, 0)
    if function == 0xd and index >= 2:
        size, offset = COMPONENTS.get(index, (64, 4096))
        return size, offset, 0xffffffff, 0xffffffff
    return (0xffffffff,) * 4
