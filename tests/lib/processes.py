# SPDX-License-Identifier: GPL-2.0-only
"""Processes that tests look for."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether it runs; a zombie that waits for its reaper does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:     # gone before the file was opened, or before it was read
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
