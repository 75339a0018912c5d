"""What each program under examples/ prints: regular expressions that have to match its lines, in this order."""

from __future__ import annotations

from typing import NamedTuple


class Expected(NamedTuple):
    """`lines` match the output from its first line to its last, or with `among` some of its lines, in order."""

    lines: tuple[str, ...]
    #: Which broker it needs: "plain", "users", "tls", "tls-client", "tls-users" or "psk".
    broker: str = "plain"
    among: bool = False
    #: A package that it needs.
    package: str = ""
    #: The oldest Python that can run it.
    python: tuple[int, int] = (3, 9)


def lines(*expected: str, broker: str = "plain", among: bool = False) -> Expected:
    return Expected(expected, broker, among)


OVER_TLS = r"published over TLSv1\.[23]"

EXPECTED = {
    "connect/authentication.py": lines("connected as user: Success", broker="users"),
    "connect/keep_alive.py": lines("the broker answered a ping"),
    "connect/reconnect_with_back_off.py": lines("connected", "lost", "connected"),
    "connect/socket_buffers.py": lines("published 100000 bytes, probes of TCP: True"),
    "publish/text_messages.py": lines(*(f"message {n} published: True" for n in range(3))),
    "publish/json_messages.py": lines(r"kitchen: 21\.5"),
    "publish/batches.py": lines("1000 messages published"),
    "publish/one_call.py": lines("published 1 and 2 messages"),
    "publish/retained.py": lines("door closed, retained: True", "deleted"),
    "publish/delivery_tracking.py": lines(*(f"order {n} delivered" for n in range(5))),
    "subscribe/one_topic.py": lines("subscribed: Granted QoS 1", "examples/one: hello"),
    "subscribe/wildcards.py": lines("examples/house/hall/light", "examples/garden/pond/pump"),
    "subscribe/many_topics.py": lines(
        "examples/many/a: Granted QoS 0",
        "examples/many/b: Granted QoS 1",
        "examples/many/c: Granted QoS 2",
    ),
    "subscribe/worker_threads.py": lines("4 workers did 20 jobs, sum 2470"),
    "subscribe/handlers_per_topic.py": lines(
        r"temperature: 21\.5", "humidity: 48", "other: examples/handlers/hall/pressure"
    ),
    "sessions/will.py": lines("sensor here", "sensor lost"),
    "sessions/persistent_session.py": lines(
        "session present: False",
        "session present: True",
        "while you were out",
        "session present: False",
    ),
    "sessions/generated_client_id.py": lines(
        r"the broker assigned an identifier of [1-9]\d* characters"
    ),
    "tls/certificate_authority.py": lines(OVER_TLS, broker="tls"),
    "tls/client_certificate.py": lines(OVER_TLS, broker="tls-client"),
    "tls/context.py": lines(OVER_TLS, broker="tls"),
    "tls/user_name.py": lines(OVER_TLS, broker="tls-users"),
    "tls/minimum_version.py": lines(r"published over TLSv1\.3", broker="tls"),
    "tls/pre_shared_key.py": Expected((OVER_TLS,), "psk", python=(3, 13)),
    "errors/error_handling.py": lines(
        "no broker there",
        "bad topic: .*wildcard.*",
        "published",
        "after the end: .*not.*connected.*",
    ),
    "errors/logging_of_client.py": lines(
        r"DEBUG Sending CONNECT .*", r"DEBUG Sending PUBLISH .*examples/logging.*", among=True
    ),
    "patterns/connection_pool.py": lines("50 messages over 3 connections"),
    "patterns/message_batching.py": lines("1000 readings, in fewer messages: True"),
    "patterns/limits.py": lines("refused, the queue is full: 20", "published: 100"),
    "patterns/async_processing.py": lines("processed 50 messages"),
    "scaling/shared_subscription.py": lines("3 processes did 30 jobs, each once: True"),
    "asyncio/subscribe_and_publish.py": lines(r"examples/aio/kitchen/temperature: 21\.5"),
    "asyncio/several_consumers.py": lines("3 consumers did 30 jobs, each once: True"),
    "asyncio/request_response.py": lines(r"\[0, 1, 4, 9, 16\]"),
    "asyncio/timeouts.py": lines("no message in time", "then one came: here"),
    "asyncio/reconnect.py": lines("before", "Connection lost: .*", "after"),
    "asyncio/background_listener.py": lines(
        r"\[\('examples/service/attic', 24\.0\), \('examples/service/hall', 19\.5\)\]", "stopped"
    ),
    "testing/thermostat.py": lines(r"18\.5 degrees, heating on", "22 degrees, heating off"),
    "deploy/health_check.py": lines("healthy"),
    "deploy/configuration.py": lines("published, keep-alive 60 s"),
    "deploy/prometheus_metrics.py": Expected(
        (
            r"mqtt_connected 1\.0",
            r"mqtt_messages_received_total 3\.0",
            r"mqtt_payload_bytes_bucket\{le=\"10\.0\"\} 1\.0",
            r"mqtt_payload_bytes_sum 300\.0",
        ),
        among=True,
        package="prometheus_client",
    ),
}
