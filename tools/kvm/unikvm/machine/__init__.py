# SPDX-License-Identifier: GPL-2.0-only
"""A frozen configuration made into a wired, running machine."""
