"""Topic names and topic filters as objects that check themselves and match each other."""

from __future__ import annotations

import dataclasses
import re
from typing import Union

from .._native import topic_matches_sub

_MOST_CHARACTERS = 65_535
_SHARE = re.compile(r"\$share/[^/]*/")
#: A wildcard that does not stand alone in its level, or ``#`` before the last level.
_BAD_WILDCARD = re.compile(r"[^/][+#]|[+#][^/]|#/")


@dataclasses.dataclass(frozen=True)
class Wildcard:
    """A topic filter: ``+`` stands for one level, ``#`` for all that follow (OASIS MQTT 5.0, clause 4.7).

    :param value: the filter, 1 to 65,535 characters.
    :raises TypeError: it is no str.
    :raises ValueError: it is no valid filter.
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise TypeError("Wildcard must be of type str")
        if not 0 < len(self.value) <= _MOST_CHARACTERS or _BAD_WILDCARD.search(self.value):
            raise ValueError(f"Invalid wildcard: {self.value}")

    def __str__(self) -> str:
        return self.value


@dataclasses.dataclass(frozen=True)
class Topic(Wildcard):
    """A topic name.

    :param value: the name, 1 to 65,535 characters, without wildcards.
    :raises TypeError: it is no str.
    :raises ValueError: it is no valid topic name.
    """

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise TypeError("Topic must be of type str")
        is_valid = 0 < len(self.value) <= _MOST_CHARACTERS
        if not is_valid or "+" in self.value or "#" in self.value:
            raise ValueError(f"Invalid topic: {self.value}")

    def matches(self, wildcard: WildcardLike) -> bool:
        """Whether a topic filter matches this topic, ``$share/{name}/{filter}`` by its filter.

        As on a broker, a filter that begins with a wildcard does not match a topic that begins with
        ``$`` [MQTT-4.7.2-1].
        """
        if not isinstance(wildcard, Wildcard):
            wildcard = Wildcard(wildcard)
        return topic_matches_sub(_SHARE.sub("", wildcard.value, count=1), self.value)


TopicLike = Union[str, Topic]
WildcardLike = Union[str, Wildcard]
