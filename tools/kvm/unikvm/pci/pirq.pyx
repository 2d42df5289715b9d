# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""An interrupt line whose destination can be changed."""
from unikvm.core.irq cimport IrqLine
from unikvm.core.pthread cimport pthread_mutex_lock, pthread_mutex_unlock


cdef class PirqLine(IrqLine):
    """Passes its level on to the line it is steered to."""

    cdef void changed(self, int level) noexcept nogil:
        if self._target is not None:
            self._target.drive(level)

    def steer(self, IrqLine target):
        """Lead to `target` from now on (None: nowhere); the level moves along."""
        old = self._target
        with nogil:
            pthread_mutex_lock(&self._mutex)
            if self._target is not None:
                self._target.drive(0)
        self._target = target
        with nogil:
            if self._target is not None:
                self._target.drive(self._level)
            pthread_mutex_unlock(&self._mutex)
        del old
