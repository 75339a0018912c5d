"""The exceptions of the asyncio API, with aiomqtt's names."""

from __future__ import annotations

from .._client.codes import connack_string, error_string
from ..reasoncodes import ReasonCode


class MqttError(Exception):
    """The base of the others; raised itself for connections that fail, are lost, or take too long."""


class MqttCodeError(MqttError):
    """An error that has a code.

    :ivar rc: a :class:`~oxmqtt.reasoncodes.ReasonCode` of the broker, or an
        :class:`~oxmqtt.enums.MQTTErrorCode` of the client.
    """

    def __init__(self, rc: int | ReasonCode | None, *args: object) -> None:
        super().__init__(*args)
        self.rc = rc

    def __str__(self) -> str:
        if isinstance(self.rc, ReasonCode):
            return f"[code:{self.rc.value}] {self.rc}"
        if isinstance(self.rc, int):
            return f"[code:{int(self.rc)}] {error_string(self.rc)}"
        return f"[code:{self.rc}] {super().__str__()}"


class MqttConnectError(MqttCodeError):
    """The broker refused the connection: CONNACK with a failure (OASIS MQTT 5.0, clause 3.2.2.2)."""

    def __init__(self, rc: int | ReasonCode) -> None:
        super().__init__(rc, connack_string(rc))


class MqttReentrantError(MqttError):
    """The client is connected by another ``async with`` already."""
