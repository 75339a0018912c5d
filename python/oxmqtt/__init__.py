"""MQTT client for Python with a Rust engine and the API of paho-mqtt.

``import oxmqtt.client as mqtt`` takes the place of ``import paho.mqtt.client as mqtt``.  Importing
the package itself loads the native module and nothing else: no socket, thread or runtime is made
before a client connects.
"""

from __future__ import annotations

from ._native import DEBUG_BUILD as _DEBUG_BUILD
from ._native import __version__ as __version__
from .exception import MQTTException as MQTTException

if _DEBUG_BUILD:
    import warnings

    warnings.warn(
        "oxmqtt's native module is a debug build and many times slower than a release build; "
        "build it with `maturin develop --release`",
        RuntimeWarning,
        stacklevel=2,
    )
    del warnings
