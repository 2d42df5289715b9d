# SPDX-License-Identifier: GPL-2.0-only
"""A function of a kernel module as a processor with given features runs it.

The kernel patches instructions by feature when it loads a module; what it would
patch stands in .altinstructions. `Code` reads it with binutils, `path()` follows
one function with the patches applied. Jumps are followed, conditional ones fall
through, and a call of a label inside (the return stack's refill) is taken.
"""

import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

INSN = re.compile(r"^ *([0-9a-f]+):\t(.*\S)")
ENTRY = re.compile(r"^([0-9a-f]+) R_X86_64_PC32 +(\S+?)(?:\+0x([0-9a-f]+))?$", re.MULTILINE)
FEATURE = re.compile(r"^#define X86_FEATURE_(\w+)\s+\(\s*(\d+)\*32\s*\+\s*(\d+)\)", re.MULTILINE)
TARGET = re.compile(r"\b([0-9a-f]+) <[^>]*>$")
RETURN_THUNK = "__x86_return_thunk"


@dataclass(frozen=True)
class Insn:
    """One instruction: where (section, offset), its text, the symbol it refers to."""

    section: str
    offset: int
    text: str
    symbol: str = ""

    def is_(self, *mnemonics: str) -> bool:
        return self.text.split()[0] in mnemonics

    def target(self) -> tuple[str, int] | None:
        """Where a direct jump or call leads, if inside this section."""
        found = TARGET.search(self.text)
        return (self.section, int(found[1], 16)) if found and not self.symbol else None

    def returns(self) -> bool:
        return self.is_("ret") or self.symbol == RETURN_THUNK


@dataclass(frozen=True)
class Patch:
    """With (or, inverted, without) a feature these bytes are replaced by those."""

    where: tuple[str, int]
    length: int
    source: tuple[str, int]
    source_length: int
    feature: int
    inverted: bool

    def applies(self, features: Collection[int]) -> bool:
        return (self.feature in features) != self.inverted


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def feature_numbers(headers: Path) -> dict[str, int]:
    """X86_FEATURE_* of a kernel, without the prefix."""
    # A kernel's headers are in two packages: the second has the architecture's.
    makefile = (headers / "Makefile").read_text()
    common = re.search(r"^include (\S+)/Makefile$", makefile, re.MULTILINE)
    top = Path(common[1]) if common else headers
    text = (top / "arch/x86/include/asm/cpufeatures.h").read_text()
    return {name: int(word) * 32 + int(bit) for name, word, bit in FEATURE.findall(text)}


class Code:
    """The instructions and patches of one object file."""

    def __init__(self, path: Path) -> None:
        self._file = path
        self.functions: dict[str, tuple[str, int, int]] = {}
        self.sections: dict[str, list[Insn]] = {}
        self._read_symbols()
        self._read_code()
        self.patches = self._read_patches()

    def _read_symbols(self) -> None:
        for line in run("objdump", "-t", self._file).splitlines():
            found = re.match(r"^([0-9a-f]{16}) .{5}F. (\S+)\t([0-9a-f]{16}) (\S+)$", line) or \
                re.match(r"^([0-9a-f]{16}) .*F (\S+)\t([0-9a-f]{16}) (\S+)$", line)
            if found:
                self.functions[found[4]] = found[2], int(found[1], 16), int(found[3], 16)

    def _read_code(self) -> None:
        insns: list[Insn] = []
        section = ""
        for line in run("objdump", "-drw", "--no-show-raw-insn", self._file).splitlines():
            if line.startswith("Disassembly of section "):
                section = line.split()[-1].rstrip(":")
                insns = self.sections.setdefault(section, [])
                continue
            # With -w relocations share the instruction's line.
            code, *relocations = re.split(r"\t(?=[0-9a-f]+: R_X86_64_)", line)
            found = INSN.match(code)
            if not found:
                continue
            symbol = self._symbol(relocations[-1].split()[-1]) if relocations else ""
            text = found[2].split("#")[0].strip()
            insns.append(Insn(section, int(found[1], 16), text, symbol))

    def _symbol(self, value: str) -> str:
        """A relocation's, without the addend; a section's becomes its function's."""
        found = re.fullmatch(r"(\S+?)([+-]0x[0-9a-f]+)?", value)
        assert found
        at = int(found[2] or "0", 16) + 4
        return next((name for name, (section, offset, _) in self.functions.items()
                     if (section, offset) == (found[1], at)), found[1])

    def _read_patches(self) -> list[Patch]:
        listing = run("objdump", "-r", "-j", ".altinstructions", self._file)
        relocations = {int(at, 16): (section, int(offset or "0", 16))
                       for at, section, offset in ENTRY.findall(listing)}
        if not relocations:
            return []
        data = subprocess.run(
            ["objcopy", "-O", "binary", "--only-section=.altinstructions",
             "--set-section-flags", ".altinstructions=alloc", self._file, "/dev/stdout"],
            capture_output=True, check=True).stdout
        starts = sorted(relocations)[::2]
        size = starts[1] - starts[0] if len(starts) > 1 else len(data)
        return [self._patch(data[at:at + size], relocations[at], relocations[at + 4])
                for at in starts]

    @staticmethod
    def _patch(entry: bytes, where: tuple[str, int], source: tuple[str, int]) -> Patch:
        """struct alt_instr: two offsets, feature, since 6.3 flags of their own, two lengths."""
        feature, flags = int.from_bytes(entry[8:10], "little"), 0
        if len(entry) == 14:
            flags = int.from_bytes(entry[10:12], "little")
        elif feature & 0x8000:
            feature, flags = feature & 0x7fff, 1
        return Patch(where, entry[-2], source, entry[-1], feature, bool(flags & 1))

    def _between(self, start: tuple[str, int], length: int) -> list[Insn]:
        section, offset = start
        return [insn for insn in self.sections[section]
                if offset <= insn.offset < offset + length]

    def listing(self, function: str, features: Collection[int] = ()) -> list[Insn]:
        """The function's instructions in the order of their addresses, patched."""
        section, offset, length = self.functions[function]
        insns = self._between((section, offset), length)
        for patch in self.patches:
            if patch.where[0] != section or not patch.applies(features):
                continue
            end = patch.where[1] + patch.length
            old = [i for i, insn in enumerate(insns)
                   if insn.section == section and patch.where[1] <= insn.offset < end]
            if old:
                insns = self._patched(insns, old[0], patch, (section, end))
        return insns

    def _patched(self, insns: list[Insn], at: int, patch: Patch,
                 end: tuple[str, int]) -> list[Insn]:
        """A second patch of the same place takes the first one's out."""
        rest = next(i for i, insn in enumerate(insns)
                    if (insn.section, insn.offset) == end)
        # What is shorter is filled up: the first byte stays a place to jump to.
        filler = Insn(*patch.where, "nop")
        return [*insns[:at], filler, *self._between(patch.source, patch.source_length),
                *insns[rest:]]

    def path(self, function: str, features: Collection[int] = ()) -> list[Insn]:
        """What runs, from the first instruction to the return."""
        insns = self.listing(function, features)
        index = {(insn.section, insn.offset): i for i, insn in enumerate(insns)}
        taken: list[Insn] = []
        at = 0
        while len(taken) < 1000:
            insn = insns[at]
            taken.append(insn)
            if insn.returns():
                return taken
            target = insn.target() if insn.is_("jmp", "call") else None
            at = index[target] if target in index else at + 1
        raise AssertionError(f"{function} does not return")
