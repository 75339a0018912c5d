//! Packets that the application encodes by itself. The session passes them on and knows nothing of them.

use std::time::Instant;

use crate::codec::EncodeError;

use super::Session;
use super::config::ConnectOptions;

impl Session {
    /// The CONNECT that [`Self::connect`] would send, for an application that rewrites it.
    pub fn encode_connect(
        &self,
        options: &ConnectOptions,
        now: Instant,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut draft = Self::new(self.config.clone());
        draft.assigned_client_id.clone_from(&self.assigned_client_id);
        draft.connect(options, now)?;
        Ok(draft.out.bytes)
    }

    /// Sends this in the place of the CONNECT that has just been encoded.
    pub fn replace_connect(&mut self, packet: &[u8]) {
        self.out.withdraw(self.out.bytes.len());
        self.append(packet);
    }

    /// Sends a packet as it is, behind everything accepted so far; false when there is no connection.
    pub fn send_own_packet(&mut self, packet: &[u8]) -> bool {
        let is_open = self.is_open();
        if is_open {
            self.append(packet);
        }
        is_open
    }

    fn append(&mut self, packet: &[u8]) {
        let before = self.out.bytes.len();
        self.out.bytes.extend_from_slice(packet);
        self.out.appended(before);
    }
}
