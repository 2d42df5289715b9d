# SPDX-License-Identifier: GPL-2.0-only
"""ACPI tables, with AML assembled by hand: no compiler at run time."""
