# SPDX-License-Identifier: GPL-2.0-only
"""VMMs that cannot be installed here, as far as their calls to KVM go: replayed, not booted.

l1/clients.c makes the calls of each, in its order, with its MSRs, until guest code runs; any
refusal fails. The stock half has to take the same, in the full tier.
"""

from pathlib import Path

import pytest

from lib import programs

pytestmark = pytest.mark.module

CLIENTS = ["firecracker", "cloud-hypervisor", "crosvm"]


@pytest.fixture(scope="module")
def program(labs) -> Path:
    """Path, on the host and in L1, of the program."""
    return programs.build(labs.scratch / "clients", Path(__file__).parent / "l1" / "clients.c")


@pytest.mark.parametrize("client", CLIENTS)
def test_replayed(l1_tree, program, client):
    assert l1_tree.check(f"{program} {client}", timeout=90) == f"replayed {client}\n"


@pytest.mark.full
@pytest.mark.parametrize("client", CLIENTS)
def test_replayed_on_stock(l1_stock, program, client):
    assert l1_stock.check(f"{program} {client}", timeout=90) == f"replayed {client}\n"
