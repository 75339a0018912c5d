"""What a terminal needs that a pipe must not get: colours, and control characters made harmless."""

from __future__ import annotations

import os
import re
import zlib

#: Colours that can be read on black and on white (ECMA-48, clause 8.3.117).
_PALETTE = (31, 32, 33, 34, 35, 36, 91, 92, 94, 95, 96)
_CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def coloured(is_terminal: bool) -> bool:
    """Whether to use colours: on a terminal, unless ``NO_COLOR`` is set or it is dumb."""
    environment = os.environ
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def paint_topic(topic: str) -> str:
    """The topic in a colour of its own: the same each time."""
    return f"\x1b[{_PALETTE[zlib.crc32(topic.encode()) % len(_PALETTE)]}m{topic}\x1b[0m"


def harmless(text: bytes) -> bytes:
    """Control characters, but for tab and line feed, as ``\\x1b``; bytes that are not UTF-8 likewise.

    Otherwise anybody who may publish could write anything anywhere on the screen.
    """
    readable = text.decode("utf-8", "backslashreplace").encode()
    return _CONTROLS.sub(lambda found: b"".join(b"\\x%02x" % each for each in found[0]), readable)
