# SPDX-License-Identifier: GPL-2.0-only
"""Guests and loads leave no memory behind."""

import pytest

from lib import slabs
from lib.module import load_and_unload

pytestmark = pytest.mark.module

LOADS = 100
GUESTS = 500


@pytest.fixture
def l1(l1_counted):
    """An L1 of this file's own that counts its objects, with the tree's modules loaded."""
    yield l1_counted
    l1_counted.reload({"kvm.paranoid": "1"})


@pytest.mark.timeout(900)
def test_hundred_times_load_run_unload(l1, labs, smallguest):
    """No warning in the kernel log (the fixture looks), no module left, no memory lost."""
    load_and_unload(l1, labs.scratch, smallguest, 10)       # caches warm up
    before = slabs.Memory(l1)
    load_and_unload(l1, labs.scratch, smallguest, LOADS)
    assert l1.check("lsmod | grep -c kvm || true").strip() == "0"
    grown = slabs.Memory(l1).grown_since(before, LOADS)
    assert not grown, "\n".join(grown)


@pytest.mark.timeout(900)
def test_guests_leave_no_memory_behind(l1, smallguest):
    l1.check(f"{smallguest} 50 </dev/null", timeout=200)
    before = slabs.Memory(l1)
    l1.check(f"{smallguest} {GUESTS} </dev/null", timeout=600)
    grown = slabs.Memory(l1).grown_since(before, GUESTS)
    assert not grown, "\n".join(grown)
