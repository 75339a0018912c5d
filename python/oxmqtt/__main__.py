"""``python -m oxmqtt``: the command line, as the program ``oxmqtt``."""

from __future__ import annotations

from ._cli import main

if __name__ == "__main__":
    main()
