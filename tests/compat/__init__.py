"""The same programs, bytes and errors on paho-mqtt 2.2.0 and on oxmqtt."""
