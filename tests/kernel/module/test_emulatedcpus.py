# SPDX-License-Identifier: GPL-2.0-only
"""The patched emulator: what its CPUs owe each other (docs/kernels.md).

On the stock half: what fails here is the emulator's, and would end guests of ours.
"""

import pytest

pytestmark = [pytest.mark.module, pytest.mark.full]


@pytest.fixture
def l1(labs):
    """Two CPUs."""
    return labs.get("stock", cpus=2)


@pytest.mark.parametrize("how", ["", "beside", "remap", "beside remap"])
def test_code_that_another_cpu_changed_is_never_run_as_it_was(l1, crosscode, how):
    """Guards patch 12: nearly all changes came too late where the page has no other code."""
    assert l1.check(f"{crosscode} 5000 {how}", timeout=200) == "0 late\n"


def test_the_fpu_of_one_cpu_leaves_a_guest_on_the_other_alone(l1, fpuload, manycpus):
    """Guards patch 13: the guest lost its nested paging, or L1 died, within a second."""
    out = l1.check(f"taskset 2 {fpuload} & load=$!; taskset 1 {manycpus} -x 2 5 </dev/null; kill $load",
                   timeout=100)
    assert out.startswith("manycpus ok")
