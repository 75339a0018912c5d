"""Twelve callbacks do ten things in four styles of loop: each cell has one outcome, that of docs/threading.md.

No deadlock, no dead thread, a defined acknowledgement. The cells of a style run side by side.
"""

from __future__ import annotations

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
from support.callback_cells import ACTIONS, CALLBACKS, STYLES, Cell

AT_ONCE = 16


@pytest.mark.better_than_paho("deadlocks, dead threads, lost connections")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("style", STYLES)
def test_every_cell(mqtt: ModuleType, monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    chosen = os.environ.get("CELL", "")
    cells = [
        Cell(mqtt, style, callback, action)
        for callback, action in itertools.product(CALLBACKS, ACTIONS)
        if chosen in f"{callback}, {action}"
    ]
    by_thread = {f"paho-mqtt-client-{cell.name}": cell for cell in cells}

    def excepthook(args: threading.ExceptHookArgs) -> None:
        assert args.thread is not None and args.exc_value is not None
        by_thread[args.thread.name].raised.append(args.exc_value)

    monkeypatch.setattr(threading, "excepthook", excepthook)

    def outcome(cell: Cell) -> str | None:
        try:
            cell.run()
        except Exception as error:
            return f"{cell.name}: {type(error).__name__} {error}"
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [text for text in pool.map(outcome, cells) if text is not None]
    assert not wrong, f"{len(wrong)} of {len(cells)} cells:\n" + "\n".join(wrong)
