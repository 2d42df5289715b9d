# SPDX-License-Identifier: GPL-2.0-only
"""A guest's clock beside the host's, over minutes; the stock half sets the measure."""

import pytest

from lib.vmm import Guest

SECONDS = 150
# What a busy host's scheduling adds: the lines of a tenth of the run at either
# end are 300, and the quickest of them takes a few milliseconds.
NOISE_PPM = 100


def drift_ppm(samples: list[tuple[int, int]]) -> float:
    """How much slower the second clock runs, from readings (host, guest) in nanoseconds.

    A line only ever comes late: the least difference at either end counts.
    """
    tenth = len(samples) // 10
    begin, end = (min(samples[part], key=lambda sample: sample[0] - sample[1])
                  for part in (slice(tenth), slice(-tenth, None)))
    return ((end[0] - end[1]) - (begin[0] - begin[1])) / (end[0] - begin[0]) * 1e6


def test_the_arithmetic():
    late = [0, 7, 3] * 100
    samples = [(s * 1000 + 50 + late[s], round(s * 999)) for s in range(300)]
    assert drift_ppm(samples) == pytest.approx(1000, abs=40)


def measure(labs, clockline, half: str, kernel_args: tuple[str, ...]) -> tuple[float, str]:
    """The guest's drift against L1, and the clocksource of L1."""
    l1 = labs.get(half, kernel_args=kernel_args)
    folder = "/sys/devices/system/clocksource/clocksource0"
    source = l1.check(f"cat {folder}/current_clocksource").strip()
    guest = Guest(l1, labs.scratch, f"cat {folder}/current_clocksource; clockline say {SECONDS}",
                  cpus=2, boot="direct", programs=(clockline,), limit=SECONDS + 200,
                  through=f"{clockline} hear")
    ended = guest.wait()    # not check(): on stock the guest's kernel warns of the size of XSAVE
    assert ended.outcome.status == 0, ended
    lines = ended.stdout.splitlines()
    assert lines[0].split()[1] == "kvm-clock"
    samples = [tuple(map(int, line.split())) for line in lines[1:]]
    assert len(samples) > SECONDS
    return drift_ppm(samples), source


@pytest.mark.module
@pytest.mark.full
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kernel_args", [(), ("tsc=reliable", "clocksource=tsc")],
                         ids=["default", "tsc"])
def test_a_guest_keeps_the_hosts_time(labs, clockline, kernel_args, record_property):
    """With the TSC as L1's clocksource the guests share one clock page's values."""
    found = {half: measure(labs, clockline, half, kernel_args) for half in ("stock", "tree")}
    for half, (drift, source) in found.items():
        print(f"{half}: {drift:.1f} ppm, L1's clocksource {source}")
        record_property(f"{half}_ppm", drift)
    assert found["tree"][1] == found["stock"][1]
    assert not kernel_args or found["tree"][1] == "tsc"
    assert abs(found["tree"][0]) < abs(found["stock"][0]) + NOISE_PPM
