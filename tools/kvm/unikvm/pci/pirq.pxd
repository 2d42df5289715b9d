# SPDX-License-Identifier: GPL-2.0-only
"""An interrupt line whose destination can be changed."""
from unikvm.core.irq cimport IrqLine


cdef class PirqLine(IrqLine):
    cdef IrqLine _target
