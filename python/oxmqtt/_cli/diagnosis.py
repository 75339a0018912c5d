"""From a URL to a message that comes back, one step at a time: the examination of ``oxmqtt doctor``."""

from __future__ import annotations

import secrets
import socket
import ssl
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from queue import Empty, Queue
from typing import Any

from ..client import Client, MQTTProtocolVersion, WebsocketConnectionError
from ..url import BrokerUrl
from . import certificates
from .exits import CONNECTION, DENIED, LOST, NAME, NO_ECHO, REFUSED, TLS, USAGE

_ECHOES = 10
_VERSIONS = {3: "3.1", 4: "3.1.1", 5: "5.0"}
_SOON = 14

_WRONG_VERSION = 0x84

#: Reason code of CONNACK -> what to do.
_REMEDIES = {
    _WRONG_VERSION: "The broker does not speak this version: add version=3.1.1 or version=5 to the URL.",
    0x85: "Give a client_id in the URL that the broker accepts: at most 23 letters and digits do.",
    0x86: "Check user name and password.",
    0x87: "Check user name and password, and whether they may be used with this client identifier.",
    0x88: "The broker is there but not ready: try again later, look into its log.",
    0x89: "The broker has too much to do: try again later.",
    0x8A: "The broker's operator has banned this client.",
    0x8C: "The broker wants another way of authentication than user name and password.",
    0x95: "The will or the user properties are too large for the broker.",
    0x97: "The broker has given out all that this user may have, such as connections.",
    0x9C: "Connect to the server that it names.",
    0x9D: "Connect to the server that it names, from now on.",
    0x9F: "Connections come too fast for the broker: wait.",
}

#: Property of CONNACK -> (what it limits, what holds without it); OASIS MQTT 5.0, clause 3.2.2.3.
_LIMITS = {
    "MaximumQoS": ("maximum QoS", 2),
    "RetainAvailable": ("retained messages", 1),
    "WildcardSubscriptionAvailable": ("wildcards", 1),
    "SharedSubscriptionAvailable": ("shared subscriptions", 1),
    "SubscriptionIdentifierAvailable": ("subscription identifiers", 1),
    "ReceiveMaximum": ("receive maximum", 65_535),
    "MaximumPacketSize": ("maximum packet size", None),
    "TopicAliasMaximum": ("topic alias maximum", 0),
    "ServerKeepAlive": ("keep-alive of the broker's own", None),
    "SessionExpiryInterval": ("session expiry of the broker's own", None),
    "AssignedClientIdentifier": ("client identifier from the broker", None),
}


@dataclass
class Step:
    """One finding."""

    name: str
    text: str
    #: What to do; empty where all is well.
    remedy: str = ""
    #: The exit code; 0 where all is well.
    code: int = 0
    details: dict[str, Any] = field(default_factory=dict)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.{0 if seconds >= 0.1 else 1}f} ms"


class Diagnosis:
    """Yields the steps; the one that fails is the last."""

    def __init__(self, url: BrokerUrl, topic: str | None) -> None:
        self._url = replace(url, topic="")
        self._topic = topic or url.topic or f"oxmqtt/doctor/{secrets.token_hex(6)}"
        self._timeout = url.connect_timeout or 5.0
        self._addresses: list[tuple[Any, ...]] = []
        self._client: Client | None = None
        self._events: Queue[tuple[str, Any]] = Queue()

    def steps(self) -> Iterator[Step]:
        examinations = [
            self._name,
            self._connection,
            self._tls,
            self._mqtt,
            self._limits,
            self._echo,
        ]
        try:
            for examine in examinations:
                step = examine()
                if step is not None:
                    yield step
                    if step.code:
                        return
        finally:
            if self._client is not None:
                self._client.close()

    def _name(self) -> Step | None:
        if self._url.scheme == "unix":
            return None
        host, began = self._url.host, time.perf_counter()
        try:
            found = socket.getaddrinfo(host, self._url.port, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            remedy = "Is the name spelled right? Does this machine reach its name server?"
            return Step("name", f"{host} cannot be resolved: {why}", remedy, NAME)
        self._addresses = list(dict.fromkeys(found))
        shown = list(dict.fromkeys(each[4][0] for each in self._addresses))
        text = f"{host} is {', '.join(shown)} ({_ms(time.perf_counter() - began)})"
        return Step("name", text, details={"addresses": shown})

    def _dial(self) -> socket.socket:
        """A connection to the first address that answers.

        :raises OSError: what the last one said.
        """
        if self._url.scheme == "unix":
            dialled = socket.socket(socket.AF_UNIX)
            dialled.settimeout(self._timeout)
            dialled.connect(self._url.host)
            return dialled
        problem: OSError | None = None
        for family, kind, protocol, _name, address in self._addresses:
            try:
                dialled = socket.socket(family, kind, protocol)
            except OSError as error:
                problem = error
                continue
            dialled.settimeout(self._timeout)
            try:
                dialled.connect(address)
                return dialled
            except OSError as error:
                dialled.close()
                problem = error
        raise problem or OSError("there is no address")

    def _connection(self) -> Step:
        began = time.perf_counter()
        try:
            dialled = self._dial()
        except OSError as error:
            return self._no_connection(error)
        took = time.perf_counter() - began
        with dialled:
            if self._url.scheme == "unix":
                return Step("connection", f"{self._url.host} accepts ({_ms(took)})")
            address, port = dialled.getpeername()[:2]
        text = f"{address} port {port} accepts ({_ms(took)})"
        return Step("connection", text, details={"address": address, "seconds": took})

    def _no_connection(self, error: OSError) -> Step:
        place = self._url.host if self._url.scheme == "unix" else f"port {self._url.port}"
        if isinstance(error, FileNotFoundError):
            text, remedy = f"there is no {place}", "Does the broker run, and listen on this socket?"
        elif isinstance(error, PermissionError):
            text, remedy = f"no permission for {place}", "Change the permissions of the socket."
        elif isinstance(error, ConnectionRefusedError):
            text = f"nobody listens at {place}"
            remedy = "Does the broker run? Is the port right: usually 1883, with TLS 8883?"
        elif isinstance(error, (socket.timeout, TimeoutError)):
            text = f"{place} does not answer within {self._timeout:g} s"
            remedy = "A firewall may swallow the packets, or the address is wrong."
        else:
            text = f"cannot connect to {place}: {error.strerror or error}"
            remedy = "Is this machine on the network of the broker?"
        return Step("connection", text, remedy, CONNECTION)

    def _tls(self) -> Step | None:
        if not self._url.tls:
            return None
        try:
            context = Client.from_url(self._url)._ox_settings.ssl_context
        except (OSError, ValueError) as error:
            remedy = "Check ca_certs, certfile and keyfile in the URL."
            return Step(
                "TLS", f"the certificates of the URL cannot be read: {error}", remedy, USAGE
            )
        assert context is not None
        name = self._url.server_hostname or self._url.host
        try:
            with context.wrap_socket(self._dial(), server_hostname=name) as wrapped:
                certificate = certificates.describe(wrapped.getpeercert() or {})
                version, cipher = wrapped.version() or "", (wrapped.cipher() or ("",))[0]
                certificates.alert_after(wrapped)
        except (OSError, ValueError) as error:
            return self._no_tls(error, name)
        return self._good_tls(certificate, version, cipher, name)

    def _no_tls(self, error: OSError | ValueError, name: str) -> Step:
        if not isinstance(error, OSError):
            return Step("TLS", f"the handshake failed: {error}", "Look at the URL.", TLS)
        seen = None
        if getattr(error, "verify_code", None) is not None:
            seen = certificates.look(self._dial(), name)
        has_own = self._url.certfile is not None
        text, remedy = certificates.explain(error, seen, name, has_own)
        return Step("TLS", text, remedy, TLS, {} if seen is None else seen._asdict())

    def _good_tls(
        self, certificate: certificates.Certificate, version: str, cipher: str, name: str
    ) -> Step:
        left = certificate.days_left
        soon = ": renew it soon" if left < _SOON else ""
        matches = (
            "another name is accepted (insecure)" if self._url.insecure else f"it names {name}"
        )
        text = (
            f"{version}, {cipher}; certificate {certificate.subject} by {certificate.issuer}, {matches}, "
            f"valid until {certificate.expires}, {left} days{soon}"
        )
        details = {"version": version, "cipher": cipher, **certificate._asdict()}
        return Step("TLS", text, details=details)

    def _mqtt(self) -> Step:
        step = self._connect_by_version()
        if step.code == LOST and self._url.scheme == "mqtt" and self._speaks_tls():
            step.remedy = "The port speaks TLS: use mqtts://."
        return step

    def _connect_by_version(self) -> Step:
        url = self._url
        if url.version is not None:
            return self._connect(url)
        step = self._connect(replace(url, version=MQTTProtocolVersion.MQTTv5))
        if step.code == LOST or step.details.get("reason_code") == _WRONG_VERSION:
            older = self._connect(replace(url, version=MQTTProtocolVersion.MQTTv311))
            if older.code == 0:
                older.text += "; MQTT 5.0 is not understood"
            if older.code != LOST:
                return older
        return step

    def _connect(self, url: BrokerUrl) -> Step:
        """CONNECT, and what the broker says to it."""
        if url.session_expiry is not None and url.version != MQTTProtocolVersion.MQTTv5:
            url = replace(url, session_expiry=None)
        if self._client is not None:
            self._client.close()
        events: Queue[tuple[str, Any]] = Queue()
        self._events = events
        client = self._client = Client.from_url(url, reconnect_on_failure=False)
        client.on_connect = lambda _c, _d, flags, reason, properties: events.put(
            ("connected", (flags, reason, properties))
        )
        client.on_disconnect = lambda _c, _d, _f, reason, _p: events.put(("lost", reason))
        client.on_subscribe = lambda _c, _d, _mid, reasons, _p: events.put(
            ("subscribed", reasons[0])
        )
        client.on_publish = lambda _c, _d, _mid, reason, _p: events.put(("published", reason))
        client.on_message = lambda _c, _d, message: events.put(("message", message.payload))
        version, began = _VERSIONS[int(client.protocol)], time.perf_counter()
        try:
            client.connect_url()
        except WebsocketConnectionError as error:
            remedy = (
                f"Is {url.path} the path? Others are /mqtt, /ws and /. Is the port for WebSocket?"
            )
            return Step("WebSocket", f"the handshake failed: {error}", remedy, CONNECTION)
        except (OSError, ValueError) as error:
            return Step("MQTT", f"CONNECT cannot be sent: {error}", "Try again.", CONNECTION)
        client.loop_start()
        answer: Any
        try:
            kind, answer = events.get(timeout=self._timeout + 1)
        except Empty:
            kind, answer = "lost", "no answer"
        if kind != "connected":
            return self._no_answer(version)
        flags, reason, properties = answer
        if reason.is_failure:
            return self._refused(version, reason, properties)
        took = _ms(time.perf_counter() - began)
        session = ", it has kept the session" if flags.session_present else ""
        self._connack = properties
        text = f"the broker speaks MQTT {version} and accepts ({took}){session}"
        return Step("MQTT", text, details={"version": version})

    def _no_answer(self, version: str) -> Step:
        text = f"the broker gives no answer to CONNECT of MQTT {version}"
        remedy = "Is it an MQTT broker? Is the port for WebSocket (ws://)? Its log may say more."
        return Step("MQTT", text, remedy, LOST)

    def _speaks_tls(self) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            context.wrap_socket(self._dial()).close()
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except OSError:
            return False
        return True

    def _refused(self, version: str, reason: Any, properties: Any) -> Step:
        words = getattr(properties, "ReasonString", "")
        text = f"the broker refuses MQTT {version}: {reason}" + (f" ({words})" if words else "")
        remedy = _REMEDIES.get(reason.value, "The broker's log may say more.")
        if reason.value in (0x86, 0x87) and self._url.username is None:
            remedy = "The URL has no user name; this broker wants one: mqtt://user:password@host."
        server = getattr(properties, "ServerReference", "")
        if server:
            remedy += f" It is {server}."
        return Step("MQTT", text, remedy, REFUSED, {"reason_code": reason.value})

    def _limits(self) -> Step:
        assert self._client is not None
        if self._client.protocol != MQTTProtocolVersion.MQTTv5:
            return Step("limits", "MQTT 3 has no way to announce any")
        found: dict[str, Any] = {}
        for name, (shown, default) in _LIMITS.items():
            value = getattr(self._connack, name, default)
            if value is not None:
                found[shown] = bool(value) if default == 1 else value
        words = {True: "yes", False: "no"}
        text = ", ".join(
            f"{name} {words[value] if isinstance(value, bool) else value}"
            for name, value in found.items()
        )
        return Step("limits", text, details=found)

    def _wait(self, *wanted: str) -> tuple[str, Any]:
        """The next event of these kinds, or ("lost", reason), or ("silence", None)."""
        until = time.monotonic() + self._timeout
        while True:
            try:
                event = self._events.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return "silence", None
            if event[0] in (*wanted, "lost"):
                return event

    def _echo(self) -> Step:
        client, topic = self._client, self._topic
        assert client is not None
        qos = min(1, getattr(self._connack, "MaximumQoS", 2))
        client.subscribe(topic, qos)
        kind, reason = self._wait("subscribed")
        if kind != "subscribed":
            return self._no_echo(kind, "the subscription")
        if reason.is_failure:
            return self._denied("subscribe to", reason)
        times = []
        for _ in range(_ECHOES):
            payload, began = secrets.token_bytes(8), time.perf_counter()
            client.publish(topic, payload, qos)
            while True:
                kind, value = self._wait("message", "published")
                if kind == "published" and value.is_failure:
                    return self._denied("publish to", value)
                if kind in ("lost", "silence"):
                    return self._no_echo(kind, "a message")
                if kind == "message" and value == payload:
                    break
            times.append(time.perf_counter() - began)
        median, worst = statistics.median(times), max(times)
        text = f"a message of QoS {qos} is back in {_ms(median)} (the slowest of {_ECHOES} in {_ms(worst)})"
        return Step(
            "round trip", text, details={"median_seconds": median, "slowest_seconds": worst}
        )

    def _denied(self, what: str, reason: Any) -> Step:
        text = f"the broker does not let this user {what} {self._topic}: {reason}"
        return Step("round trip", text, "Name a topic that it may use: --topic.", DENIED)

    def _no_echo(self, kind: str, what: str) -> Step:
        topic = self._topic
        if kind == "lost":
            text = f"the broker ended the connection over {what} for {topic}"
            return Step("round trip", text, "Its log says why: often permissions (--topic).", LOST)
        text = f"{what} for {topic} got no answer within {self._timeout:g} s"
        remedy = (
            "The broker may drop in silence what is not permitted: name another topic by --topic."
        )
        return Step("round trip", text, remedy, NO_ECHO)
