# SPDX-License-Identifier: GPL-2.0-only
"""`python -m unikvm` is the command line."""

import sys

from unikvm.cli import main

if __name__ == "__main__":
    sys.exit(main())
