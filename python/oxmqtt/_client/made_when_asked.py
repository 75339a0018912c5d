"""Attributes of a client that are there from the first look on, also before its constructor has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class MadeWhenAsked(Generic[T]):
    """What ``make`` gives for the client, kept in the client's own dict. Two threads get the same."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, client: object | None, owner: type | None = None) -> T:
        if client is None:
            return cast("T", self)
        return cast("T", vars(client).setdefault(self._name, self._make(client)))
