# SPDX-License-Identifier: GPL-2.0-only
"""The small guest that tests of the module run in L1."""

import subprocess
from pathlib import Path

import pytest

from lib import tree


@pytest.fixture
def smallguest(labs) -> Path:
    """Path, on the host and in L1, of the smallguest program."""
    program = labs.scratch / "smallguest"
    if not program.exists():
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                        "-I", str(tree.ROOT / "include/uapi"),
                        str(Path(__file__).with_name("smallguest.c")), "-o", str(program)],
                       check=True)
    return program
