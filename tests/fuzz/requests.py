# SPDX-License-Identifier: GPL-2.0-only
"""List every request number that an ABI header defines, as REQUEST(name) lines for C.

usage: requests.py KVM_H OUTPUT
"""

import re
import sys
from pathlib import Path

DEFINITION = re.compile(r"^#define\s+(KVM_\w+)\s+(?:\\\n\s*)?_IO[WR]*\(KVMIO", re.MULTILINE)


def names(header: str) -> list[str]:
    """Names of requests in the order of the header."""
    return DEFINITION.findall(header)


if __name__ == "__main__":
    text = "".join(f"REQUEST({name})\n" for name in names(Path(sys.argv[1]).read_text("utf-8")))
    Path(sys.argv[2]).write_text(text, encoding="utf-8")
