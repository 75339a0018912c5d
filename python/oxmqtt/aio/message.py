"""The message class, where aiomqtt has it."""

from __future__ import annotations

from .._native import Message

__all__ = ["Message"]
