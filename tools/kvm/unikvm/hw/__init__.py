# SPDX-License-Identifier: GPL-2.0-only
"""Legacy PC devices: serial port, RTC, keyboard controller, fw_cfg, power management."""
