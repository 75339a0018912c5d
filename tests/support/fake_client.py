"""A client without a network, for the helpers that only drive one."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from oxmqtt import client
from oxmqtt.packettypes import PacketTypes
from oxmqtt.reasoncodes import ReasonCode


class FakeClient:
    """Notes what is called; ``loop_forever`` connects, confirms publishes, delivers messages."""

    # Set by a test before it calls the helper.
    made: ClassVar[list[FakeClient]]
    messages: ClassVar[list[Any]]
    connects: ClassVar[int]
    reason: ClassVar[ReasonCode]
    stops_at_disconnect: ClassVar[bool]

    on_connect: Any = None
    on_publish: Any = None
    on_message: Any = None

    def __init__(self, *args: Any, userdata: Any = None, **kwargs: Any) -> None:
        self.arguments = args, kwargs
        self.userdata = userdata
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.made.append(self)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))

    def user_data_get(self) -> Any:
        return self.userdata

    def published(self) -> list[tuple[Any, ...]]:
        return [args for name, args, _kwargs in self.calls if name == "publish"]

    @property
    def disconnected(self) -> bool:
        return self.stops_at_disconnect and self.calls[-1][0] == "disconnect"

    def loop_forever(self) -> None:
        confirmed = 0
        for _ in range(self.connects):
            self.on_connect(self, self.userdata, None, self.reason, None)
            if self.on_publish is not None:
                while confirmed < sum(name == "publish" for name, _args, _kwargs in self.calls):
                    confirmed += 1
                    if confirmed == 1 and self.connects > 1:
                        break  # the connection is lost before anyone hears of the first one
                    self.on_publish(self, self.userdata, confirmed, None, None)
        for message in self.messages:
            if not self.disconnected:
                self.on_message(self, self.userdata, message)


def install(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    """Put a fresh kind of FakeClient in the place of ``oxmqtt.client.Client``."""

    class Installed(FakeClient):
        made: ClassVar[list[FakeClient]] = []
        messages: ClassVar[list[Any]] = []
        connects: ClassVar[int] = 1
        reason: ClassVar[ReasonCode] = ReasonCode(PacketTypes.CONNACK)
        stops_at_disconnect: ClassVar[bool] = True

    monkeypatch.setattr(client, "Client", Installed)
    return Installed
