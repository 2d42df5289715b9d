# SPDX-License-Identifier: GPL-2.0-only
"""The guest whose exits are traced."""

import subprocess
from pathlib import Path

import pytest

from lib import tree

HERE = Path(__file__).parent


@pytest.fixture
def traceguest(labs) -> Path:
    """Path, on the host and in L1, of a program that does once what each event tells of."""
    program = labs.scratch / "traceguest"
    if not program.exists():
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                        "-I", str(tree.ROOT / "include/uapi"), str(HERE / "traceguest.c"),
                        str(HERE / "payload.S"), "-o", str(program)], check=True)
    return program
