# SPDX-License-Identifier: GPL-2.0-only
"""PCI: configuration space, BARs, interrupts, and the chip set's own functions."""
