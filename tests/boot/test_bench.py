# SPDX-License-Identifier: GPL-2.0-only
"""`unikvm bench exits` runs to its end and leaves nothing out. What it measures is no test."""

import json
import re

import pytest

from lib import tree
from unikvm.lab import bench

pytestmark = [pytest.mark.boot, pytest.mark.module]

COUNTERS = {"exits", "io_exits", "mmio_exits", "irq_exits", "halt_exits", "pf_taken"}


@pytest.fixture(autouse=True)
def room_for_another_machine(labs):
    """These commands boot machines of their own."""
    labs.close()


def check_rows(found: dict, names: set[str]) -> None:
    """Each row on both halves, above the floor and no more than a second."""
    assert set(found["rows"]) == names
    assert len(found["floor"]["cycles"]) == bench.FLOOR_ROUNDS and found["floor"]["min"] > 0
    for name, row in found["rows"].items():
        for half in ("stock", "tree"):
            assert 0 < row[half]["min"] <= row[half]["median"] < 1e10, (name, half)
        if row["resident_kib"]:
            rounds, iters = len(row["tree"]["cycles"]), 512
            assert row["resident_kib"] == {half: rounds * iters * 4
                                           for half in ("stock", "tree")}


@pytest.mark.full
def test_the_short_form_is_complete(tmp_path):
    report = tmp_path / "bench.json"
    run = tree.unikvm("bench", "exits", "--short", "--json", str(report), timeout=900)
    assert run.returncode == 0, run.stderr.decode()
    found = json.loads(report.read_text())
    check_rows(found, {row.name for row in bench.ROWS})
    for half in ("stock", "tree"):
        boot, = found["boots"][half]
        assert 0 < boot["seconds"] < 600 and boot["resident"] > max(10000, boot["huge"])
        assert set(boot["counters"]) >= COUNTERS
        # An idle guest would show no such thing.
        assert boot["counters"]["exits"] > 500 and boot["counters"]["io_exits"] > 100
    out = run.stdout.decode()
    for row in bench.ROWS:
        assert row.title in out
    assert re.search(r"floor: VMRUN and #VMEXIT +\d+ \(\d+\)", out)
    assert re.search(r"^ +exits +\d+ +\d+ +\d\.\d\d", out, re.MULTILINE)
    assert out.count("goal: ") == 2


def test_counting_is_the_same_every_time(tmp_path):
    """Instructions do not depend on how busy this host is."""
    report = tmp_path / "bench.json"
    run = tree.unikvm("bench", "exits", "--count", "--short", "--row", "cpuid", "--row", "pio",
                      "--json", str(report), timeout=900)
    assert run.returncode == 0, run.stderr.decode()
    found = json.loads(report.read_text())
    assert found["unit"] == "instructions"
    check_rows(found, {"cpuid", "pio"})
    for name in ("cpuid", "pio"):
        for half in ("stock", "tree"):
            row = found["rows"][name][half]
            # All but the rounds with a tick in them.
            same = sum(1 for value in row["cycles"] if value <= 1.02 * row["min"])
            assert same > len(row["cycles"]) / 2, row
    assert found["rows"]["cpuid"]["ratio"] < 1
