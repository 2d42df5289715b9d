# SPDX-License-Identifier: GPL-2.0-only
"""What `bench exits` makes of its numbers, and what it prints."""

import io

import pytest
from rich.console import Console

from unikvm import cli
from unikvm.cli import bench as verb
from unikvm.lab import LabError, bench

pytestmark = pytest.mark.unit


def results(tree_cycles: int, tree_exits: int = 50) -> bench.Results:
    found = bench.Results(floor=[1000, 1200, 1100], halves={"stock": "s", "tree": "t"})
    found.note("cpuid", "stock", [2000, 3000, 2100], None)
    found.note("cpuid", "tree", [tree_cycles, 9000], None)
    found.note("touch-4k", "stock", [500], 64)
    found.note("touch-4k", "tree", [400], 128)
    for half, exits in (("stock", 100), ("tree", tree_exits)):
        found.boots[half] = [bench.Boot(2.0, {"exits": exits, "only_" + half: 1}, 1000, 800)]
    return found


ROWS = tuple(row for row in bench.ROWS if row.name in ("cpuid", "touch-4k"))
PLAN = bench.Plan(ROWS, 1)


def test_the_best_rounds_decide_and_the_floor_is_taken_off():
    verdict = results(1700).verdict("cpuid")
    assert verdict == {"ratio": 0.85, "above_floor": 0.7}
    assert bench.spread([5, 1, 9]) == {"min": 1, "median": 5}


def test_passes_add_up():
    found = results(1700)
    found.note("cpuid", "tree", [1500], None)
    assert found.as_json()["rows"]["cpuid"]["tree"]["cycles"] == [1700, 9000, 1500]
    assert found.verdict("cpuid")["above_floor"] == 0.5


@pytest.mark.parametrize("cycles,exits,slower,weak", [
    (1700, 50, "reached", "reached"), (1900, 50, "reached", "missed by cpuid"),
    (2001, 50, "missed by cpuid", "missed by cpuid"),
    (1700, 100, "missed by exits of a boot", "reached")])
def test_goals(cycles, exits, slower, weak):
    first, second = verb.goals(results(cycles, exits), PLAN)
    assert first.endswith(f"stock: {slower}") and second.endswith(f"kernel: {weak}")


def test_tables_show_every_row_and_the_common_counters():
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(verb.exits_table(results(1700), PLAN), verb.boot_table(results(1700)))
    text = out.getvalue()
    for part in ("floor", "1000 (1100)", "CPUID", "1700 (5350)", "0.85", "0.70", "64/128",
                 "exits", "0.50"):
        assert part in text
    assert "only_" not in text


def test_exits_apart_from_those_that_time_brings():
    found = results(1700)
    for half, ticks in (("stock", 10), ("tree", 13)):
        found.boots[half] = [bench.Boot(2.0, {"exits": 60 + 3 * ticks, "irq_exits": ticks,
                                              "irq_window_exits": ticks, "irq_injections": ticks},
                                        1000, 800)]
    assert dict(verb.boot_counts(found))["exits but ticks"] == {"stock": 60, "tree": 60}
    assert "exits but ticks" not in dict(verb.boot_counts(results(1700)))


def test_short_rows_keep_what_they_touch():
    for row in bench.ROWS:
        assert row.shorter().iters == row.iters
        assert row.kind != bench.MEMORY or row.shorter() == row


def test_without_a_build_there_is_one_clear_line(tmp_path):
    for find in (bench.client, bench.floor_module):
        for build in (None, tmp_path):
            with pytest.raises(LabError, match="unikvm build"):
                find(build)


def test_a_row_of_two_cpus_cannot_be_counted(capsys):
    assert cli.main(["bench", "exits", "--count", "--row", "hlt-ipi"]) == 2
    assert "--row hlt-ipi does not go with --count" in capsys.readouterr().err
