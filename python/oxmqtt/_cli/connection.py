"""The options that say where the broker is and who asks, for all commands; those of mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import click

from .._client import urls
from ..client import Client, MQTTProtocolVersion
from ..properties import Properties
from ..url import BrokerUrl, from_environment, parse
from . import security
from .exits import REFUSED, Failure, connecting_failed
from .security import Security

C = TypeVar("C", bound=Client)

_VERSIONS = {
    "mqttv5": MQTTProtocolVersion.MQTTv5,
    "5": MQTTProtocolVersion.MQTTv5,
    "mqttv311": MQTTProtocolVersion.MQTTv311,
    "311": MQTTProtocolVersion.MQTTv311,
    "mqttv31": MQTTProtocolVersion.MQTTv31,
    "31": MQTTProtocolVersion.MQTTv31,
}
_FOREVER = 0xFFFF_FFFF

QOS = click.IntRange(0, 2)

_OPTIONS = [
    click.option(
        "-L",
        "--url",
        help="URL of the broker, such as mqtts://user:password@host; docs/urls.md has its keys. "
        "Without -L and -h, MQTT_URL of the environment counts.",
    ),
    click.option("-h", "--host", help="Name or address of the broker.  [default: localhost]"),
    click.option(
        "-p",
        "--port",
        type=click.IntRange(1, 65_535),
        help="Its port.  [default: 1883, with TLS 8883]",
    ),
    click.option("-u", "--username", help="User name."),
    click.option(
        "-P",
        "--pw",
        "password",
        help="Password. Others on the machine can see arguments: MQTT_PASSWORD beside MQTT_URL hides it.",
    ),
    click.option(
        "-i", "--id", "client_id", help="Client identifier.  [default: the broker chooses]"
    ),
    click.option(
        "-I", "--id-prefix", help="Begin of the client identifier; the process identifier follows."
    ),
    click.option(
        "-k",
        "--keepalive",
        type=click.IntRange(0, 65_535),
        help="Keep-alive in seconds, 0 for none.  [default: 60]",
    ),
    click.option(
        "-V",
        "--protocol-version",
        type=click.Choice(list(_VERSIONS)),
        metavar="VERSION",
        help="mqttv5, mqttv311 or mqttv31.  [default: mqttv311]",
    ),
    click.option(
        "-c",
        "--disable-clean-session",
        "persistent",
        is_flag=True,
        help="Keep the session at the broker; needs -i.",
    ),
    click.option(
        "-x",
        "--session-expiry-interval",
        "session_expiry",
        type=click.IntRange(0, _FOREVER),
        help="MQTT 5: seconds that the broker keeps the session.  [default: with -c for ever]",
    ),
    click.option("-A", "bind_address", help="Address of this machine to connect from."),
    *security.OPTIONS,
]
_WILL = [
    click.option(
        "--will-topic",
        help="Topic of the will: what the broker publishes when it loses this client.",
    ),
    click.option("--will-payload", help="Its payload."),
    click.option("--will-qos", type=QOS, help="Its QoS.  [default: 0]"),
    click.option("--will-retain", is_flag=True, help="The broker retains it."),
]
_DEBUG = click.option(
    "-d", "--debug", is_flag=True, help="Print each packet to the standard error."
)

_NAMES = (
    *("url", "host", "port", "username", "password", "client_id", "id_prefix", "keepalive"),
    *("protocol_version", "persistent", "session_expiry", "bind_address", "debug"),
    *security.NAMES,
    *("will_topic", "will_payload", "will_qos", "will_retain"),
)


@dataclass
class Connection:
    """What the options say."""

    url: BrokerUrl
    security: Security = field(default_factory=Security)
    #: As ``Client.will_set`` takes it.
    will: dict[str, Any] = field(default_factory=dict)
    bind_address: str | None = None
    debug: bool = False
    #: Properties by the packet's name.
    properties: Mapping[str, Properties] = field(default_factory=dict)

    def client(self, made: type[C], **arguments: Any) -> C:
        """A client that is set up and not connected."""
        try:
            client = made.from_url(self.security.of_url(replace(self.url, topic="")), **arguments)
            self.security.refine(client)
            if self.will:
                client.will_set(**self.will, properties=self.properties.get("WILL"))
        except (ValueError, NotImplementedError) as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.UsageError(f"certificates: {error}") from None
        if self.debug:
            client.on_log = lambda _client, _userdata, _level, text: click.echo(text, err=True)
        return client

    def connect(self, client: Client) -> None:
        """Dials and sends CONNECT.

        :raises Failure: it cannot.
        """
        try:
            arguments = urls.target(client, None)
            if self.bind_address is not None:
                arguments["bind_address"] = self.bind_address
            own = self.properties.get("CONNECT")
            if own is not None:
                for name, value in vars(arguments.get("properties", own)).items():
                    if name != "packetType" and not hasattr(own, name):
                        setattr(own, name, value)
                arguments["properties"] = own
            client.connect(**arguments)
        except (OSError, ValueError) as error:
            raise connecting_failed(error, self.url) from None


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as one ``Connection``."""

    @functools.wraps(function)
    def called(**given: Any) -> Any:
        own = {name: given.pop(name) for name in _NAMES}
        return function(connection=_connection(own, given.get("properties")), **given)

    decorated: Callable[..., Any] = called
    for option in reversed([*_OPTIONS, *_WILL, _DEBUG]):
        decorated = option(decorated)
    return decorated


def url_argument(url: str | None) -> BrokerUrl:
    """The URL of a command that takes it as argument, else that of the environment.

    :raises click.UsageError: there is none, or it is not valid.
    """
    try:
        return parse(url) if url else from_environment()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _connection(own: dict[str, Any], properties: Mapping[str, Properties] | None) -> Connection:
    properties = properties or {}
    will = {}
    if own["will_topic"] is not None:
        will = {
            "topic": own["will_topic"],
            "payload": own["will_payload"],
            "qos": own["will_qos"] or 0,
            "retain": own["will_retain"],
        }
    elif own["will_payload"] is not None or own["will_qos"] is not None or own["will_retain"]:
        raise click.UsageError("a will needs --will-topic")
    url = _url(own)
    if properties and url.version != MQTTProtocolVersion.MQTTv5:
        raise click.UsageError("-D is for MQTT 5: add -V mqttv5")
    chosen = security.read(own)
    return Connection(url, chosen, will, own["bind_address"], own["debug"], properties)


def _url(own: dict[str, Any]) -> BrokerUrl:
    secured = security.is_given(own)
    if own["url"] is None and own["host"] is None and os.environ.get("MQTT_URL"):
        url = url_argument(None)
    elif own["url"] is not None:
        url = url_argument(own["url"])
        if own["host"] is not None or own["port"] is not None:
            raise click.UsageError("-L says where the broker is; -h and -p do not go with it")
    else:
        scheme, port = ("mqtts", 8883) if secured else ("mqtt", 1883)
        url = BrokerUrl(scheme, own["host"] or "localhost", own["port"] or port)  # type: ignore[arg-type]
    if secured and not url.tls:
        raise click.UsageError(f"options of TLS do not go with the scheme {url.scheme}")
    changes: dict[str, Any] = dict(security.files(own))
    for name in ("username", "password", "client_id", "keepalive"):
        if own[name] is not None:
            changes[name] = own[name]
    if own["id_prefix"] is not None:
        if own["client_id"] is not None:
            raise click.UsageError("-i and -I do not go together")
        changes["client_id"] = f"{own['id_prefix']}{os.getpid()}"
    if own["insecure"]:
        changes["insecure"] = True
    if own["protocol_version"] is not None:
        changes["version"] = _VERSIONS[own["protocol_version"]]
    url = replace(url, **changes)
    return _with_session(url, own["persistent"], own["session_expiry"])


def _with_session(url: BrokerUrl, persistent: bool, expiry: int | None) -> BrokerUrl:
    is_v5 = url.version == MQTTProtocolVersion.MQTTv5
    if expiry is not None and not is_v5:
        raise click.UsageError("-x is for MQTT 5: add -V mqttv5")
    if persistent:
        if not url.client_id:
            raise click.UsageError("-c needs a client identifier: add -i")
        url = replace(url, clean_start=False)
        if is_v5 and expiry is None and url.session_expiry is None:
            expiry = _FOREVER
    return url if expiry is None else replace(url, session_expiry=expiry)


def refused(reason: object) -> Failure:
    """The broker's answer to CONNECT was no."""
    return Failure(REFUSED, f"the broker refused the connection: {reason}")
