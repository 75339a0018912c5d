//! From a connected socket to the connection's I/O task.

use std::sync::Arc;
use std::time::Instant;

use oxmqtt_protocol::codec::EncodeError;
use oxmqtt_protocol::session::{ConnectOptions, StallWatch};

use super::carried::Carried;
use super::core::{Core, Link, STALLED};
use super::io_task::IoTask;
use super::layers::Layers;
use super::relay::Relay;
use super::runtime::{process, spawn};
use super::stream::Socket;

impl Core {
    /// Starts the session's next connection on a connected socket and its layers; `packet` goes out in
    /// the place of CONNECT. With a relay, bytes count as written when that has passed them on.
    pub fn connect(
        self: &Arc<Self>,
        socket: Socket,
        layers: Option<Layers>,
        relay: Option<&Relay>,
        options: &ConnectOptions,
        packet: Option<&[u8]>,
    ) -> Result<(), ConnectError> {
        let runtime = {
            let mut process = process();
            process.register(self);
            process.handle()?
        };
        let _context = runtime.enter();
        spawn(self.start(socket, layers, relay, options, packet)?)?;
        Ok(())
    }

    /// The task of the next connection; it has to be spawned, or the connection ends with it.
    pub(super) fn start(
        self: &Arc<Self>,
        socket: Socket,
        layers: Option<Layers>,
        relay: Option<&Relay>,
        options: &ConnectOptions,
        packet: Option<&[u8]>,
    ) -> Result<IoTask, ConnectError> {
        #[cfg(unix)]
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&socket.socket);
        let (reader, writer) = socket.split(layers)?;
        let mut state = self.lock();
        state.link = None;
        state.session.handle_closed(None);
        state.session.drain_events();
        self.inbox.forget_connection();
        self.acks.stop_watching();
        let now = Instant::now();
        let epoch = match state.session.connect(options, now) {
            Ok(epoch) => epoch,
            Err(error) => {
                drop(state);
                self.io_waker.wake();
                return Err(error.into());
            }
        };
        if let Some(packet) = packet {
            state.session.replace_connect(packet);
        }
        let carried = relay.map(|relay| {
            relay.attach(self, epoch);
            Carried::default()
        });
        state.link = Some(Link {
            epoch,
            writer: Arc::clone(&writer),
            task_writes: true,
            room: StallWatch::new(0, now, STALLED),
            looks_again: None,
            acks_at: None,
            carried,
            #[cfg(unix)]
            descriptor,
        });
        drop(state);
        self.io_waker.wake();
        Ok(IoTask::new(Arc::clone(self), epoch, reader, writer))
    }
}

/// Why a connection did not start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
