# SPDX-License-Identifier: GPL-2.0-only
"""The KVM ABI as Cython declarations and Python constants."""
