# SPDX-License-Identifier: GPL-2.0-only
"""Our KVM ABI header against the host's <linux/kvm.h>: every number, size and offset.

Both headers go through the compiler: the numbers come from a program that
prints them, the layouts from the debug information of an object file.
"""

import re
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from lib import tree

pytestmark = pytest.mark.unit

OURS = ["-I", str(tree.ROOT / "include/uapi"), "-include", "unikvm/kvm.h"]
HOST = ["-include", "linux/kvm.h"]

# Not numbers of the ABI: the include guards and the assert macros.
NOT_ABI = re.compile(r"UNIKVM_|KVM_ABI_")
PREFIXES = ("KVM", "SYNC_REGS_")
VECTOR = re.compile(r"[A-Z]{2}_VECTOR$")


def gcc(tmp_path: Path, source: str, output: str, *options: str) -> Path:
    path = tmp_path / output
    subprocess.run(["gcc", "-w", "-x", "c", "-", "-o", str(path), *options],
                   input=source, text=True, check=True)
    return path


def our_macros() -> list[str]:
    """Names of all object-like macros that our header itself defines."""
    names = []
    for header in sorted((tree.ROOT / "include/uapi/unikvm").glob("kvm*.h")):
        names += re.findall(r"^#define\s+(\w+)(?!\()\b", header.read_text(), re.M)
    return sorted({n for n in names if not NOT_ABI.match(n)
                   and (n.startswith(PREFIXES) or VECTOR.match(n))})


def values(tmp_path: Path, names: list[str], include: list[str]) -> dict[str, int]:
    prints = "".join(f'printf("{n} %llx\\n", (unsigned long long)({n}));\n' for n in names)
    program = gcc(tmp_path, f"#include <stdio.h>\nint main(void) {{ {prints} }}\n",
                  "values", *include)
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {name: int(value, 16) for name, value in (l.split() for l in lines.splitlines())}


class Layouts:
    """struct name -> (size, {dotted member: (offset, size)}) from DWARF."""

    def __init__(self, path: Path):
        self.structs = {}
        with path.open("rb") as file:
            self.read(ELFFile(file).get_dwarf_info())

    def read(self, dwarf) -> None:
        for unit in dwarf.iter_CUs():
            for die in unit.iter_DIEs():
                name = die.attributes.get("DW_AT_name")
                if die.tag != "DW_TAG_structure_type" or not name \
                        or "DW_AT_declaration" in die.attributes:
                    continue
                members = {}
                self.walk(die, "", 0, members)
                self.structs[name.value.decode()] = (die.attributes["DW_AT_byte_size"].value,
                                                     members)

    def base(self, die):
        while die.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
            die = die.get_DIE_from_attribute("DW_AT_type")
        return die

    def size(self, die) -> int:
        die = self.base(die)
        if die.tag != "DW_TAG_array_type":
            return die.attributes["DW_AT_byte_size"].value
        total = self.size(die.get_DIE_from_attribute("DW_AT_type"))
        for child in die.iter_children():
            if child.tag == "DW_TAG_subrange_type":
                bound = child.attributes.get("DW_AT_upper_bound")
                count = child.attributes.get("DW_AT_count")
                total *= count.value if count else bound.value + 1 if bound else 0
        return total

    def walk(self, die, prefix: str, start: int, members: dict) -> None:
        """All named members below die, those of unnamed structs and unions included."""
        for child in die.iter_children():
            if child.tag != "DW_TAG_member":
                continue
            where = child.attributes.get("DW_AT_data_member_location")
            offset = start + (where.value if where else 0)
            kind = self.base(child.get_DIE_from_attribute("DW_AT_type"))
            name = child.attributes.get("DW_AT_name")
            path = prefix + name.value.decode() if name else prefix
            if name and "DW_AT_data_bit_offset" in child.attributes:
                members[path] = ("bits", child.attributes["DW_AT_data_bit_offset"].value,
                                 child.attributes["DW_AT_bit_size"].value)
            elif name:
                members[path] = (offset, self.size(kind))
            if kind.tag in ("DW_TAG_structure_type", "DW_TAG_union_type") \
                    and not (name and "DW_AT_name" in kind.attributes):
                self.walk(kind, path + "." if name else prefix, offset, members)


def layouts(tmp_path: Path, include: list[str], name: str) -> dict:
    return Layouts(gcc(tmp_path, "int unused;\n", name, "-c", "-g", "-gdwarf-4",
                       "-fno-eliminate-unused-debug-types", *include)).structs


def test_every_number_is_the_hosts(tmp_path):
    names = our_macros()
    assert len(names) > 250 and "KVM_RUN" in names and "KVM_CAP_IRQCHIP" in names
    assert values(tmp_path, names, OURS) == values(tmp_path, names, HOST)


def differences(ours: dict, host: dict) -> list[str]:
    found = []
    for struct, (size, members) in ours.items():
        if not struct.startswith("kvm_"):
            continue
        if struct not in host:
            found.append(f"{struct}: not in the host's header")
            continue
        host_size, host_members = host[struct]
        if size != host_size:
            found.append(f"{struct}: {size} bytes, host {host_size}")
        found += [f"{struct}.{name}: {at}, host {host_members.get(name)}"
                  for name, at in members.items() if host_members.get(name) != at]
    return found


def test_every_layout_is_the_hosts(tmp_path):
    ours = layouts(tmp_path, OURS, "ours.o")
    host = layouts(tmp_path, HOST, "host.o")
    assert len([s for s in ours if s.startswith("kvm_")]) >= 50
    assert "mmio.is_write" in ours["kvm_run"][1]
    assert differences(ours, host) == []


def test_a_moved_member_is_seen(tmp_path):
    """The comparison itself: one member wider, and it and those behind it differ."""
    wrong = tmp_path / "wrong.h"
    wrong.write_text("#include <linux/types.h>\nstruct kvm_irq_level {\n"
                     "  union { __u64 irq; __s32 status; };\n  __u32 level;\n};\n")
    found = differences(layouts(tmp_path, ["-include", str(wrong)], "wrong.o"),
                        layouts(tmp_path, HOST, "host.o"))
    assert any(line.startswith("kvm_irq_level.level") for line in found)
    assert any(line.startswith("kvm_irq_level: ") for line in found)
