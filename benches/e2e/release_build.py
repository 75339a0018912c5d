"""`release_build.py MODULE`: imports it; exit status 3 if its Rust part is a debug build.

A debug build carries the checks for integer overflow, and with them their message; an optimised one
of this project does not.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

OVERFLOW = b"attempt to add with overflow"


def debug_libraries(module: str) -> list[str]:
    """The oxmqtt extension modules that were built without --release."""
    package = module.partition(".")[0]
    spec = importlib.util.find_spec(package)
    if package != "oxmqtt" or spec is None or spec.origin is None:
        return []
    libraries = [
        path
        for pattern in ("_native*.so", "_native*.pyd")
        for path in Path(spec.origin).parent.glob(pattern)
    ]
    return [path.name for path in libraries if OVERFLOW in path.read_bytes()]


if __name__ == "__main__":
    name = sys.argv[1]
    importlib.import_module(name)
    debug = debug_libraries(name)
    if debug:
        print(f"{name}: {', '.join(debug)} is a debug build; refused", file=sys.stderr)
        sys.exit(3)
