# SPDX-License-Identifier: GPL-2.0-only
"""What a guest finds in memory when it starts: layout, loaders, tables, firmware hand-over."""
