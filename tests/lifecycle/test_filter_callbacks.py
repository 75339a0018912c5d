"""Callbacks per topic filter that come and go while messages arrive."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

from support import clients
from support.mosquitto import Mosquitto
from support.waiting import Mailbox


def test_added_while_its_topic_is_looked_up(mqtt: ModuleType, broker: Mosquitto) -> None:
    """From another thread, at the only moment at which it could be overlooked: it is not, for long."""
    asked, added = threading.Event(), threading.Event()

    seen: Mailbox[str] = Mailbox()
    ready = threading.Event()
    client = clients.make(mqtt, "added")
    if mqtt.__name__.startswith("oxmqtt"):
        match = client._on_message_filtered.iter_match

        def iter_match(topic: str) -> Any:
            found = list(match(topic))
            if not asked.is_set():
                asked.set()
                added.wait(30)
            return iter(found)

        client._on_message_filtered.iter_match = iter_match
    client.on_connect = lambda client, *_: client.subscribe("added/#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda client, userdata, message: seen.put("on_message")
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert ready.wait(30)
        client.publish("added/x", b"first", 1)
        if mqtt.__name__.startswith("oxmqtt"):
            assert asked.wait(30)
        else:
            seen.wait_count(1)
        client.message_callback_add("added/x", lambda *_: seen.put("callback"))
        added.set()
        client.publish("added/x", b"second", 1)
        assert seen.wait_count(2) == ["on_message", "callback"]
    finally:
        clients.dispose(client)


def test_removed_while_messages_arrive(mqtt: ModuleType, broker: Mosquitto) -> None:
    with clients.Watched(mqtt, "removed") as watched:
        watched.start(broker).subscribe("removed/#", 1)
        seen: Mailbox[str] = Mailbox()
        watched.client.message_callback_add("removed/x", lambda *_: seen.put("callback"))
        watched.client.publish("removed/x", b"1", 1)
        seen.wait_count(1)
        watched.client.message_callback_remove("removed/x")
        watched.client.publish("removed/x", b"2", 1)
        assert watched.messages.wait_count(1)[0].payload == b"2"
        assert len(seen) == 1
