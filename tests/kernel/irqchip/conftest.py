# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for tests of the interrupt chips."""

import ctypes

import pytest

from kernel.irqchip import chips


@pytest.fixture(scope="session")
def lib(logic: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the chips' functions declared."""
    return chips.declare(logic)
