# SPDX-License-Identifier: GPL-2.0-only
"""Virtio 1.2 devices and their PCI transport."""
