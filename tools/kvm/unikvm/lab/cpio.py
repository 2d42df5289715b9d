# SPDX-License-Identifier: GPL-2.0-only
"""A writer for the "newc" cpio format that Linux takes as an initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux
tree. Reproducible: inode numbers count up, owner and times are zero.
"""

import stat

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class CpioArchive:
    """Collects entries; `bytes()` gives the archive, padded for a next one."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0
        self._folders: set[str] = set()

    def _entry(self, name: str, mode: int, body: bytes = b"", device: tuple[int, int] = (0, 0),
               ) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(encoded), 0)
        self._data += _MAGIC + b"".join(b"%08x" % field for field in fields) + encoded
        self._pad()
        self._data += body
        self._pad()

    def _pad(self) -> None:
        self._data += b"\0" * (-len(self._data) % 4)

    def folder(self, name: str) -> None:
        """A directory and its parents, once."""
        parts = name.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path and path not in self._folders:
                self._folders.add(path)
                self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, name: str, body: bytes, mode: int = 0o644) -> None:
        """A regular file; makes its directory."""
        name = name.strip("/")
        if "/" in name:
            self.folder(name.rsplit("/", 1)[0])
        self._entry(name, stat.S_IFREG | mode, body)

    def symlink(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        """A character device node."""
        self._entry(name.strip("/"), stat.S_IFCHR | 0o600, device=(major, minor))

    def __bytes__(self) -> bytes:
        closed = CpioArchive()
        closed._data = bytearray(self._data)
        closed._entry(_TRAILER, 0)
        return bytes(closed._data) + b"\0" * (-len(closed._data) % 512)
