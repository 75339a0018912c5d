"""Code that runs in the middle of anything: finalisers, and signal handlers that raise.

The first test collects garbage at every allocation, and the garbage is clients: dropped in cycles, with finalisers that disconnect,
publish and close. Whatever of ours runs at that moment must hold no lock that they want, and they must not wait without a bound.

The second raises KeyboardInterrupt at each bytecode of a call in turn, as a signal may. After it the client can be used as before.
`STEPS` in the environment says at how many of them, for each call; 0 for all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from oxmqtt.testing import Broker
from support.process import Program

pytestmark = pytest.mark.better_than_paho("its locks are held while Python runs")

STEPS = int(os.environ.get("STEPS", "60"))

CLIENTS = """
    import gc, warnings
    warnings.simplefilter("ignore")
    made = 0
    finalised = []

    def collect_always():
        # What lives by now would keep full collections rare.
        gc.collect()
        gc.freeze()
        gc.collect()
        gc.set_threshold(1, 1, 1)

    def make(**options):
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, **options)

    class Owner:
        def __init__(self, act):
            global made
            made += 1
            self.act = act
            self.client = make(client_id=f"garbage{made}")
            self.client.on_message = self.on_message
            self.client.on_socket_close = lambda *_: None
            self.client.connect("127.0.0.1", PORT)
            self.client.publish("garbage", "x", 1)
        def on_message(self, *_): pass
        def __del__(self):
            self.act(self.client)
            finalised.append(1)

    ACTS = [
        lambda c: None,
        lambda c: c.disconnect(),
        lambda c: c.publish("garbage", "last", 1),
        lambda c: c.loop_stop(),
        lambda c: c.close(timeout=0.2),
        lambda c: c.reconnect(),
    ]

    def litter():
        for act in ACTS: Owner(act)
"""

COLLECTING = {
    "dispatch": """
        client = make()
        seen, done = [], threading.Event()
        def on_message(c, u, message):
            seen.append(message.payload)
            if len(seen) == 100: done.set()
            if len(seen) % 20 == 0: litter()
        client.on_message = on_message
        client.on_connect = lambda c, *_: c.subscribe("talk", 2)
        client.on_subscribe = lambda c, *_: [c.publish("talk", str(n), n % 3) for n in range(100)]
        client.message_callback_add("other/#", on_message)
        client.on_log = lambda *_: None
        client.connect("127.0.0.1", PORT)
        collect_always()
        client.loop_start()
        done.wait()
        gc.set_threshold(700)
        client.close()
    """,
    "dialling": """
        for round in range(4):
            client = make(transport="websockets" if round % 2 else "tcp")
            connected = threading.Event()
            client.on_connect = lambda *_: connected.set()
            litter()
            collect_always()
            client.connect_async("localhost", WEBSOCKETS if round % 2 else PORT)
            client.loop_start()
            connected.wait()
            client.reconnect()
            client.loop_stop()
            client.disconnect()
            gc.set_threshold(700)
    """,
    "an event loop": """
        import asyncio
        from oxmqtt import aio
        async def talk():
            async with aio.Client("127.0.0.1", PORT) as client:
                await client.subscribe("talk", qos=2)
                await asyncio.to_thread(litter)
                collect_always()
                await asyncio.gather(*[client.publish("talk", str(n), qos=n % 3) for n in range(60)])
                count = 0
                async for message in client.messages:
                    count += 1
                    if count % 20 == 0:
                        gc.set_threshold(700)
                        litter()
                        collect_always()
                    if count == 60: break
                gc.set_threshold(700)
        asyncio.run(talk())
    """,
    "publishing": """
        client = make(protocol=mqtt.MQTTv5)
        client.connect("127.0.0.1", PORT)
        client.loop_start()
        client.on_log = lambda *_: None
        properties = mqtt.Properties(mqtt.PacketTypes.PUBLISH)
        properties.UserProperty = [("a", "b")]
        for round in range(4):
            litter()
            collect_always()
            infos = [client.publish("talk", n, n % 3, properties=properties) for n in range(30)]
            for info in infos: info.wait_for_publish()
            gc.set_threshold(700)
        client.close()
    """,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Broker]:
    with Broker(websockets=True) as broker:
        yield broker


@pytest.mark.parametrize("where", COLLECTING)
def test_clients_are_finalised_in_the_middle(client_name: str, server: Broker, where: str) -> None:
    source = (
        CLIENTS
        + COLLECTING[where].replace("\n    ", "\n")
        + "\n    say('done', len(finalised) > 0)"
    )
    values = {"PORT": server.port, "WEBSOCKETS": server.websocket_port}
    with Program(source, client_name, **values) as program:
        assert program.exit_code(120) == 0, program.error_text()
        assert program.wait_line("done") == "done True"


STEPPER = """
    import warnings
    warnings.simplefilter("ignore")
    package = os.path.dirname(sys.modules[mqtt.__name__].__file__)
    at, seen, where = 0, 0, ""

    def trace(frame, event, arg):
        global seen, where
        if not frame.f_code.co_filename.startswith(package): return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen += 1
            if seen == at:
                where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return trace

    def interrupt(call):
        global seen
        seen = 0
        sys.settrace(trace)
        try: return call()
        except KeyboardInterrupt: pass
        finally: sys.settrace(None)

    def make():
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.on_connect = lambda *_: None
        return client

    def check(client):
        assert client.loop_stop() in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_INVAL), "loop_stop()"
        assert client.connect("127.0.0.1", PORT) == 0
        assert client.loop_start() == 0, "loop_start()"
        info = client.publish("check", "x", 1)
        info.wait_for_publish(30)
        assert info.is_published(), "publish()"
        assert client.loop_stop() == 0, "the other loop_stop()"
        assert client.close() is True, "close()"

    def step(prepare, call):
        global at
        at = sys.maxsize
        client = make()
        prepare(client)
        interrupt(lambda: call(client))
        check(client)
        total = seen
        every = max(1, total // STEPS) if STEPS else 1
        for at in range(1, total + 1, every):
            client = make()
            prepare(client)
            interrupt(lambda: call(client))
            try: check(client)
            except BaseException as error:
                say("failed", f"at {at} of {total}, {where}: {error!r}")
                raise
        say("done", total)

    properties = mqtt.Properties(mqtt.PacketTypes.PUBLISH)
    properties.UserProperty = ("a", "b")
    nothing = lambda c: None
    connected = lambda c: c.connect("127.0.0.1", PORT)
    looping = lambda c: (connected(c), c.loop_start())
    publishing = lambda c: (setattr(c, "on_log", lambda *_: None), c.publish("step", 1, 1, properties=properties))
"""

CALLS = {
    "connect": "step(nothing, connected)",
    "loop_start": "step(connected, lambda c: c.loop_start())",
    "publish": "step(connected, publishing)",
    "publish while looping": "step(looping, publishing)",
    "loop": "step(connected, lambda c: c.loop(0.01))",
    "loop_stop": "step(looping, lambda c: c.loop_stop())",
    "reconnect": "step(looping, lambda c: c.reconnect())",
    "disconnect": "step(connected, lambda c: c.disconnect())",
    "disconnect while looping": "step(looping, lambda c: c.disconnect())",
    "close": "step(looping, lambda c: c.close())",
}


@pytest.mark.timeout(0 if STEPS == 0 else 300)
@pytest.mark.parametrize("call", CALLS)
def test_a_signal_at_every_bytecode(client_name: str, server: Broker, call: str) -> None:
    source = f"{STEPPER}\n    {CALLS[call]}\n"
    with Program(source, client_name, PORT=server.port, STEPS=STEPS) as program:
        code = program.exit_code(3600 if STEPS == 0 else 250)
        assert code == 0, f"{program.output.items()}\n{program.error_text()}"
        assert program.output.items()[-1].startswith("done")
