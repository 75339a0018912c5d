"""The package ``paho.mqtt``; its modules are oxmqtt's."""

from oxmqtt.exception import MQTTException as MQTTException

#: The release whose interface this has.
__version__ = "2.2.0"
