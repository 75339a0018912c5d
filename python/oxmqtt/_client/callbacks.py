"""The callbacks of topic filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..matcher import MQTTMatcher

if TYPE_CHECKING:
    from .._native import Engine


class TopicCallbacks(MQTTMatcher):
    """Callbacks per topic filter; a change reaches the engine's topic cache at once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._forget_topics = engine.forget_topics

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._forget_topics()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._forget_topics()
