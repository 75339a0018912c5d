"""The package ``paho`` as oxmqtt has it: found by the finder of :mod:`oxmqtt.paho`, or on ``PYTHONPATH``."""

from oxmqtt.paho import install

install()
