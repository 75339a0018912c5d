//! Runs a [`Broker`] on sockets: a thread and a runtime of its own, one task per
//! connection. It binds what it is told to, and the caller is expected to say loopback.

mod certificates;
mod layers;
mod link;
mod shared;
mod websocket;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

pub use certificates::{Authority, Clients, Identity, TlsError, TlsSettings};
pub use shared::Found;

use super::{Broker, Settings};
use layers::LayerSettings;
use shared::Shared;

/// Where to listen, and how.
#[derive(Debug, Default)]
pub struct ListenOptions {
    /// The host's address, and the port of plain TCP, or else of TLS; 0 takes a free one.
    pub address: Option<SocketAddr>,
    /// Listen for TLS too.
    pub tls: Option<TlsSettings>,
    /// Listen for nothing without TLS.
    pub tls_only: bool,
    /// Listen for WebSocket too, and where there is TLS for WebSocket in it.
    pub websockets: bool,
}

/// The ports that are listened on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    pub tcp: Option<u16>,
    pub tls: Option<u16>,
    pub websocket: Option<u16>,
    pub secure_websocket: Option<u16>,
}

/// A running broker. Dropping it ends its thread, without waiting for it.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    ports: Ports,
    running: Mutex<Option<Running>>,
    /// The listening sockets, to be shut down: a forked child may have copies.
    listeners: Vec<TcpListener>,
    process: u32,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<()>,
    /// Dropped, it ends the thread.
    end: oneshot::Sender<()>,
}

impl Server {
    /// Binds the listeners and starts the thread.
    ///
    /// # Errors
    /// An address is in use or not of this host, or the thread cannot be started.
    pub fn start(settings: Settings, options: ListenOptions) -> io::Result<Self> {
        let address = options.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let anywhere = SocketAddr::new(address.ip(), 0);
        let plain = (!options.tls_only).then_some(None);
        let secured = options.tls.map(|settings| Some(settings.0));
        let mut wanted = Vec::new();
        for websocket in [false, true] {
            if websocket && !options.websockets {
                break;
            }
            for tls in [&plain, &secured].into_iter().flatten().cloned() {
                wanted.push(LayerSettings { tls, websocket });
            }
        }
        let mut ports = Ports::default();
        let mut bound = Vec::new();
        let mut listeners = Vec::new();
        for layers in wanted {
            // The port that was asked for is the first one's.
            let address = if bound.is_empty() { address } else { anywhere };
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            match (layers.tls.is_some(), layers.websocket) {
                (false, false) => ports.tcp = Some(port),
                (true, false) => ports.tls = Some(port),
                (false, true) => ports.websocket = Some(port),
                (true, true) => ports.secure_websocket = Some(port),
            }
            listeners.push(listener.try_clone()?);
            bound.push((listener, layers));
        }
        let shared = Arc::new(Shared::new(Broker::new(settings)));
        let (end, ended) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("oxmqtt-broker".into()).spawn(move || {
            runtime.block_on(async {
                for (listener, layers) in bound {
                    tokio::spawn(link::accept(Arc::clone(&for_thread), listener, layers));
                }
                tokio::spawn(shared::keep_time(Arc::clone(&for_thread)));
                let _ = ended.await;
            });
            // Closes every socket.
            drop(runtime);
            for_thread.end();
        })?;
        let running = Mutex::new(Some(Running { thread, end }));
        Ok(Self { shared, ports, running, listeners, process: std::process::id() })
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Whether this is the process that started it: a forked child has no broker.
    pub fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    pub fn is_running(&self) -> bool {
        self.is_here() && !self.shared.has_ended()
    }

    /// Closes listeners and connections, and waits for the thread. Again, it does nothing.
    pub fn close(&self) {
        if !self.is_here() {
            return;
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { thread, end }) = running {
            self.stop_listening();
            drop(end);
            // The thread does not panic on its own account; if it did, it has ended too.
            let _ = thread.join();
        }
    }

    /// Does something with the broker, and has the connections look at what came of it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Broker, Instant) -> T) -> T {
        self.shared.with(change)
    }

    /// Waits until `check` finds something, the broker ends or `patience` is over. `cancelled` ends
    /// it too, when something changes.
    pub fn wait<T>(
        &self,
        patience: Duration,
        cancelled: &AtomicBool,
        check: impl FnMut(&mut Broker) -> Option<T>,
    ) -> Found<T> {
        self.shared.wait(Instant::now() + patience, || cancelled.load(Ordering::Relaxed), check)
    }

    fn stop_listening(&self) {
        for listener in &self.listeners {
            // It is on its way out.
            let _ = SockRef::from(listener).shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.is_here() {
            if running.is_some() {
                self.stop_listening();
            }
        } else {
            // The thread is the parent's.
            std::mem::forget(running);
        }
    }
}
