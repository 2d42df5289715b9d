# SPDX-License-Identifier: GPL-2.0-only
"""Machine-independent cores: ioctls, guest memory, buses, vCPU threads, interrupts, event loop."""
