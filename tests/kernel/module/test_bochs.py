# SPDX-License-Identifier: GPL-2.0-only
"""A second opinion on our VMCBs, and the paths of features that QEMU's processor lacks."""

import itertools

import pytest

from lib import tree
from unikvm.lab import LabError, bochs, kernels, modules

pytestmark = [pytest.mark.module, pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(1500)]

# Each way to skip an instruction with each way to flush; the parameter as the module took it.
SWEEP = """
for nrips in 0 1; do for flush in 0 1; do
    rmmod kvm_amd kvm
    insmod /modules/kvm.ko paranoid=1 && insmod /modules/kvm_amd.ko nrips=$nrips flushbyasid=$flush
    cd /sys/module/kvm_amd/parameters
    echo parameters $(cat nrips flushbyasid)
    /smallguest 3 && /stihlt && echo guests fine
done; done
dmesg | grep -E "WARNING|BUG:|Oops|paranoid" || echo kernel fine
"""


@pytest.fixture
def run(tmp_path, build_guest):
    """Run a command in Bochs, our modules loaded; its exit status and output."""
    try:
        bochs.check_host()
    except LabError as error:
        pytest.skip(str(error))
    guests = tuple(build_guest(tmp_path, name) for name in ("smallguest", "stihlt"))

    def run(command):
        built = modules.tree_modules(tree.build_dir())
        out = []
        status = bochs.execute(
            bochs.BochsRun(kernels.by_version(built.kernel), command, built, guests), out.append)
        return status, "".join(out)
    return run


def test_both_skip_paths_and_both_flush_paths(run):
    status, out = run(SWEEP)
    assert status == 0
    taken = [line.split()[1:] for line in out.splitlines() if line.startswith("parameters")]
    assert taken == [list(each) for each in itertools.product("01", "NY")], out
    assert out.count("guests fine") == 4 and "kernel fine" in out, out
