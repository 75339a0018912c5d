"""Stands before an installed paho-mqtt on ``PYTHONPATH`` and hands over to oxmqtt."""

from oxmqtt.paho import install

install()
