# SPDX-License-Identifier: GPL-2.0-only
"""The fuzzers, for a short time, in a shared lab machine."""

import re

import pytest

from fuzz.requests import names
from lib import tree

HEADER = tree.ROOT / "include" / "uapi" / "unikvm" / "kvm.h"


@pytest.mark.unit
def test_every_request_of_the_header_is_known():
    text = HEADER.read_text()
    found = names(text)
    assert len(found) > 80 and len(set(found)) == len(found)
    # Each number given to KVMIO has a name in front, however the lines break.
    assert len(found) == len(re.findall(r"\b_IO[WR]*\(KVMIO", text))


@pytest.mark.unit
def test_every_implemented_request_has_an_argument_made_for_it():
    """One that is only ever called with random bytes hardly ever gets anywhere."""
    rows = re.findall(r"\bOP\((KVM_\w+)\)", (tree.ROOT / "tests/fuzz/args.c").read_text())
    there = (tree.ROOT / "docs/api.md").read_text().partition("\n## Not there\n")[0]
    assert sorted(rows) == sorted(re.findall(r"^\| `(KVM_\w+)` \|", there, re.MULTILINE))


def fuzz(l1, kind, seconds, seed, *more):
    program = tree.build_dir() / "tests" / "fuzz" / f"fuzz-{kind}"
    return l1.check([str(program), "--seconds", str(seconds), "--seed", str(seed), *more],
                    timeout=seconds + 300)


@pytest.mark.module
@pytest.mark.timeout(400)
def test_user_space_at_random(l1_tree):
    """The kernel log is quiet (the fixture looks), the healthy guest right, calls succeed."""
    out = fuzz(l1_tree, "ioctl", 20, 20)
    table = {match[1]: (int(match[2]), int(match[3]))
             for match in re.finditer(r"^(KVM_\w+) +(\d+) +(\d+) ", out, re.MULTILINE)}
    assert set(table) == set(names(HEADER.read_text()))
    assert not [name for name, (calls, _) in table.items() if not calls], out
    for name in ("KVM_RUN", "KVM_SET_SREGS", "KVM_SET_USER_MEMORY_REGION", "KVM_CREATE_VCPU"):
        assert table[name][1] >= 20, out
    assert "all right: yes" in out
    l1_tree.reload({"kvm.paranoid": "1"})       # no VM, no reference is left


@pytest.mark.full
@pytest.mark.module
@pytest.mark.timeout(600)
def test_guests_at_random(labs):
    """By the command, which knows what the emulator cannot bear and goes on after it."""
    labs.close()
    done = tree.unikvm("fuzz", "guest", "--seconds", "15", "--seed", "15",
                       "--module-param", "kvm.paranoid=1", timeout=590)
    out = done.stdout.decode()
    assert done.returncode == 0, out + done.stderr.decode()
    modes = re.search(r"guests started by mode: (.*), refused", out)[1]
    assert all(int(part.partition(":")[2]) > 0 for part in modes.split()), out
    assert int(re.search(r"checked (\d+) times, overwritten 0 times", out)[1]) > 0, out
    assert "all right: yes" in out
