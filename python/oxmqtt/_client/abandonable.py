"""Calls that may take long and that nobody has to wait for to the end, such as asking a name server.

Neither ``getaddrinfo()`` nor a TLS handshake can be told to stop. So they run on a thread that is
simply left behind when the program does not want their result any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds between two looks at whether the result is still wanted.
_LOOK_EVERY = 0.05


def run(
    call: Callable[[], T], is_wanted: Callable[[], bool], discard: Callable[[T], Any], name: str
) -> T | None:
    """The result of ``call()``, or None as soon as ``is_wanted()`` is false.

    What a call brings that was left behind goes to ``discard``; its exception goes nowhere.

    :param name: the name of the thread.
    :raises BaseException: what ``call()`` raised.
    """
    lock = threading.Lock()
    done = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []
    is_left = False

    def work() -> None:
        try:
            result = call()
        except BaseException as error:
            errors.append(error)
        else:
            with lock:
                comes_late = is_left
                if not comes_late:
                    results.append(result)
            if comes_late:
                discard(result)
        finally:
            done.set()

    try:
        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter shuts down
            return call()
        while not done.wait(_LOOK_EVERY):
            if not is_wanted():
                return None
        if errors:
            try:
                raise errors.pop()
            finally:
                errors.clear()
        return results.pop()
    finally:
        with lock:
            is_left = True
        while results:
            discard(results.pop())
