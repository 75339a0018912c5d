//! The process's runtime: one I/O thread, started by the first connection.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use super::coalesce;
use super::core::Core;

/// The process-wide state; a forked child starts with an empty one.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) runtime: Option<Handle>,
    /// Every core that ever had a connection and still lives.
    pub(super) cores: Vec<Weak<Core>>,
}

static PROCESS: Mutex<Process> = Mutex::new(Process { runtime: None, cores: Vec::new() });

pub(super) fn process() -> MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// The runtime, started on its own thread if there is none.
    pub(super) fn handle(&mut self) -> io::Result<Handle> {
        if let Some(handle) = &self.runtime {
            return Ok(handle.clone());
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_park(coalesce::before_park)
            .build()?;
        let handle = runtime.handle().clone();
        // The thread lives as long as the process; it owns the runtime, which is never dropped.
        std::thread::Builder::new()
            .name("oxmqtt-io".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        self.runtime = Some(handle.clone());
        Ok(handle)
    }

    /// Notes a core, once.
    pub(super) fn register(&mut self, core: &Arc<Core>) {
        if !core.begin_registration() {
            return;
        }
        if self.cores.len() == self.cores.capacity() {
            self.cores.retain(|core| core.strong_count() > 0);
        }
        self.cores.push(Arc::downgrade(core));
    }

    pub(super) fn live_cores(&self) -> Vec<Arc<Core>> {
        self.cores.iter().filter_map(Weak::upgrade).collect()
    }
}

pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    process().handle()?.spawn(task);
    Ok(())
}

/// Messages that clients had accepted which are gone, and that were not handed over in time.
static LOST: AtomicUsize = AtomicUsize::new(0);

pub(super) fn count_lost(messages: usize) {
    LOST.fetch_add(messages, Ordering::Relaxed);
}

/// Waits until every connection has handed over what it accepted, at most for `timeout`; how many
/// messages were lost, also before. For process exit: nothing is disconnected, so wills fire.
pub fn flush_all(timeout: Duration) -> usize {
    let deadline = Instant::now() + timeout;
    let cores = process().live_cores();
    let left: usize = cores.iter().map(|core| core.wait_until_handed_over(deadline)).sum();
    left + LOST.swap(0, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxmqtt_protocol::session::SessionConfig;

    #[test]
    fn a_core_is_registered_once_and_forgotten_when_it_is_gone() {
        let mut process = Process::default();
        let core = Core::new(SessionConfig::default());
        for _ in 0..1000 {
            process.register(&core);
            process.register(&Core::new(SessionConfig::default()));
        }
        assert_eq!(process.live_cores().len(), 1);
        assert!(process.cores.len() < 10, "{} entries", process.cores.len());
    }
}
