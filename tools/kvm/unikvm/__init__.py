# SPDX-License-Identifier: GPL-2.0-only
"""unikvm: a virtual machine monitor for KVM, one half of the unikvm tree."""

__version__ = "0.1.0"
