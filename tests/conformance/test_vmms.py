# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm conformance vmms`: each VMM's every case passes on the tree's half."""

import pytest

from lib import conformance
from unikvm.lab import vmms

pytestmark = [pytest.mark.boot, pytest.mark.module, pytest.mark.full]


@pytest.mark.timeout(3600)
def test_every_case(tmp_path):
    run, cases = conformance.run("vmms", tmp_path, timeout=3500)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()[-3000:]
    assert cases == {case.name: True for case in vmms.all_cases()}
