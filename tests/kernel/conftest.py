# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for tests of the kernel half."""

import ctypes
import os
from pathlib import Path

import pytest

from lib import tree


def logic_library() -> Path:
    """The host library of the kernel's pure logic: named by the runner, or in the build."""
    named = os.environ.get("UNIKVM_LOGIC_LIB")
    return Path(named) if named else tree.build_dir() / "kernel" / "libunikvm_logic.so"


@pytest.fixture(scope="session")
def logic() -> ctypes.CDLL:
    """The kernel's pure logic, and the glue that makes it callable."""
    path = logic_library()
    assert path.is_file(), f"{path}: not built"
    return ctypes.CDLL(str(path))
