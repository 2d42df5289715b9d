# SPDX-License-Identifier: GPL-2.0-only
"""The lab: throwaway L1 machines in which kernel modules are loaded and used."""

from unikvm.core.errors import UserError


class LabError(UserError):
    """One clear line for the user: what failed and the way out."""
