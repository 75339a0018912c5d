//! Topic names and topic filters, beside a second matcher that follows the words of section 4.7.

use oxmqtt_protocol::topic::{is_shared, is_valid_filter, is_valid_name, matches, parse_shared};

/// The input is a filter, a line end, and a topic.
pub fn topic_match(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (filter, topic) = text.split_once('\n').unwrap_or((&text, &text));
    assert_eq!(is_valid_name(topic), is_name(topic), "{topic:?}");
    assert_eq!(is_valid_filter(filter), is_filter(filter), "{filter:?}");
    let found = matches(filter, topic);
    if is_filter(filter) && is_name(topic) {
        let levels: Vec<_> = filter.split('/').collect();
        let wanted = matches_levels(&levels, &topic.split('/').collect::<Vec<_>>(), true);
        assert_eq!(found, wanted, "{filter:?} and {topic:?}");
        check_relations(filter, topic, found);
    }
    check_shared(filter);
}

fn has_length(text: &str) -> bool {
    !text.is_empty() && text.len() <= 65_535 && !text.contains('\0')
}

fn is_name(topic: &str) -> bool {
    has_length(topic) && !topic.contains(['+', '#'])
}

fn is_filter(filter: &str) -> bool {
    let levels: Vec<_> = filter.split('/').collect();
    has_length(filter)
        && levels.iter().enumerate().all(|(i, level)| match *level {
            "+" => true,
            "#" => i + 1 == levels.len(),
            _ => !level.contains(['+', '#']),
        })
}

/// 4.7.1 and 4.7.2, level by level.
fn matches_levels(filter: &[&str], topic: &[&str], first: bool) -> bool {
    let reserved = first && topic.first().is_some_and(|level| level.starts_with('$'));
    match (filter, topic) {
        (["#"], _) => !reserved,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => !reserved && matches_levels(filter, topic, false),
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            wanted == level && matches_levels(filter, topic, false)
        }
        _ => false,
    }
}

/// What follows from one answer for others.
fn check_relations(filter: &str, topic: &str, found: bool) {
    assert!(matches(topic, topic), "{topic:?} matches itself");
    assert_eq!(matches("#", topic), !topic.starts_with('$'));
    if !filter.ends_with('#') && topic.len() < 65_000 && filter.len() < 65_000 {
        let (longer, below) = (format!("{filter}/+"), format!("{topic}/x"));
        assert_eq!(matches(&longer, &below), found, "one level more on both sides");
        let tree = format!("{filter}/#");
        assert!(!found || (matches(&tree, topic) && matches(&tree, &below)), "{tree:?}");
    }
}

fn check_shared(filter: &str) {
    let Some(parts) = parse_shared(filter) else { return };
    assert!(is_shared(filter) && is_valid_filter(filter), "{filter:?}");
    assert!(is_filter(parts.filter) && !parts.share_name.is_empty());
    assert!(!parts.share_name.contains(['/', '+', '#']));
    assert_eq!(format!("$share/{}/{}", parts.share_name, parts.filter), filter);
}
