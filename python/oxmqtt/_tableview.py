"""A constant table that reads like an attribute of each instance, without building it for each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class TableView:
    """A class attribute: read-only on the class, a copy of its own on an instance.

    paho builds its tables in every constructor, and programs read them from instances.  Here an
    instance gets its copy when it is first read; the copy lives in the instance's ``__dict__``,
    which Python consults before this descriptor.
    """

    def __init__(self, table: dict[Any, Any] | list[Any]) -> None:
        self._table = table
        self._shared: Mapping[Any, Any] | tuple[Any, ...] = (
            MappingProxyType(table) if isinstance(table, dict) else tuple(table)
        )

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self._shared
        own = self._table.copy()
        instance.__dict__[self._name] = own
        return own
