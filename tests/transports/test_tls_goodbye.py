"""Over TLS too, what counts as sent is with the kernel: a program may end when it is told so."""

from __future__ import annotations

import os
import threading
from types import ModuleType
from typing import Any

import pytest
from support import packets
from support.certificates import Authority, Identity
from support.clients import Watched
from support.peer import PeerConnection
from support.process import Program
from support.tls_peer import TlsPeer, server_context
from support.waiting import Mailbox, eventually

ROUNDS = 30

#: Each child says goodbye and is gone at once.
CHILDREN = """
    import ssl, warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    def goodbye(number):
        done = []
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, f"bye{number}", transport=TRANSPORT
        )
        if BACKEND == "rustls":
            client.tls_set(CA, backend=BACKEND)
        else:
            context = ssl.create_default_context(cafile=CA)
            context.maximum_version = getattr(ssl.TLSVersion, VERSION)
            client.tls_set_context(context)
        client.will_set(f"wills/{number}", "the will fired")
        client.on_connect = lambda client, *_: client.publish(f"words/{number}", "last")
        client.on_publish = lambda client, *_: client.disconnect()
        client.on_disconnect = lambda *_: done.append(1)
        client.connect("localhost", PORT)
        while not done:
            client.loop(0.3)
        os._exit(0)

    for number in range(ROUNDS):
        child = os.fork()
        if child == 0:
            try:
                goodbye(number)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0, number
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork() here")
@pytest.mark.better_than_paho("paho has one backend, and no TLS below its WebSocket wrapper here")
@pytest.mark.parametrize("transport", ["tcp", "websockets"])
@pytest.mark.parametrize(
    ("backend", "version"), [("ssl", "TLSv1_2"), ("ssl", "TLSv1_3"), ("rustls", "TLSv1_3")]
)
def test_no_will_after_a_goodbye(
    client_name: str, backend: str, version: str, transport: str
) -> None:
    """A program that ends in ``on_disconnect`` has been heard, and so has what it published before."""
    from oxmqtt.testing import Broker

    with Broker(tls=True, websockets=True) as broker:
        values = {
            "PORT": broker.tls_port if transport == "tcp" else broker.secure_websocket_port,
            "CA": str(broker.ca_file),
            "BACKEND": backend,
            "VERSION": version,
            "TRANSPORT": transport,
            "ROUNDS": ROUNDS,
        }
        with Program(CHILDREN, client_name, **values) as program:
            assert program.exit_code(120) == 0, program.error_text()
        eventually(lambda: not broker.clients, "the broker to see the end of all")
        topics = [message.topic for message in broker.messages]
    assert not [topic for topic in topics if topic.startswith("wills/")]
    assert len([topic for topic in topics if topic.startswith("words/")]) == ROUNDS


@pytest.mark.better_than_paho("its sockets are no BufferedTls")
def test_sent_is_what_the_kernel_has(
    mqtt: ModuleType, authority: Authority, server: Identity
) -> None:
    """While the socket of TLS takes nothing, a QoS 0 message is not published and DISCONNECT has not left."""
    from oxmqtt._client.buffered_tls import BufferedTls

    is_full = threading.Event()
    refused: Mailbox[bytes] = Mailbox()
    got: Mailbox[int] = Mailbox()

    class Full(BufferedTls):
        def send(self, data: Any, flags: int = 0) -> int:
            if is_full.is_set():
                refused.put(bytes(data))
                raise BlockingIOError
            return super().send(data, flags)

    def wrap(sock: Any) -> BufferedTls:
        tls = Full(sock, watched.client._ssl_context, "localhost")
        tls.do_handshake()
        return tls

    def serve(tls: Any) -> None:
        for packet in PeerConnection(tls, 4).serve():
            got.put(packet.kind)
        got.put(-1)

    with TlsPeer(server_context(server), below=serve) as peer:
        watched = Watched(mqtt, "full")
        watched.client.tls_set(str(authority.certificate))
        watched.client._ssl_wrap_socket = wrap
        watched.start(peer)
        is_full.set()
        info = watched.client.publish("t", "x")
        watched.client.disconnect()
        refused.wait_count(100)
        assert not info.is_published()
        assert len(watched.disconnects) == 0
        is_full.clear()
        info.wait_for_publish(30)
        watched.disconnects.wait_count(1)
        got.wait_item(-1)
        watched.close()
    assert list(got)[-3:-1] == [packets.PUBLISH, packets.DISCONNECT]


FINALISER = """
    class Owner(mqtt.Client):
        def __del__(self):
            self.disconnect()

    owner = Owner(mqtt.CallbackAPIVersion.VERSION2, "owner")
    owner.tls_set(CA)
    owner.will_set("wills/owner", "the will fired")
    owner.connect("localhost", PORT)
    owner.loop_start()
    owner.publish("words/owner", "last", 1).wait_for_publish()
"""


@pytest.mark.better_than_paho("its module is half gone then")
def test_a_finaliser_says_goodbye_at_exit(client_name: str) -> None:
    """The thread of TLS has ended by then."""
    from oxmqtt.testing import Broker

    with Broker(tls=True) as broker:
        values = {"PORT": broker.tls_port, "CA": str(broker.ca_file)}
        with Program(FINALISER, client_name, **values) as program:
            assert program.exit_code(60) == 0, program.error_text()
        eventually(lambda: not broker.clients, "the broker to see the end")
        assert [message.topic for message in broker.messages] == ["words/owner"]
