//! Topic names, filters and their matching, against the answers of paho's `topic_matches_sub`.
#![allow(clippy::unwrap_used)]

use oxmqtt_protocol::topic::{
    SharedFilter, is_shared, is_valid_filter, is_valid_name, matches, parse_shared,
};
use proptest::prelude::*;

#[test]
fn filters_that_match() {
    for (filter, topic) in [
        ("foo/bar", "foo/bar"),
        ("foo/+", "foo/bar"),
        ("foo/+/baz", "foo/bar/baz"),
        ("foo/+/#", "foo/bar/baz"),
        ("A/B/+/#", "A/B/B/C"),
        ("#", "foo/bar/baz"),
        ("#", "/foo/bar"),
        ("/#", "/foo/bar"),
        ("$SYS/bar", "$SYS/bar"),
        ("$SYS/#", "$SYS"),
        ("$SYS/+", "$SYS/bar"),
        ("foo/$bar", "foo/$bar"),
        ("foo/#", "foo/$bar"),
        ("foo/+/baz", "foo/$bar/baz"),
        ("a/#", "a"),
        ("a/#", "a/"),
        ("a/+", "a/"),
        ("+/+", "/"),
        ("+", ""),
        ("", ""),
        // Unchecked input, as paho's answer is.
        ("a+", "a+"),
        ("#/a", "#/a"),
        ("a/#/b", "a/#/b"),
        ("+", "+"),
    ] {
        assert!(matches(filter, topic), "{filter} {topic}");
    }
}

#[test]
fn filters_that_do_not_match() {
    for (filter, topic) in [
        ("test/6/#", "test/3"),
        ("foo/bar", "foo"),
        ("foo/+", "foo/bar/baz"),
        ("foo/+/baz", "foo/bar/bar"),
        ("foo/+/#", "fo2/bar/baz"),
        ("/#", "foo/bar"),
        ("#", "$SYS/bar"),
        ("+/bar", "$SYS/bar"),
        ("$BOB/bar", "$SYS/bar"),
        ("+", "a/b"),
        ("+", "/a"),
        ("a/+", "a"),
        ("a", "A"),
        ("a+", "ab"),
        ("#/a", "b/a"),
        ("a/#/b", "a/x/b"),
        ("$share/g/a", "a"),
        ("+", "$"),
    ] {
        assert!(!matches(filter, topic), "{filter} {topic}");
    }
}

#[test]
fn names() {
    let longest = "x".repeat(65_535);
    for name in ["a", "/", "a/b", " ", "$SYS/x", "é\u{2A6D4}", &longest] {
        assert!(is_valid_name(name), "{name}");
    }
    let too_long = "é".repeat(32_768);
    for name in ["", "+", "a/#", "a+b", "a\0", &too_long] {
        assert!(!is_valid_name(name), "{name}");
    }
}

#[test]
fn filters() {
    let longest = "x".repeat(65_535);
    for filter in
        ["a", "#", "+", "+/+", "/+", "+/", "a/#", "+/a/#", "/#", "//", "$share/g/a", &longest]
    {
        assert!(is_valid_filter(filter), "{filter}");
    }
    let too_long = "x".repeat(65_536);
    for filter in
        ["", "a#", "#/", "a/#/b", "a+", "+a", "a/+b", "##", "++", "a/b#", "a\0", "+#", &too_long]
    {
        assert!(!is_valid_filter(filter), "{filter}");
    }
}

#[test]
fn shared_filters() {
    let shared = |share_name, filter| Some(SharedFilter { share_name, filter });
    assert_eq!(parse_shared("$share/g/a/b"), shared("g", "a/b"));
    assert_eq!(parse_shared("$share/g/#"), shared("g", "#"));
    assert_eq!(parse_shared("$share/g//"), shared("g", "/"));
    for filter in [
        "a",
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/g#/a",
        "$share/g/a+",
    ] {
        assert_eq!(parse_shared(filter), None, "{filter}");
    }
    assert!(is_shared("$share//a") && !is_shared("$shared/g/a") && !is_shared("share/g/a"));
}

/// paho's matcher, told as its prefix tree works: an independent second opinion.
fn as_paho(filter: &[&str], topic: &[&str], depth: usize) -> bool {
    let wildcards = depth > 0 || !topic.first().is_some_and(|level| level.starts_with('$'));
    let hash = filter.get(depth) == Some(&"#") && filter.len() == depth + 1 && wildcards;
    if depth == topic.len() {
        return filter.len() == depth || hash;
    }
    let exact = filter.get(depth) == Some(&topic[depth]);
    let plus = filter.get(depth) == Some(&"+") && wildcards;
    hash || ((exact || plus) && as_paho(filter, topic, depth + 1))
}

proptest! {
    #[test]
    fn agrees_with_the_second_opinion(
        filter in "([ab$+#]{0,2}/){0,3}[ab$+#]{0,2}",
        topic in "([ab$+#]{0,2}/){0,3}[ab$]{0,2}",
    ) {
        let levels = |text: &'_ str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let (filter_levels, topic_levels) = (levels(&filter), levels(&topic));
        let filter_levels: Vec<&str> = filter_levels.iter().map(String::as_str).collect();
        let topic_levels: Vec<&str> = topic_levels.iter().map(String::as_str).collect();
        prop_assert_eq!(matches(&filter, &topic), as_paho(&filter_levels, &topic_levels, 0));
    }

    #[test]
    fn a_valid_name_is_a_valid_filter_that_matches_itself(name in "[^\u{0}+#]{1,30}") {
        prop_assert!(is_valid_name(&name) && is_valid_filter(&name) && matches(&name, &name));
    }

    #[test]
    fn any_text(text in any::<String>(), other in any::<String>()) {
        let _ = (is_valid_name(&text), is_valid_filter(&text), parse_shared(&text), matches(&text, &other));
    }
}
