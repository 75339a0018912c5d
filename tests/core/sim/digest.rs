//! When two worlds look the same.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

use super::world::World;

impl World {
    /// A number that is equal for equal states: everything but counters of the run.
    pub(crate) fn digest(&self) -> u64 {
        let mut text = Text(DefaultHasher::new());
        let _ = write!(
            text,
            "{:?}{:?}{:?}{:?}{:?}{:?}",
            self.session, self.server, self.client, self.link, self.fresh, self.redeliver
        );
        text.0.finish()
    }
}

/// Hashes what is written to it.
struct Text(DefaultHasher);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
