"""``oxmqtt pub``: publish a message, a file, or each line of the standard input, and wait until the broker has it."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ..client import Client
from ..enums import MQTTErrorCode
from .connection import QOS, Connection, connection_options, refused
from .exits import DENIED, FAILED, LOST, TIMED_OUT, Failure
from .property_options import CommandWithProperties, property_option

if TYPE_CHECKING:
    from ..client import MQTTMessageInfo
    from ..properties import Properties

#: The results of a message that went down with its connection.
_LOST_CODES = (MQTTErrorCode.MQTT_ERR_NO_CONN, MQTTErrorCode.MQTT_ERR_CONN_LOST)
#: Unfinished messages of QoS 1 and 2 that are kept, so that a long input takes no long memory.
_UNFINISHED = 5_000
#: How many of them may be at the broker at once.
_IN_FLIGHT = 100
#: A payload beyond this fits into no packet (OASIS MQTT 5.0, clause 2.1.4).
_LONGEST = 268_435_455


class _Publisher:
    """A client whose loop runs on a thread of its own, while this thread publishes and waits."""

    def __init__(self, connection: Connection, reconnects: bool, until: float | None) -> None:
        self._connection = connection
        self._reconnects = reconnects
        self._until = until
        self._changed = threading.Condition()
        self._online = False
        self._failure: Failure | None = None
        self._stops = False
        self.client = connection.client(Client, reconnect_on_failure=reconnects)
        self.client.max_inflight_messages = _IN_FLIGHT
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect

    def __enter__(self) -> _Publisher:
        try:
            self._connection.connect(self.client)
            self.client.loop_start()
            self._wait_online()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stops = True
        self.client.close()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        with self._changed:
            if reason.is_failure:
                self._failure = refused(reason)
            else:
                self._online = True
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, reason: Any, _props: Any
    ) -> None:
        with self._changed:
            self._online = False
            if self._stops or self._failure is not None:
                pass
            elif self._reconnects:
                click.echo(f"oxmqtt: connection lost ({reason}), connecting again", err=True)
            else:
                self._failure = Failure(LOST, f"the connection was lost: {reason}")
            self._changed.notify_all()

    def _left(self) -> float | None:
        """Seconds until -W, if that was given.

        :raises Failure: none.
        """
        if self._until is None:
            return None
        left = self._until - time.monotonic()
        if left <= 0:
            raise Failure(TIMED_OUT, "the time is over")
        return left

    def _wait_online(self) -> None:
        with self._changed:
            while not self._online and self._failure is None:
                self._changed.wait(self._left())
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def publish(self, *message: Any) -> MQTTMessageInfo:
        """Publishes; one of QoS 0 that finds no connection waits for it."""
        try:
            info = self.client.publish(*message)
            while info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and message[2] == 0:
                self._check()
                self._wait_online()
                info = self.client.publish(*message)
        except ValueError as error:
            raise Failure(DENIED, f"not published: {error}") from None
        return info

    def finish(self, info: MQTTMessageInfo) -> None:
        """Waits until a message is through.

        :raises Failure: it is not, or the connection is lost for good.
        """
        try:
            while not info.is_published():
                self._check()
                left = self._left()
                info.wait_for_publish(0.2 if left is None else min(left, 0.2))
        except (RuntimeError, ValueError) as error:
            if info.rc in _LOST_CODES:  # of QoS 0; on_disconnect may be yet to come
                raise self._failure or Failure(LOST, "the connection was lost") from None
            raise Failure(DENIED, f"not published: {error}") from None

    def disconnect(self, properties: Properties | None) -> None:
        """Sends DISCONNECT behind all messages, and waits until they have left."""
        self._stops = True
        with self._changed:
            self.client.disconnect(properties=properties)
            while self._online:
                self._changed.wait(self._left())


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines as they come, without their ends; empty ones are left out."""
    for line in iter(partial(stream.readline, _LONGEST + 1), b""):
        if len(line) > _LONGEST:
            raise Failure(FAILED, "a line of the input is longer than MQTT can carry")
        line = line.rstrip(b"\r\n")
        if line:
            yield line


def _publish_lines(publisher: _Publisher, message: tuple[Any, ...]) -> None:
    """``message`` has everything but the payload: topic, QoS, RETAIN, properties."""
    topic, qos, retain, properties = message
    publish, unfinished = publisher.publish, deque[Any]()
    info = None
    for line in _lines(sys.stdin.buffer):
        info = publish(topic, line, qos, retain, properties)
        if qos:
            unfinished.append(info)
            if len(unfinished) > _UNFINISHED:
                publisher.finish(unfinished.popleft())
    if qos == 0 and info is not None:
        publisher.finish(info)
    for info in unfinished:
        publisher.finish(info)


@click.command(
    "pub",
    cls=CommandWithProperties,
    short_help="Publish messages.",
    help="Publish a message (-m, -n, -f, -s) or each line of the standard input (-l), and wait until the broker has it. "
    "With -l a lost connection is made again; else it ends the command.",
)
@click.option(
    "-t", "--topic", help="Where to publish; or at the end of the URL, as in mqtt://host/topic."
)
@click.option("-m", "--message", help="The payload.")
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False),
    help="A file whose content is the payload.",
)
@click.option(
    "-n",
    "--null-message",
    is_flag=True,
    help="An empty payload; with -r it removes what is retained.",
)
@click.option("-s", "--stdin-file", is_flag=True, help="All of the standard input is the payload.")
@click.option(
    "-l",
    "--stdin-line",
    is_flag=True,
    help="Each line of the standard input is a payload; empty lines are left out.",
)
@click.option("-q", "--qos", type=QOS, default=0, help="0, 1 or 2.")
@click.option("-r", "--retain", is_flag=True, help="The broker retains the message.")
@click.option(
    "--repeat", type=click.IntRange(1), default=1, help="Publish so many times (-m, -n, -f, -s)."
)
@click.option("--repeat-delay", type=click.FloatRange(0), default=0.0, help="Seconds in between.")
@click.option(
    "-W",
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="Give up after so many seconds.  [default: never]",
)
@property_option
@connection_options
def command(
    connection: Connection,
    topic: str | None,
    message: str | None,
    file: str | None,
    null_message: bool,
    stdin_file: bool,
    stdin_line: bool,
    qos: int,
    retain: bool,
    repeat: int,
    repeat_delay: float,
    timeout: float | None,
    properties: dict[str, Properties],
) -> None:
    sources = [message is not None, file is not None, null_message, stdin_file, stdin_line]
    if sum(sources) != 1:
        raise click.UsageError("say what to publish by one of -m, -f, -n, -s and -l")
    topic = topic or connection.url.topic
    if not topic:
        raise click.UsageError("say where to publish: -t TOPIC")
    payload: Any = message
    if file is not None:
        payload = _read(file)
    elif stdin_file:
        payload = sys.stdin.buffer.read()
    until = None if timeout is None else time.monotonic() + timeout
    publish_properties = properties.get("PUBLISH")
    with _Publisher(connection, reconnects=stdin_line, until=until) as publisher:
        if stdin_line:
            _publish_lines(publisher, (topic, qos, retain, publish_properties))
        else:
            for number in range(repeat):
                if number and repeat_delay:
                    time.sleep(repeat_delay)
                info = publisher.publish(topic, payload, qos, retain, publish_properties)
                publisher.finish(info)
        publisher.disconnect(properties.get("DISCONNECT"))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise click.FileError(path, error.strerror or str(error)) from None
