"""Calls in the style of paho-mqtt 1.6. They work, and a DeprecationWarning names today's way.

The decorators keep the signature that ``inspect`` and type checkers see: today's.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..enums import CallbackAPIVersion

if TYPE_CHECKING:
    F = TypeVar("F", bound=Callable[..., Any])


def warn(text: str) -> None:
    """Warns the caller of a decorated method."""
    warnings.warn(text, category=DeprecationWarning, stacklevel=3)


def without_api_version(init: F) -> F:
    """``Client(client_id, clean_session, userdata, protocol, transport, reconnect_on_failure)``:
    there was no callback version to choose.
    """

    @functools.wraps(init)
    def called(self: Any, *args: Any, **kwargs: Any) -> None:
        if args and (args[0] is None or isinstance(args[0], (str, bytes))):
            warn(
                "Client(client_id) is paho-mqtt 1.x; use Client(CallbackAPIVersion.VERSION2, client_id)"
            )
            args = (CallbackAPIVersion.VERSION1, *args)
        init(self, *args, **kwargs)

    return called  # type: ignore[return-value]


def drops(argument: str, position: int, *, before_a_bool: bool = False) -> Callable[[F], F]:
    """Takes an argument that paho-mqtt 1.6 had at ``position``, to no effect.

    ``before_a_bool``: today's method has a bool there, so a positional argument is the old one if it
    is a number. Otherwise today's method has nothing there.
    """

    def decorate(method: F) -> F:
        @functools.wraps(method)
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            if argument in kwargs:
                del kwargs[argument]
            elif len(args) > position and not (before_a_bool and isinstance(args[position], bool)):
                args = args[:position] + args[position + 1 :]
            else:
                return method(self, *args, **kwargs)
            warn(f"{method.__name__}({argument}) is paho-mqtt 1.x and has no effect; leave it out")
            return method(self, *args, **kwargs)

        return called  # type: ignore[return-value]

    return decorate
