"""Topic filters with a value each, and the values whose filter matches a topic name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class MQTTMatcher:
    """A mapping from topic filter to value that can be asked with a topic name.

    Set, get and delete with ``matcher[topic_filter]``; a filter that holds no value raises
    ``KeyError``, and ``None`` counts as no value.  :meth:`iter_match` follows OASIS MQTT 5.0,
    clause 4.7: ``+`` stands for one level, a final ``#`` for all remaining levels and for their
    parent, and neither matches a first level that starts with ``$``.  Filters are not validated:
    that is the client's part.
    """

    class Node:
        """One level of the filters; its path from the root is the filter."""

        __slots__ = ("_children", "_content")

        def __init__(self) -> None:
            self._children: dict[str, MQTTMatcher.Node] = {}
            self._content: Any = None

    def __init__(self) -> None:
        self._root = self.Node()

    def __setitem__(self, key: str, value: Any) -> None:
        node = self._root
        for level in key.split("/"):
            child = node._children.get(level)
            if child is None:
                child = node._children[level] = self.Node()
            node = child
        node._content = value

    def _path(self, key: str) -> list[MQTTMatcher.Node]:
        """The nodes from the root to ``key``; ``KeyError(key)`` unless a value is there."""
        path = [self._root]
        for level in key.split("/"):
            child = path[-1]._children.get(level)
            if child is None:
                raise KeyError(key)
            path.append(child)
        if path[-1]._content is None:
            raise KeyError(key)
        return path

    def __getitem__(self, key: str) -> Any:
        return self._path(key)[-1]._content

    def __delitem__(self, key: str) -> None:
        path = self._path(key)
        path[-1]._content = None
        levels = key.split("/")
        while levels and not path[-1]._children and path[-1]._content is None:
            path.pop()
            del path[-1]._children[levels.pop()]

    def iter_match(self, topic: str) -> Iterator[Any]:
        """Yield the value of each filter that matches ``topic``, the most exact level first.

        Level by level the order is: the same text, then ``+``, then ``#``.
        """
        return self._walk(topic.split("/"), topic.startswith("$"))

    def _walk(self, levels: list[str], reserved: bool) -> Iterator[Any]:
        count = len(levels)
        # (node, depth) still to visit, the next one last; depth -1 says that all levels matched.
        pending = [(self._root, 0)]
        while pending:
            node, depth = pending.pop()
            if depth < 0:
                if node._content is not None:
                    yield node._content
                continue
            children = node._children
            wildcards = bool(children) and (depth > 0 or not reserved)
            if wildcards and "#" in children:
                pending.append((children["#"], -1))
            if depth == count:
                # The filter ends where the topic ends: before a "#" that matches the parent too.
                pending.append((node, -1))
                continue
            if wildcards and "+" in children:
                pending.append((children["+"], depth + 1))
            child = children.get(levels[depth])
            if child is not None:
                pending.append((child, depth + 1))
