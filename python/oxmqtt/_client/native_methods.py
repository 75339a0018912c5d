"""The native methods, described by functions of Python.

``mock.create_autospec``, and what else looks whether a method is a function, then sees their parameters.
A call goes straight to the native method; the bodies serve those who take a function apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._native import ClientBase, MQTTMessageInfo, described

if TYPE_CHECKING:
    from ..enums import MQTTErrorCode
    from ..properties import Properties
    from .types import PayloadType

_publish, _ack = ClientBase.publish, ClientBase.ack
_wait_for_publish, _is_published = MQTTMessageInfo.wait_for_publish, MQTTMessageInfo.is_published
_next, _set_as_published = MQTTMessageInfo.next, MQTTMessageInfo._set_as_published


class _Client:
    def publish(
        self: Any,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> MQTTMessageInfo:
        return _publish(self, topic, payload, qos, retain, properties)

    def ack(self: Any, mid: int, qos: int) -> MQTTErrorCode:
        return _ack(self, mid, qos)


class _MessageInfo:
    def wait_for_publish(self: Any, timeout: float | None = None) -> None:
        _wait_for_publish(self, timeout)

    def is_published(self: Any) -> bool:
        return _is_published(self)

    def next(self: Any) -> MQTTErrorCode | int:
        return _next(self)

    def _set_as_published(self: Any) -> None:
        _set_as_published(self)


def _described(method: Any, function: Any) -> Any:
    function.__doc__ = method.__doc__
    function.__qualname__ = f"{method.__objclass__.__name__}.{function.__name__}"
    return described(method, function)


publish = _described(_publish, _Client.publish)
ack = _described(_ack, _Client.ack)
for _method in (_wait_for_publish, _is_published, _next, _set_as_published):
    _name = _method.__name__
    setattr(MQTTMessageInfo, _name, _described(_method, getattr(_MessageInfo, _name)))
