# SPDX-License-Identifier: GPL-2.0-only
"""What Python sees as the ABI's numbers is what the host's own header says."""

import subprocess
from pathlib import Path

import pytest

from unikvm.abi import constants

pytestmark = pytest.mark.unit

HOST_HEADER = Path("/usr/include/linux/kvm.h")


@pytest.mark.skipif(not HOST_HEADER.exists(), reason="no <linux/kvm.h> on this host")
def test_constants_equal_the_hosts(tmp_path):
    names = sorted(name for name in vars(constants) if name.startswith("KVM_"))
    assert len(names) > 40
    lines = "".join(f'printf("{name} %llu\\n", (unsigned long long)({name}));\n'
                    for name in names)
    source = tmp_path / "print.c"
    source.write_text("#include <stdio.h>\n#include <linux/kvm.h>\n"
                      f"int main(void)\n{{\n{lines}return 0;\n}}\n")
    subprocess.run(["gcc", "-o", tmp_path / "print", source], check=True)
    printed = subprocess.run([tmp_path / "print"], check=True, capture_output=True, text=True)
    host = dict(line.split() for line in printed.stdout.splitlines())
    assert {name: int(value) for name, value in host.items()} == {
        name: getattr(constants, name) for name in names}
