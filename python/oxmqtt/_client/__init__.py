"""The parts of :class:`oxmqtt.client.Client`, one concern per module.

``state`` holds the attributes all parts share; ``callbacks``, ``options``, ``subscriptions``, ``events``
(from the engine to the callbacks), ``dialling`` and ``loops`` are mixins on it; ``sockets``, ``codes``,
``log`` and ``process`` serve them.
"""
