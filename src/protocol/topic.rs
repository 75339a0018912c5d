//! Topic names and topic filters: validity and matching (section 4.7).

/// The longest topic name or filter, in bytes [MQTT-4.7.3-3].
const MAX_LEN: usize = 65_535;
const SHARE: &str = "$share/";

/// Whether a message can be published to this topic: 1 to 65,535 bytes, no wildcard [MQTT-3.3.2-2],
/// no U+0000 [MQTT-4.7.3-2].
pub fn is_valid_name(topic: &str) -> bool {
    has_valid_length(topic) && memchr::memchr3(b'+', b'#', 0, topic.as_bytes()).is_none()
}

/// Whether this can be subscribed to: 1 to 65,535 bytes, no U+0000, `#` only as the last level
/// [MQTT-4.7.1-1], `+` only as a whole level [MQTT-4.7.1-2].
pub fn is_valid_filter(filter: &str) -> bool {
    let bytes = filter.as_bytes();
    if !has_valid_length(filter) || memchr::memchr(0, bytes).is_some() {
        return false;
    }
    memchr::memchr2_iter(b'+', b'#', bytes).all(|i| {
        let before = i.checked_sub(1).and_then(|at| bytes.get(at));
        let starts_level = matches!(before, None | Some(b'/'));
        match bytes.get(i + 1) {
            None => starts_level,
            Some(b'/') => starts_level && bytes.get(i) == Some(&b'+'),
            Some(_) => false,
        }
    })
}

fn has_valid_length(topic: &str) -> bool {
    (1..=MAX_LEN).contains(&topic.len())
}

/// Whether a topic matches a filter, as paho's `topic_matches_sub` answers.
///
/// `a/#` matches `a` too; wildcards at the first level do not match topics that begin with `$`
/// [MQTT-4.7.2-1]. Neither side is checked: an invalid wildcard is an ordinary character, `#` before
/// the last level an ordinary level. A `$share` prefix is not taken off.
pub fn matches(filter: &str, topic: &str) -> bool {
    let reserved = topic.starts_with('$');
    let mut topic_levels = levels(topic);
    let mut filter_levels = levels(filter).peekable();
    let mut first = true;
    while let Some(wanted) = filter_levels.next() {
        let wildcards = !(reserved && first);
        if wanted == b"#" && filter_levels.peek().is_none() && wildcards {
            return true;
        }
        match topic_levels.next() {
            Some(level) if level == wanted || (wanted == b"+" && wildcards) => {}
            _ => return false,
        }
        first = false;
    }
    topic_levels.next().is_none()
}

/// The levels of a topic, as bytes: quicker to take apart than text, and `/` is one byte in UTF-8.
fn levels(topic: &str) -> impl Iterator<Item = &[u8]> {
    topic.as_bytes().split(|&byte| byte == b'/')
}

/// The parts of a shared subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedFilter<'a> {
    /// The name of the group that shares the subscription.
    pub share_name: &'a str,
    /// The topic filter.
    pub filter: &'a str,
}

/// Whether the filter asks for a shared subscription (4.8.2), well-formed or not.
pub fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARE)
}

/// Takes `$share/{ShareName}/{filter}` apart; `None` for an ordinary filter and for one whose share
/// name or filter is missing or invalid [MQTT-4.8.2-1, MQTT-4.8.2-2].
pub fn parse_shared(filter: &str) -> Option<SharedFilter<'_>> {
    let (share_name, filter) = filter.strip_prefix(SHARE)?.split_once('/')?;
    let named = !share_name.is_empty() && !share_name.contains(['+', '#']);
    (named && is_valid_filter(filter)).then_some(SharedFilter { share_name, filter })
}
