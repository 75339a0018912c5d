"""The command line: ``oxmqtt pub``, ``sub``, ``bench``, ``doctor`` and ``broker``, one module each.

It needs click and rich, which ``pip install oxmqtt[cli]`` brings; the rest of the package does not.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command in ``sys.argv`` and exits with its code; docs/cli.md lists the codes."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        print(f"oxmqtt: {error.name} is missing: pip install 'oxmqtt[cli]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())
