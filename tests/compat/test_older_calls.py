"""Programs written for paho-mqtt 1.6: their calls work, and a DeprecationWarning names today's way."""

from __future__ import annotations

import inspect
import warnings
from types import ModuleType
from typing import Any, Callable

import pytest
from support import clients
from support.mosquitto import Mosquitto
from support.waiting import Mailbox

pytestmark = pytest.mark.better_than_paho("paho 2 does not take the calls of 1.6")


def make(mqtt: ModuleType, *args: Any, **kwargs: Any) -> Any:
    with pytest.warns(DeprecationWarning) as caught:
        client = mqtt.Client(*args, **kwargs)
    assert {warning.filename for warning in caught} == {__file__}
    return client


@pytest.mark.parametrize("client_id", ["", "id", b"id", None])
def test_client_id_comes_first(mqtt: ModuleType, client_id: Any) -> None:
    client = make(mqtt, client_id)
    expected = (client_id or "").encode() if not isinstance(client_id, bytes) else client_id
    assert client._client_id == expected
    assert client.callback_api_version == mqtt.CallbackAPIVersion.VERSION1


def test_every_position(mqtt: ModuleType) -> None:
    client = make(mqtt, "id", False, "data", mqtt.MQTTv31, "unix", False)
    assert (client._client_id, client._clean_session) == (b"id", False)
    assert client.user_data_get() == "data"
    assert (client.protocol, client.transport) == (mqtt.MQTTv31, "unix")
    assert client._reconnect_on_failure is False


def test_mqtt5(mqtt: ModuleType) -> None:
    client = make(mqtt, "id", None, "data", mqtt.MQTTv5)
    assert client.protocol == mqtt.MQTTv5
    assert client.user_data_get() == "data"


def test_keywords(mqtt: ModuleType) -> None:
    client = make(mqtt, client_id="id", clean_session=False, userdata=1)
    assert (client._client_id, client._clean_session, client.user_data_get()) == (b"id", False, 1)


def test_persistent_session_needs_an_id(mqtt: ModuleType) -> None:
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="client id"):
        mqtt.Client("", False)


def test_signature_is_todays(mqtt: ModuleType, paho: ModuleType) -> None:
    for name in ("__init__", "loop", "loop_forever", "loop_stop", "loop_write"):
        ours, theirs = (inspect.signature(getattr(m.Client, name)) for m in (mqtt, paho))
        assert list(ours.parameters) == list(theirs.parameters)


CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "loop": (lambda client: client.loop(0.0, 1), "MQTT_ERR_NO_CONN"),
    "loop by keyword": (lambda client: client.loop(timeout=0.0, max_packets=1), "MQTT_ERR_NO_CONN"),
    "loop_write": (lambda client: client.loop_write(1), "MQTT_ERR_NO_CONN"),
    "loop_stop": (lambda client: client.loop_stop(True), "MQTT_ERR_INVAL"),
    "loop_stop by keyword": (lambda client: client.loop_stop(force=False), "MQTT_ERR_INVAL"),
    "message_retry_set": (lambda client: client.message_retry_set(20), ""),
}


@pytest.mark.parametrize("call", CALLS)
def test_dropped_argument(mqtt: ModuleType, call: str) -> None:
    client = clients.make(mqtt, "older")
    run, expected = CALLS[call]
    with pytest.warns(DeprecationWarning, match=r"paho-mqtt 1\.x") as caught:
        result = run(client)
    assert [warning.filename for warning in caught] == [__file__]
    assert result == (getattr(mqtt, expected) if expected else None)


@pytest.mark.parametrize(
    "arguments",
    [((1.0, 1, False), {}), ((1.0, 1), {}), ((), {"max_packets": 1}), ((1.0,), {"max_packets": 3})],
)
def test_loop_forever_drops_max_packets(
    mqtt: ModuleType, broker: Mosquitto, arguments: tuple[tuple[Any, ...], dict[str, Any]]
) -> None:
    args, kwargs = arguments
    client = clients.make(mqtt, "older")
    client.on_connect = lambda client, *_: client.disconnect()
    client.connect(broker.host, broker.port)
    with pytest.warns(DeprecationWarning, match=r"loop_forever\(max_packets\)") as caught:
        client.loop_forever(*args, **kwargs)
    assert len(caught) == 1


def test_loop_forever_keeps_todays_second_argument(mqtt: ModuleType) -> None:
    """A bool there is retry_first_connection, also without a keyword."""
    client = clients.make(mqtt, "today")
    client.connect_async("127.0.0.1", 1)
    client.reconnect_delay_set(0.01, 0.01)
    tries: list[int] = []

    def failed(client: Any, userdata: Any) -> None:
        tries.append(1)
        if len(tries) == 3:
            client.disconnect()

    client.on_connect_fail = failed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.loop_forever(1.0, True)
    assert len(tries) == 3


def test_whole_program(mqtt: ModuleType, broker: Mosquitto) -> None:
    """A program of 2018, start to end: flags as a dict, rc as a number, loop_stop(force)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = mqtt.Client("program-of-2018", True, {"seen": []}, mqtt.MQTTv311)
    connected: Mailbox[Any] = Mailbox()
    received: Mailbox[Any] = Mailbox()

    def on_connect(client: Any, userdata: Any, flags: Any, rc: int) -> None:
        connected.put((flags["session present"], flags.session_present, rc))
        client.subscribe("older/#")

    def on_message(client: Any, userdata: Any, msg: Any) -> None:
        userdata["seen"].append(str(msg.payload.decode("utf-8")))
        received.put(msg)

    client.on_connect = on_connect
    client.on_subscribe = lambda client, userdata, mid, granted_qos: client.publish("older/x", "hi")
    client.on_message = on_message
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.message_retry_set(5)
        client.connect(broker.host, broker.port, 60)
        client.loop_start()
        received.wait_count(1)
        client.disconnect()
        client.loop_stop(force=True)
    assert connected.wait_count(1) == [(0, False, 0)]
    assert client.user_data_get() == {"seen": ["hi"]}


@pytest.mark.parametrize(
    "name", ["base62", "mqtt_cs_new", "mqtt_cs_connected", "mqtt_cs_disconnecting"]
)
def test_names(mqtt: ModuleType, name: str) -> None:
    assert hasattr(mqtt, name)


def test_state_by_its_older_name(mqtt: ModuleType) -> None:
    assert clients.make(mqtt)._state == mqtt.mqtt_cs_new


def test_reason_codes() -> None:
    from oxmqtt.packettypes import PacketTypes
    from oxmqtt.reasoncodes import ReasonCodes

    with pytest.warns(DeprecationWarning):
        code = ReasonCodes(PacketTypes.CONNACK, "Not authorized")
    assert (code.getName(), code.value) == ("Not authorized", 135)
