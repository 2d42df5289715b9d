# SPDX-License-Identifier: GPL-2.0-only
"""A second opinion on x86 paging, written from the manuals' rules, not from kernel/.

Sources: APM vol. 2 chapter 5, SDM vol. 3 chapter 4. It favours being plainly right over
being quick: each rule is a line, and nothing is shared with the code under test.
"""

from dataclasses import dataclass, field

P, W, U, A, D, PS, G = (1 << n for n in (0, 1, 2, 5, 6, 7, 8))
NX = 1 << 63
CR0_WP, CR0_PG = 1 << 16, 1 << 31
CR4_PSE, CR4_PAE, CR4_LA57 = 1 << 4, 1 << 5, 1 << 12
CR4_SMEP, CR4_SMAP, CR4_PKE = 1 << 20, 1 << 21, 1 << 22
EFER_LME, EFER_LMA, EFER_NXE = 1 << 8, 1 << 10, 1 << 11
WRITE, USER, FETCH, IMPLICIT = 2, 4, 16, 256


@dataclass(frozen=True)
class Cpu:
    """The registers and features that a walk depends on."""
    cr0: int = CR0_PG | CR0_WP
    cr3: int = 0
    cr4: int = CR4_PAE
    efer: int = EFER_LMA | EFER_NXE
    pkru: int = 0
    maxphyaddr: int = 40
    ac: bool = False
    gbpages: bool = True
    amd: bool = True

    def words(self) -> list[int]:
        """In the order that glue_walk() takes."""
        return [self.cr0, self.cr3, self.cr4, self.efer, self.pkru, self.maxphyaddr,
                int(self.ac), int(self.gbpages), int(self.amd)]

    @property
    def mode(self) -> str:
        """none, 32, pae, 4 or 5."""
        if not self.cr0 & CR0_PG:
            return "none"
        if self.efer & EFER_LMA:
            return "5" if self.cr4 & CR4_LA57 else "4"
        return "pae" if self.cr4 & CR4_PAE else "32"


@dataclass
class Outcome:
    """A translation (gpa), or a fault (vector and error code)."""
    gpa: int | None = None
    vector: int | None = None
    error: int = 0
    touched: list[tuple[int, int, int]] = field(default_factory=list)  # address, size, bits set


# Per mode: (bit position of the index, its width, entry size), from the root down.
LEVELS = {
    "32": [(22, 10, 4), (12, 10, 4)],
    "pae": [(30, 2, 8), (21, 9, 8), (12, 9, 8)],
    "4": [(39, 9, 8), (30, 9, 8), (21, 9, 8), (12, 9, 8)],
    "5": [(48, 9, 8), (39, 9, 8), (30, 9, 8), (21, 9, 8), (12, 9, 8)],
}


def large_allowed(cpu: Cpu, shift: int) -> bool:
    """May an entry whose index begins at this bit map a page itself?"""
    return {22: bool(cpu.cr4 & CR4_PSE), 21: True, 30: cpu.gbpages and cpu.mode in "45",
            }.get(shift, False)


def reserved(cpu: Cpu, shift: int, entry: int, leaf: bool) -> bool:
    """Does the entry have a bit set that must be zero?"""
    top, mode = cpu.maxphyaddr, cpu.mode
    if mode == "32":
        if shift != 22 or not leaf:
            return False
        address_high = entry >> 13 & 0xff
        return bool(entry >> 21 & 1 or address_high >> (top - 32))
    if mode == "pae" and shift == 30:
        return bool(entry & 0b111000110 or entry >> top)
    if entry >> 63 and not cpu.efer & EFER_NXE:
        return True
    if mode == "pae" and entry >> 52 & 0x7ff:
        return True
    if entry & (1 << 52) - 1 >> top << top:
        return True
    if leaf and shift > 12:
        return any(entry >> bit & 1 for bit in range(13, shift))
    if not leaf and shift >= 30:
        return bool(entry & PS or (cpu.amd and entry & G))
    return False


def translate(cpu: Cpu, memory: bytes, gva: int, access: int) -> Outcome:
    """What the processor does; memory is guest-physical from 0 on."""
    if cpu.mode == "none":
        return Outcome(gpa=gva & 0xffffffff)
    if cpu.mode in "45":
        top = 47 if cpu.mode == "4" else 56
        if gva >> top not in (0, (1 << 64 - top) - 1):
            return Outcome(vector=13)
    else:
        gva &= 0xffffffff

    def fault(bits: int) -> Outcome:
        error = bits | access & (WRITE | USER)
        tells_fetch = cpu.cr4 & CR4_SMEP or (cpu.efer & EFER_NXE and cpu.mode != "32")
        if access & FETCH and tells_fetch:
            error |= FETCH
        return Outcome(vector=14, error=error)

    path: list[tuple[int, int, int, int]] = []      # address, size, entry, shift
    table = cpu.cr3 & (0xffffffe0 if cpu.mode == "pae" else
                       0xfffff000 if cpu.mode == "32" else 0xffffffffff000)
    for shift, width, size in LEVELS[cpu.mode]:
        where = table + (gva >> shift & (1 << width) - 1) * size
        if where + size > len(memory):
            return fault(0)
        entry = int.from_bytes(memory[where:where + size], "little")
        if not entry & P:
            return fault(0)
        leaf = shift == 12 or bool(entry & PS and large_allowed(cpu, shift))
        if reserved(cpu, shift, entry, leaf):
            return fault(P | 8)
        path.append((where, size, entry, shift))
        if leaf:
            break
        table = entry & (0xfffff000 if size == 4 else 0xffffffffff000)

    judged = [entry for _, _, entry, shift in path if (cpu.mode, shift) != ("pae", 30)]
    user_page = all(entry & U for entry in judged)
    writable = all(entry & W for entry in judged)
    no_exec = any(entry & NX for entry in judged)
    user = bool(access & USER)
    denied = False
    if user and not user_page:
        denied = True
    if access & FETCH:
        denied |= no_exec or (not user and user_page and bool(cpu.cr4 & CR4_SMEP))
    else:
        if access & WRITE and not writable and (user or cpu.cr0 & CR0_WP):
            denied = True
        if not user and user_page and cpu.cr4 & CR4_SMAP and (access & IMPLICIT or not cpu.ac):
            denied = True
    key_denied = False
    if cpu.mode in "45" and cpu.cr4 & CR4_PKE and user_page and not access & FETCH:
        key = path[-1][2] >> 59 & 15
        no_access, no_write = cpu.pkru >> 2 * key & 1, cpu.pkru >> 2 * key + 1 & 1
        key_denied = bool(no_access or (no_write and access & WRITE and
                                        (user or cpu.cr0 & CR0_WP)))
    if denied or key_denied:
        return fault(P | (32 if key_denied else 0))

    touched = []
    for index, (where, size, entry, shift) in enumerate(path):
        if (cpu.mode, shift) == ("pae", 30):
            continue
        bits = A | (D if index == len(path) - 1 and access & WRITE else 0)
        if entry & bits != bits:
            touched.append((where, size, entry | bits))
    _, size, entry, shift = path[-1]
    low = (1 << shift) - 1
    base = entry & (0xfffff000 if size == 4 else 0xffffffffff000) & ~low
    if shift == 22:
        base |= (entry >> 13 & 0xff) << 32
    return Outcome(gpa=base | gva & low, touched=touched)
