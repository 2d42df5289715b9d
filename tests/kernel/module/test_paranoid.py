# SPDX-License-Identifier: GPL-2.0-only
"""paranoid=1 notices a VMCB field that was changed under a set clean bit."""

import pytest

pytestmark = pytest.mark.module

BREAK_CLEAN_BITS = 2
PARAMETERS = "/sys/module/kvm/parameters"


def paranoid_lines(l1):
    return [line for line in l1.check("dmesg").splitlines() if "unikvm paranoid" in line]


def test_a_lie_about_clean_bits_is_seen(l1_tree, smallguest):
    assert l1_tree.check(f"cat {PARAMETERS}/paranoid").strip() == "Y"
    l1_tree.check(f"{smallguest} 3 </dev/null")
    before = paranoid_lines(l1_tree)
    l1_tree.check(f"echo {BREAK_CLEAN_BITS} > {PARAMETERS}/paranoid_break")
    l1_tree.check(f"{smallguest} 1 </dev/null; echo 0 > {PARAMETERS}/paranoid_break")
    fresh = paranoid_lines(l1_tree)[len(before):]
    assert len(fresh) == 1 and "VMCB groups 0x8 changed under set clean bits" in fresh[0]
    l1_tree.trouble()       # wanted, this once
    l1_tree.check(f"{smallguest} 3 </dev/null")
    assert len(paranoid_lines(l1_tree)) == len(before) + 1
