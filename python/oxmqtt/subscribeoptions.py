"""The options of one topic filter in an MQTT 5 SUBSCRIBE packet."""

from __future__ import annotations

from typing import Any

from . import _native
from ._tableview import TableView
from .exception import MQTTException as _MQTTException


class MQTTException(_MQTTException):
    """An attribute that :class:`SubscribeOptions` does not have."""


class SubscribeOptions:
    """How the server shall treat one subscription (OASIS MQTT 5.0, clause 3.8.3.1).

    ``qos`` (attribute ``QoS``) is the highest quality of service to send, 0, 1 or 2.  ``noLocal``
    keeps back messages that this client published itself.  ``retainAsPublished`` leaves the retain
    flag as the publisher set it.  ``retainHandling`` says when retained messages are sent: one of
    ``RETAIN_SEND_ON_SUBSCRIBE``, ``RETAIN_SEND_IF_NEW_SUB`` and ``RETAIN_DO_NOT_SEND``.  The
    defaults are MQTT 3.1.1's behaviour.

    ``AssertionError`` for a ``qos`` or ``retainHandling`` outside 0-2, here and in :meth:`pack`;
    ``MQTTException`` (this module's) for setting any other attribute.
    """

    RETAIN_SEND_ON_SUBSCRIBE = 0
    RETAIN_SEND_IF_NEW_SUB = 1
    RETAIN_DO_NOT_SEND = 2

    names: TableView = TableView(["QoS", "noLocal", "retainAsPublished", "retainHandling"])

    def __init__(
        self,
        qos: int = 0,
        noLocal: bool = False,
        retainAsPublished: bool = False,
        retainHandling: int = RETAIN_SEND_ON_SUBSCRIBE,
    ) -> None:
        self.QoS: int = qos
        self.noLocal: bool = noLocal
        self.retainAsPublished: bool = retainAsPublished
        self.retainHandling: int = retainHandling
        self._check()

    def _check(self) -> None:
        if self.retainHandling not in (0, 1, 2):
            raise AssertionError(f"Retain handling should be 0, 1 or 2, not {self.retainHandling}")
        if self.QoS not in (0, 1, 2):
            raise AssertionError(f"QoS should be 0, 1 or 2, not {self.QoS}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.names:
            raise MQTTException(f"{name} Attribute name must be one of {self.names}")
        object.__setattr__(self, name, value)

    def pack(self) -> bytes:
        """The options as the one byte that follows the topic filter."""
        self._check()
        return _native.encode_subscribe_options(
            self.QoS, bool(self.noLocal), bool(self.retainAsPublished), self.retainHandling
        )

    def unpack(self, buffer: bytes | bytearray) -> int:
        """Take the options from the first byte of ``buffer``; returns 1, the bytes used."""
        self.QoS, self.noLocal, self.retainAsPublished, self.retainHandling = (
            _native.decode_subscribe_options(buffer[0])
        )
        self._check()
        return 1

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}={value}" for name, value in self.json().items()) + "}"

    def json(self) -> dict[str, Any]:
        """The options by attribute name, for ``json.dumps``."""
        return {
            "QoS": self.QoS,
            "noLocal": self.noLocal,
            "retainAsPublished": self.retainAsPublished,
            "retainHandling": self.retainHandling,
        }
