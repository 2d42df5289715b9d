# SPDX-License-Identifier: GPL-2.0-only
"""A reader for newc cpio archives, independent of the writer under test."""


def entries(data: bytes) -> list[tuple[str, int, bytes]]:
    """(name, mode, body) of a newc archive; asserts its framing."""
    found, position = [], 0
    while True:
        header = data[position:position + 110]
        assert header[:6] == b"070701" and position % 4 == 0
        fields = [int(header[6 + 8 * i:14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[position + 110:position + 110 + name_size]
        assert name.endswith(b"\0") and fields[12] == 0
        start = -(-(position + 110 + name_size) // 4) * 4
        position = -(-(start + size) // 4) * 4
        if name == b"TRAILER!!!\0":
            assert not data[position:].strip(b"\0") and len(data) % 512 == 0
            return found
        found.append((name[:-1].decode(), mode, data[start:start + size]))
