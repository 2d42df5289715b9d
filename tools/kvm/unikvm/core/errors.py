# SPDX-License-Identifier: GPL-2.0-only
"""The exceptions that cross layers."""


class UserError(Exception):
    """Something the user can put right.

    The message is one line that names the thing and the way out; the command
    line prints it without a traceback and exits with status 1.
    """


class GuestMemoryError(Exception):
    """A guest-physical range that is not wholly inside one RAM region."""


class BusError(ValueError):
    """A registration a bus refuses: overlap, zero length, or out of range."""
