# SPDX-License-Identifier: GPL-2.0-only
"""Where a disk's sectors are kept."""
