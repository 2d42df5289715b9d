# SPDX-License-Identifier: GPL-2.0-only
"""Harness code that tests share."""
