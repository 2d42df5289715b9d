# SPDX-License-Identifier: GPL-2.0-only
"""Tracepoints of the modules in a lab machine."""

import re

TRACING = "/sys/kernel/tracing"


def traced(l1, command: str, events: str = "kvm") -> list[tuple[str, str]]:
    """(event, text) of what a command in L1 caused, all that was written."""
    out = l1.check(f"""
        mountpoint -q {TRACING} || mount -t tracefs none {TRACING}
        cd {TRACING}
        echo > trace; echo 8192 > buffer_size_kb
        for event in {events}; do echo 1 > events/$event/enable; done
        {command} </dev/null >&2
        echo 0 > events/enable
        cat trace; echo > trace""", timeout=120)
    found = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", out)
    assert found and found.group(1) == found.group(2), "the trace buffer ran over"
    return [match.groups() for match in re.finditer(r": (kvm_\w+): (.*)$", out, re.MULTILINE)]
