"""``oxmqtt sub``: print the messages of topic filters, in order, each before it is acknowledged."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ..client import Client, MQTTErrorCode, topic_matches_sub
from ..subscribeoptions import SubscribeOptions
from . import terminal
from .connection import QOS, Connection, connection_options, refused
from .exits import DENIED, TIMED_OUT, USAGE, Failure
from .formats import compile_format
from .property_options import CommandWithProperties, property_option

if TYPE_CHECKING:
    from ..client import MQTTMessage


class _Subscriber(Client):
    """Prints in its callback; after each round of the loop what is printed is flushed, then acknowledged."""

    def follow(self, wanted: dict[str, Any]) -> None:
        """Takes the options of the command, by name, and makes ready to run."""
        self._wanted = wanted
        self._out = sys.stdout.buffer
        self._unacknowledged: list[tuple[int, int]] = []
        self._printed = 0
        self._bytes = 0
        self._ends = False
        self._failure: Failure | None = None
        self._until = wanted["until"]
        self._rate_due = time.monotonic() + 1 if wanted["rate"] else None
        self._rated = (time.monotonic(), 0, 0)
        self.manual_ack_set(True)
        self.on_connect = self._connected
        self.on_subscribe = self._subscribed
        self.on_disconnect = self._lost
        self.on_message = self._received

    def run(self) -> None:
        """Prints until the command is done.

        :raises Failure: it cannot be done.
        """
        try:
            self.loop_forever()
        finally:
            try:
                self._settle()
            finally:
                self._ends = True
                self.close()
        if self._failure is not None:
            raise self._failure

    def _end(self, failure: Failure | None = None) -> None:
        if self._ends:
            return
        self._settle()
        self._ends = True
        self._failure = failure
        self.disconnect(properties=self._wanted["properties"].get("DISCONNECT"))

    def _settle(self) -> None:
        """What was printed leaves; then the broker may forget it."""
        self._out.flush()
        acknowledged, self._unacknowledged = self._unacknowledged, []
        for message in acknowledged:
            self.ack(*message)

    def _loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        due = [each for each in (self._until, self._rate_due) if each is not None]
        if due:
            timeout = min(timeout, max(0.0, min(due) - time.monotonic()))
        rc = super()._loop(timeout)
        self._settle()
        now = time.monotonic()
        if self._rate_due is not None and now >= self._rate_due:
            self._show_rate(now)
        if self._until is not None and now >= self._until:
            self._end(Failure(TIMED_OUT, "the time is over"))
        return rc

    def _connected(
        self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._end(refused(reason))
            return
        try:
            self._subscribe()
        except ValueError as error:
            self._end(Failure(USAGE, str(error)))

    def _subscribe(self) -> None:
        wanted = self._wanted
        if wanted["unsubscribe"]:
            self.unsubscribe(wanted["unsubscribe"], wanted["properties"].get("UNSUBSCRIBE"))
        topics, properties = wanted["topics"], wanted["properties"].get("SUBSCRIBE")
        if self._ox_settings.is_v5:
            options = SubscribeOptions(
                wanted["qos"], retainAsPublished=wanted["retain_as_published"]
            )
            self.subscribe([(each, options) for each in topics], properties=properties)
        else:
            self.subscribe([(each, wanted["qos"]) for each in topics])

    def _subscribed(
        self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any
    ) -> None:
        topics = self._wanted["topics"]
        denied = [(each, why) for each, why in zip(topics, reasons) if why.is_failure]
        for topic, why in denied:
            click.echo(f"oxmqtt: the broker refused the subscription to {topic}: {why}", err=True)
        if len(denied) == len(topics):
            self._end(Failure(DENIED, "no subscription was accepted"))
        elif self._wanted["exit_after_subscribing"]:
            self._end(Failure(DENIED, "not every subscription was accepted") if denied else None)

    def _lost(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._ends:
            click.echo(f"oxmqtt: connection lost ({reason}), connecting again", err=True)

    def _received(self, _client: Any, _data: Any, message: MQTTMessage) -> None:
        if self._ends:
            return
        wanted = self._wanted
        if wanted["retained_only"] and not message.retain:
            self._end()
            return
        if message.qos:
            self._unacknowledged.append((message.mid, message.qos))
        if message.retain and wanted["no_retained"]:
            return
        filters = wanted["filter_out"]
        if filters and any(topic_matches_sub(each, message.topic) for each in filters):
            return
        self._printed += 1
        self._bytes += len(message.payload)
        if self._rate_due is None:
            self._out.write(wanted["print"](message))
        if self._printed == wanted["count"]:
            self._end()

    def _show_rate(self, now: float) -> None:
        since, messages, size = self._rated
        per_second = (self._printed - messages) / (now - since)
        line = f"{per_second:,.0f} msg/s, {(self._bytes - size) / (now - since) / 1e6:,.2f} MB/s, {self._printed:,} in all"
        self._out.write(f"{line}\n".encode())
        self._out.flush()
        self._rated = (now, self._printed, self._bytes)
        self._rate_due = now + 1


@click.command(
    "sub",
    cls=CommandWithProperties,
    short_help="Print the messages of topic filters.",
    help="Print the messages of topic filters, in order. A lost connection is made again. Messages of QoS 1 and 2 are "
    "acknowledged after they are printed.",
)
@click.option(
    "-t",
    "--topic",
    "topics",
    multiple=True,
    help="Topic filter; may be given several times, or stand at the end of the URL.",
)
@click.option("-q", "--qos", type=QOS, default=0, help="The highest QoS that messages come with.")
@click.option("-C", "--count", type=click.IntRange(1), help="End after so many messages.")
@click.option(
    "-W",
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="End after so many seconds, with exit code 27.",
)
@click.option(
    "-E",
    "--exit-after-subscribing",
    is_flag=True,
    help="End when the broker has answered the subscription, to make a session with -c.",
)
@click.option(
    "-F",
    "--format",
    "format_",
    help="json, or text with %t topic, %p payload, %q QoS, %r retained, %I time, %l length, %j JSON, and more: docs/cli.md.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print topic and payload.")
@click.option("-N", "--no-newline", is_flag=True, help="No line end behind a message.")
@click.option("-R", "--no-retained", is_flag=True, help="Leave out messages that were retained.")
@click.option(
    "--retained-only",
    is_flag=True,
    help="Print retained messages only, and end with the first other one.",
)
@click.option(
    "--retain-as-published", is_flag=True, help="MQTT 5: show the RETAIN flag as it was published."
)
@click.option("-T", "--filter-out", multiple=True, help="Do not print topics that match.")
@click.option("-U", "--unsubscribe", multiple=True, help="Topic filter to take out of the session.")
@click.option("--rate", is_flag=True, help="Print messages per second in place of the messages.")
@property_option
@connection_options
def command(connection: Connection, **wanted: Any) -> None:
    topics = list(wanted.pop("topics")) or [connection.url.topic]
    if not topics[0]:
        raise click.UsageError("say what to subscribe to: -t TOPIC")
    verbose, timeout, format_ = (wanted.pop(name) for name in ("verbose", "timeout", "format_"))
    if verbose and format_:
        raise click.UsageError("-v and -F do not go together")
    if wanted["retained_only"] and wanted["no_retained"]:
        raise click.UsageError("-R and --retained-only do not go together")
    is_terminal = sys.stdout.isatty()
    paint = terminal.paint_topic if terminal.coloured(is_terminal) else str
    clean = terminal.harmless if is_terminal else bytes
    end = b"" if wanted.pop("no_newline") else b"\n"
    try:
        printed = compile_format(format_ or ("%t %p" if verbose else "%p"), paint, clean, end)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="-F") from None
    until = None if timeout is None else time.monotonic() + timeout
    client = connection.client(_Subscriber)
    client.follow(
        {
            **wanted,
            "topics": topics,
            "print": printed,
            "until": until,
            "filter_out": list(wanted["filter_out"]),
            "unsubscribe": list(wanted["unsubscribe"]),
        }
    )
    connection.connect(client)
    client.run()
