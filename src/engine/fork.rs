//! What happens around `fork()`: the I/O thread stands still during it, the child starts anew.
//!
//! Only the forking thread lives on in the child. So the I/O thread must hold no lock at that
//! moment, and nothing of its runtime may be touched or dropped in the child: the descriptors it
//! registered are the parent's.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::core::Link;
use super::gate;
use super::runtime::process;

/// Forks that are under way, and what lets the I/O thread go on.
///
/// The interpreter lets a second thread fork between the first one's hooks and its fork. The I/O thread
/// stands still until the last of them is through.
#[derive(Default)]
struct Pause {
    forks: usize,
    /// Dropping the sender lets the I/O thread go on.
    resume: Option<Sender<()>>,
}

static PAUSE: Mutex<Pause> = Mutex::new(Pause { forks: 0, resume: None });

/// The I/O thread answers at once unless it is gone with an earlier fork.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(1);

/// None when it cannot be had in time: a fork in another thread's hook has copied it as it was.
fn pause() -> Option<MutexGuard<'static, Pause>> {
    let deadline = Instant::now() + PAUSE_TIMEOUT;
    loop {
        match PAUSE.try_lock() {
            Ok(pause) => return Some(pause),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::yield_now(),
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

/// Before the fork: makes waiting threads let go and brings the I/O thread to a stop between two
/// tasks.
pub fn before() {
    let Some(mut pause) = pause() else { return };
    pause.forks += 1;
    if pause.resume.is_some() {
        return;
    }
    let (runtime, cores) = {
        let process = process();
        let Some(runtime) = process.runtime.clone() else {
            return;
        };
        (runtime, process.live_cores())
    };
    gate::close();
    for core in &cores {
        core.notify_progress();
    }
    #[cfg(unix)]
    super::turns::let_go();
    let deadline = Instant::now() + PAUSE_TIMEOUT;
    while gate::has_waiting() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let (paused, is_paused) = channel();
    let (resume, resumed): (Sender<()>, Receiver<()>) = channel();
    runtime.spawn(async move {
        let _ = paused.send(());
        let _ = resumed.recv();
    });
    if is_paused.recv_timeout(PAUSE_TIMEOUT).is_ok() {
        pause.resume = Some(resume);
    }
}

/// After the fork, in the parent: the I/O thread goes on, unless another fork is under way.
pub fn after_in_parent() {
    let Some(mut pause) = pause() else { return };
    pause.forks = pause.forks.saturating_sub(1);
    if pause.forks == 0 {
        gate::open();
        pause.resume = None;
    }
}

/// After the fork, in the child: forgets the parent's runtime and connections.
pub fn after_in_child() {
    gate::start_anew();
    if let Some(mut pause) = pause() {
        pause.forks = 0;
        std::mem::forget(pause.resume.take());
    }
    #[cfg(unix)]
    super::turns::start_anew();
    let mut process = process();
    std::mem::forget(process.runtime.take());
    let cores = process.live_cores();
    drop(process);
    for core in cores {
        core.reset_after_fork();
    }
}

impl Link {
    /// Closes the child's copy of the descriptor. The runtime's registration is shared with the
    /// parent, so nothing of it is dropped.
    pub(super) fn leave_to_parent(self) {
        #[cfg(unix)]
        {
            use std::os::fd::{FromRawFd, OwnedFd};
            // SAFETY: the descriptor is this process's own copy; the only other owner is the
            // stream behind `writer` and the task's reader, both of which are never dropped here.
            #[allow(unsafe_code)]
            drop(unsafe { OwnedFd::from_raw_fd(self.descriptor) });
        }
        std::mem::forget(self.writer);
    }
}
