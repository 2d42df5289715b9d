# SPDX-License-Identifier: GPL-2.0-only
"""The guest whose exits are traced."""

from pathlib import Path

import pytest

from lib import programs

HERE = Path(__file__).parent


@pytest.fixture
def traceguest(labs) -> Path:
    """Path, on the host and in L1, of a program that does once what each event tells of."""
    return programs.build(labs.scratch / "traceguest", HERE / "traceguest.c", HERE / "payload.S")
