"""MQTTMatcher: a mapping by filter, a search by topic (OASIS MQTT 5.0, clause 4.7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from oxmqtt import _native
from oxmqtt.matcher import MQTTMatcher


def matcher_of(*filters: str) -> MQTTMatcher:
    matcher = MQTTMatcher()
    for topic_filter in filters:
        matcher[topic_filter] = topic_filter
    return matcher


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("foo/bar", "foo/bar"),
        ("foo/+", "foo/bar"),
        ("foo/+/baz", "foo/bar/baz"),
        ("foo/+/#", "foo/bar/baz"),
        ("A/B/+/#", "A/B/B/C"),
        ("#", "foo/bar/baz"),
        ("#", "/foo/bar"),
        ("/#", "/foo/bar"),
        ("foo/#", "foo"),
        ("foo/+/#", "foo/bar"),
        ("+/+", "/"),
        ("$SYS/bar", "$SYS/bar"),
        ("$SYS/#", "$SYS/bar"),
        ("$SYS/+", "$SYS/bar"),
        ("foo/#", "foo/$bar"),
        ("foo/+/baz", "foo/$bar/baz"),
        ("a" * 5000 + "/#", "a" * 5000),
    ],
)
def test_matching(topic_filter: str, topic: str) -> None:
    assert list(matcher_of(topic_filter).iter_match(topic)) == [topic_filter]
    assert _native.topic_matches_sub(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("test/6/#", "test/3"),
        ("foo/bar", "foo"),
        ("foo/+", "foo/bar/baz"),
        ("foo/+/baz", "foo/bar/bar"),
        ("foo/+/#", "fo2/bar/baz"),
        ("/#", "foo/bar"),
        ("#", "$SYS/bar"),
        ("$BOB/bar", "$SYS/bar"),
        ("+/bar", "$SYS/bar"),
        ("foo/#", "foobar"),
        ("+", "a/"),
        ("$share/group/a", "a"),
    ],
)
def test_not_matching(topic_filter: str, topic: str) -> None:
    assert list(matcher_of(topic_filter).iter_match(topic)) == []
    assert not _native.topic_matches_sub(topic_filter, topic)


def test_order_is_exact_then_plus_then_hash_on_each_level() -> None:
    matcher = matcher_of("#", "+/#", "+/b", "a/#", "a/+", "a/b/#", "a/b", "+/+")
    expected = ["a/b", "a/b/#", "a/+", "a/#", "+/b", "+/+", "+/#", "#"]
    assert list(matcher.iter_match("a/b")) == expected


def test_setting_replaces_and_getting_finds_only_whole_filters() -> None:
    matcher = matcher_of("a/b/c")
    matcher["a/b/c"] = 5
    assert matcher["a/b/c"] == 5
    for missing in ("a", "a/b", "a/b/c/d", "x"):
        with pytest.raises(KeyError) as error:
            matcher[missing]
        assert error.value.args == (missing,)


def test_none_counts_as_no_value() -> None:
    matcher = MQTTMatcher()
    matcher["a"] = None
    assert list(matcher.iter_match("a")) == []
    with pytest.raises(KeyError):
        matcher["a"]


def test_deleting_leaves_the_neighbours() -> None:
    matcher = matcher_of("a", "a/b", "a/b/c", "a/x")
    del matcher["a/b"]
    assert matcher["a/b/c"] and matcher["a"] and matcher["a/x"]
    with pytest.raises(KeyError, match="a/b"):
        del matcher["a/b"]
    for topic_filter in ("a/b/c", "a/x", "a"):
        del matcher[topic_filter]
    assert not matcher._root._children, "deleting the last filter frees every level"


def test_matches_come_one_by_one() -> None:
    matches = matcher_of("a", "+").iter_match("a")
    assert isinstance(matches, Iterator)
    assert next(matches) == "a"


def test_many_levels_need_no_recursion() -> None:
    deep = "/".join("a" * 30_000)
    assert list(matcher_of(deep, "#").iter_match(deep)) == [deep, "#"]


def test_a_topic_that_is_no_string_is_refused_at_once() -> None:
    with pytest.raises(AttributeError):
        matcher_of("a").iter_match(None)  # type: ignore[arg-type]
