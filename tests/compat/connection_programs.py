"""More programs for both clients: connections that come, go, are refused, and loops of other kinds."""

from __future__ import annotations

import select
from typing import Any

from support import packets
from support.clients import take_over
from support.mosquitto import free_port
from support.name_server import NameServer
from support.packets import V5, V311
from support.peer import PeerConnection, ScriptedPeer
from support.trace import CALLBACKS, SOCKET_CALLBACKS
from support.waiting import Deadline, drive, eventually

from .programs import Stage, program

#: paho reconnects a second time a second after `reconnect()` in on_disconnect; oxmqtt sees that it is done. So
#: on_pre_connect, the only callback that shows it, is not recorded in those programs.
WITHOUT_PRE_CONNECT = tuple(name for name in CALLBACKS if name != "on_pre_connect")


@program()
def connect_async_with_thread(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("async1")
    trace.attach(client)
    trace.note("connect_async() ->", client.connect_async(stage.broker.host, stage.broker.port))
    trace.note("connected", client.is_connected())
    trace.note("loop_start() ->", client.loop_start())
    trace.wait("on_connect")
    trace.note("loop_start() ->", client.loop_start())
    stage.publish(client, "async/x", "x", 2)
    stage.finish(client)


@program()
def connect_async_with_loop_forever(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("async2")
    trace.attach(client, on_connect=lambda *_: client.disconnect())
    client.connect_async(stage.broker.host, stage.broker.port)
    trace.note("loop_forever() ->", client.loop_forever())


@program(V311, V5)
def connect_async_to_a_dead_port(stage: Stage) -> None:
    trace, client = stage.trace, stage.client("async3")
    trace.attach(client, on_connect_fail=lambda *_: client.disconnect())
    client.connect_async("127.0.0.1", free_port())
    trace.note("loop_forever() ->", client.loop_forever(retry_first_connection=True))
    client.connect_async("127.0.0.1", free_port())
    try:
        client.loop_forever()
    except OSError as error:
        trace.note("loop_forever() raises", type(error).__name__, error.errno)


@program()
def reconnect_in_on_disconnect(stage: Stage) -> None:
    """loop_forever; a rival with the same id makes the broker throw the client out; reconnect() takes it back."""
    trace, client = stage.trace, stage.client("rival1")
    rivals: list[Any] = []

    def on_connect(*_: Any) -> None:
        if rivals:
            client.disconnect()
        else:
            rivals.append(take_over(stage.broker, stage.version, "rival1"))

    def on_disconnect(*_: Any) -> None:
        if trace.count("on_disconnect") == 1:
            trace.note("reconnect() ->", client.reconnect())

    trace.attach(client, WITHOUT_PRE_CONNECT, on_connect=on_connect, on_disconnect=on_disconnect)
    stage.connect(client)
    client.loop_forever()
    rivals[0].close()


@program()
def reconnect_in_on_disconnect_by_hand(stage: Stage) -> None:
    """The same with loop() on the program's thread."""
    trace, client = stage.trace, stage.client("rival2")

    def on_disconnect(*_: Any) -> None:
        if trace.count("on_disconnect") == 1:
            trace.note("reconnect() ->", client.reconnect())

    trace.attach(client, WITHOUT_PRE_CONNECT, on_disconnect=on_disconnect)
    stage.connect(client)
    drive(client, lambda: trace.count("on_connect"), "on_connect")
    with take_over(stage.broker, stage.version, "rival2"):
        drive(client, lambda: trace.count("on_connect") == 2, "the second on_connect")
    client.subscribe("rival/x", 1)
    drive(client, lambda: trace.count("on_subscribe"), "on_subscribe")
    client.disconnect()
    drive(client, lambda: trace.count("on_disconnect") == 2, "the second on_disconnect")


@program()
def reconnect_by_itself(stage: Stage) -> None:
    """loop_start; thrown out; the thread reconnects after the shortest delay."""
    trace, client = stage.trace, stage.client("rival3")
    trace.attach(client)
    client.reconnect_delay_set(1, 2)
    stage.start(client)
    with take_over(stage.broker, stage.version, "rival3"):
        trace.wait("on_connect", 2)
    stage.publish(client, "rival/x", "back", 2)
    stage.finish(client)


@program()
def session_kept(stage: Stage) -> None:
    """Messages that came while the client was away; the session-present flag."""
    trace, broker = stage.trace, stage.broker
    expiry = stage.properties("CONNECT", SessionExpiryInterval=60)
    options = {"clean_start": False, "properties": expiry} if stage.version == V5 else {}
    client = stage.client("session", clean=False)
    trace.attach(client)
    stage.start(client, **options)
    stage.subscribe(client, [("session/1", 1), ("session/2", 2)])
    stage.finish(client)
    sender = stage.client("sender")
    sender.connect(broker.host, broker.port)
    sender.loop_start()
    for n in range(6):  # one by one: a broker passes QoS 2 on when it is released
        sender.publish(f"session/{1 + n % 2}", str(n), 1 + n % 2).wait_for_publish(10)
    sender.disconnect()
    stage.start(client, **options)
    trace.wait("on_message", 6)
    trace.note("unsubscribe() ->", client.unsubscribe(["session/1", "session/2"]))
    trace.wait("on_unsubscribe")
    stage.finish(client)
    # leave nothing for the next run
    last = stage.client("session", clean=True)
    trace.attach(last)
    stage.start(last, **({"clean_start": True} if stage.version == V5 else {}))
    stage.finish(last)


@program()
def queued_while_offline(stage: Stage) -> None:
    """QoS 1 and 2 before connect(): refused with NO_CONN, sent in order all the same."""
    trace, client = stage.trace, stage.client("offline")
    trace.attach(client)
    for n in range(4):
        info = client.publish("offline/x", str(n), 1 + n % 2)
        trace.note("publish() ->", info)
    trace.note("QoS 0 ->", client.publish("offline/x", "gone", 0))
    trace.note("subscribe() ->", client.subscribe("offline/#"))
    trace.note("unsubscribe() ->", client.unsubscribe("offline/#"))
    trace.note("disconnect() ->", client.disconnect())
    stage.start(client)
    trace.wait("on_publish", 4)
    stage.finish(client)


@program()
def external_loop(stage: Stage) -> None:
    """select() on socket(), loop_read/loop_write/loop_misc, the socket callbacks."""
    trace, client = stage.trace, stage.client("external")
    # when a client wants to write is its own affair: oxmqtt's engine writes, want_write() is false
    names = (*CALLBACKS, *(name for name in SOCKET_CALLBACKS if "write" not in name))
    trace.attach(client, names)
    client.on_socket_register_write = lambda *_: None
    client.on_socket_unregister_write = lambda *_: None

    def until(name: str, count: int = 1) -> None:
        deadline = Deadline(10)
        while trace.count(name) < count:
            assert not deadline.passed(), f"{name} never came"
            sock = client.socket()
            if sock is None:
                return
            readable, writable, _ = select.select(
                [sock], [sock] if client.want_write() else [], [], 0.05
            )
            if readable:
                client.loop_read()
            if writable:
                client.loop_write()
            client.loop_misc()

    stage.connect(client)
    until("on_connect")
    client.subscribe("external/#", 2)
    until("on_subscribe")
    for qos in (0, 1, 2):
        client.publish(f"external/{qos}", "e", qos)
        until("on_publish", qos + 1)
        until("on_message", qos + 1)
    client.disconnect()
    until("on_socket_close")
    trace.note("socket() ->", client.socket())
    trace.note("loop_misc() ->", client.loop_misc())


@program()
def refused(stage: Stage) -> None:
    """CONNACK says no: on_connect with the reason, then on_disconnect; loop_forever() returns."""
    trace = stage.trace
    client = stage.client("refused", reconnect_on_failure=False)
    trace.attach(client)
    with ScriptedPeer() as peer:
        reason = 0x87 if stage.version == V5 else 5
        client.connect(peer.host, peer.port)
        peer.accept().accept_client(reason)
        trace.note("loop_forever() ->", client.loop_forever())
    trace.note("connected", client.is_connected())


@program()
def server_closes(stage: Stage) -> None:
    """The server ends the connection: with DISCONNECT and a reason in 5, by closing in 3.1 and 3.1.1."""
    trace = stage.trace
    client = stage.client("closed", reconnect_on_failure=False)
    trace.attach(client)
    with ScriptedPeer() as peer:
        client.connect(peer.host, peer.port)
        connection = peer.accept()
        connection.accept_client()
        drive(client, lambda: trace.count("on_connect"), "on_connect")
        if stage.version == V5:
            details = {"reason_string": "maintenance", "server_reference": "elsewhere"}
            connection.send(packets.disconnect(V5, 0x9C, details))
        connection.close()
        drive(client, lambda: trace.count("on_disconnect"), "on_disconnect")
        eventually(lambda: client.socket() is None, "no socket")


@program()
def reasons_in_acknowledgements(stage: Stage) -> None:
    """SUBACK with a failure; in 5 reasons and properties in every acknowledgement."""
    trace, version = stage.trace, stage.version
    client = stage.client("reasons")
    trace.attach(client)
    more = {"reason_string": "so", "user_property": [("a", "b"), ("a", "c")]}
    with ScriptedPeer() as peer:
        client.connect(peer.host, peer.port)
        client.loop_start()
        connection = peer.accept()
        connection.accept_client(session_present=False, properties={"user_property": ("x", "y")})
        trace.wait("on_connect")
        client.subscribe([("a", 0), ("b", 1)])
        mid = connection.expect(packets.SUBSCRIBE).mid
        codes = [0x87, 1] if version == V5 else [0x80, 1]
        connection.send(packets.suback(version, mid, codes, more))
        trace.wait("on_subscribe")
        client.unsubscribe(["a", "b"])
        mid = connection.expect(packets.UNSUBSCRIBE).mid
        connection.send(packets.unsuback(version, mid, [0x11, 0], more))
        trace.wait("on_unsubscribe")
        client.publish("a", "1", 1)
        mid = connection.expect(packets.PUBLISH).mid
        connection.send(packets.acknowledge(version, packets.PUBACK, mid, 0x10, more))
        trace.wait("on_publish", 1)
        client.publish("a", "2", 2)
        mid = connection.expect(packets.PUBLISH).mid
        connection.send(packets.acknowledge(version, packets.PUBREC, mid, 0x10))
        connection.expect(packets.PUBREL, mid=mid)
        connection.send(packets.acknowledge(version, packets.PUBCOMP, mid, 0, more))
        trace.wait("on_publish", 2)
        client.disconnect()
        trace.wait("on_disconnect")
        client.loop_stop()


def release_message(connection: PeerConnection, mid: int) -> None:
    connection.expect(packets.PUBREC, mid=mid)
    connection.send(packets.acknowledge(connection.version, packets.PUBREL, mid))
    connection.expect(packets.PUBCOMP, mid=mid)


@program(V311, V5)
def acknowledged_by_hand(stage: Stage) -> None:
    """manual_ack: nothing is acknowledged before ack()."""
    trace, version = stage.trace, stage.version
    client = stage.client("manualack", manual_ack=True)
    trace.attach(client)
    with ScriptedPeer() as peer:
        client.connect(peer.host, peer.port)
        client.loop_start()
        connection = peer.accept()
        connection.accept_client()
        connection.send(packets.publish(version, "m", b"1", 1, 11))
        trace.wait("on_message", 1)
        trace.note("ack() ->", client.ack(11, 1))
        connection.expect(packets.PUBACK, mid=11)
        connection.send(packets.publish(version, "m", b"2", 2, 12))
        # paho sends PUBREC unasked, and calls on_message at PUBREL.
        release = peer.converse(lambda _: release_message(connection, 12))
        trace.wait("on_message", 2)
        trace.note("ack() ->", client.ack(12, 2))
        release.join(10)
        client.manual_ack_set(False)
        trace.note("ack() ->", client.ack(13, 1))
        connection.send(packets.publish(version, "m", b"3", 1, 13))
        connection.expect(packets.PUBACK, mid=13)
        client.disconnect()
        trace.wait("on_disconnect")
        client.loop_stop()


@program(V5)
def properties_of_messages(stage: Stage) -> None:
    """MQTT 5 only: message properties, subscription identifiers, options, expiry, clean start."""
    trace, mqtt = stage.trace, stage.mqtt
    client = stage.client("v5")
    trace.attach(client)
    stage.start(client, properties=stage.properties("CONNECT", SessionExpiryInterval=30))
    options = mqtt.SubscribeOptions(2, retainAsPublished=True, retainHandling=1)
    identifier = stage.properties("SUBSCRIBE", SubscriptionIdentifier=77, UserProperty=("s", "t"))
    stage.subscribe(client, "v5/#", options=options, properties=identifier)
    stage.subscribe(
        client, [("v5x/a", mqtt.SubscribeOptions(1)), ("v5x/b", mqtt.SubscribeOptions(0))]
    )
    sent = stage.properties(
        "PUBLISH",
        PayloadFormatIndicator=1,
        MessageExpiryInterval=100,
        ContentType="text/plain",
        ResponseTopic="v5/answer",
        CorrelationData=b"\x00\x01",
        UserProperty=[("k", "1"), ("k", "2")],
    )
    for qos in (0, 1, 2):
        stage.publish(client, "v5/x", "p", qos, messages=1, properties=sent)
    stage.publish(client, "v5/x", "r", 1, messages=1, retain=True)
    stage.publish(client, "v5/x", None, 1, messages=1, retain=True)
    reason = mqtt.ReasonCode(mqtt.PacketTypes.DISCONNECT, "Disconnect with will message")
    client.disconnect(reason)
    trace.wait("on_disconnect")
    client.loop_stop()


@program()
def log_lines(stage: Stage) -> None:
    """The texts of on_log are an API to some; each thread's lines come in order."""
    trace, client = stage.trace, stage.client("logged")
    trace.attach(client)

    def on_log(c: Any, u: Any, level: Any, text: str) -> None:
        # paho logs this error on every clean disconnect, or not, as its thread happens to run (a fault of 2.2)
        if not text.startswith("Client is not connected"):
            trace.note("on_log", level, text)

    client.on_log = on_log
    stage.start(client)
    stage.subscribe(client, [("log/#", 1)])
    for qos in (0, 1, 2):
        stage.publish(client, "log/x", "hello" if qos else None, qos, messages=1)
    client.unsubscribe(["log/#"])
    trace.wait("on_unsubscribe")
    before = trace.count("on_disconnect")
    client.disconnect()
    trace.wait("on_disconnect", before + 1)
    client.loop_stop()


@program()
def connect_by_service_records(stage: Stage) -> None:
    """connect_srv() for a domain without a record, and for one whose record names the broker."""
    trace, client = stage.trace, stage.client("srv")
    trace.attach(client)
    with NameServer() as names:
        names.records["_mqtt._tcp.iot.example."] = [f"10 1 {stage.broker.port} localhost."]
        try:
            client.connect_srv("other.example")
        except ValueError as error:
            trace.note("connect_srv() raises", error)
        trace.note("connect_srv() ->", client.connect_srv("iot.example", keepalive=30))
        trace.note("asked", names.asked)
    trace.note("target", client.host, client.port, client.keepalive)
    client.loop_start()
    trace.wait("on_connect")
    stage.subscribe(client, "srv/#", 1)
    stage.publish(client, "srv/x", "found", 1, messages=1)
    stage.finish(client)
