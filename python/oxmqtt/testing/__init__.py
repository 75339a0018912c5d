"""What tests of MQTT programs need: a broker in the test's own process.

::

    from oxmqtt.testing import Broker

    with Broker() as broker:
        client.connect(broker.host, broker.port)
        ...
        message = broker.wait_for("greetings/#", timeout=5)

It is for tests and demos: nothing is written to a disk, and it listens on loopback unless told otherwise.
"""

from __future__ import annotations

from .broker import Broker
from .views import Authentication, BrokerClient, BrokerMessage, Subscription

__all__ = ["Authentication", "Broker", "BrokerClient", "BrokerMessage", "Subscription"]
