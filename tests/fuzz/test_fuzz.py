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


def fuzz(labs, kind, seconds, seed, *more):
    """By the command, which knows what the emulator cannot bear and goes on after it."""
    labs.close()
    words = ["--lab-kernel", labs.kernel] if labs.kernel else []
    done = tree.unikvm("fuzz", kind, "--seconds", str(seconds), "--seed", str(seed),
                       "--module-param", "kvm.paranoid=1", *words, *more, timeout=seconds + 560)
    out = done.stdout.decode()
    assert done.returncode == 0, out + done.stderr.decode()
    assert "all right: yes" in out
    return out


@pytest.mark.module
@pytest.mark.timeout(600)
def test_user_space_at_random(labs):
    """Calls succeed; the command looks after the kernel log and what is left of the VMs."""
    out = fuzz(labs, "ioctl", 20, 20)
    table = {match[1]: (int(match[2]), int(match[3]))
             for match in re.finditer(r"^(KVM_\w+) +(\d+) +(\d+) ", out, re.MULTILINE)}
    assert set(table) == set(names(HEADER.read_text()))
    assert not [name for name, (calls, _) in table.items() if not calls], out
    for name in ("KVM_RUN", "KVM_SET_SREGS", "KVM_SET_USER_MEMORY_REGION", "KVM_CREATE_VCPU"):
        assert table[name][1] >= 20, out


@pytest.mark.full
@pytest.mark.module
@pytest.mark.timeout(600)
def test_guests_at_random(labs):
    """Debian's QEMU loses an interrupt of L1 at times, which then looks stuck."""
    out = fuzz(labs, "guest", 15, 15, "--lab-qemu", "patched")
    modes = re.search(r"guests started by mode: (.*), refused", out)[1]
    assert all(int(part.partition(":")[2]) > 0 for part in modes.split()), out
    assert int(re.search(r"checked (\d+) times, overwritten 0 times", out)[1]) > 0, out
