//! What a client's Python objects share beside the engine: who runs callbacks, and a few flags.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use oxmqtt_engine::Core;
use oxmqtt_protocol::codec::Version;
use oxmqtt_protocol::session::SessionConfig;

/// What the client, its message infos and its callbacks share. Holds no Python object.
pub(super) struct Shared {
    pub(super) core: Arc<Core>,
    /// The thread that runs callbacks now; 0 for none.
    callback_thread: AtomicUsize,
    /// A loop function runs, so events are dispatched without the caller's doing.
    pub(super) looping: AtomicBool,
    /// A thread is in `reconnect()`.
    pub(super) dialling: AtomicBool,
    /// `loop_start()` has been called, and its thread has not ended.
    pub(super) threaded: AtomicBool,
    /// The program's own event loop drives the client: nothing may wait.
    pub(super) event_driven: AtomicBool,
    /// Threads are greenlets of one thread: whoever waits has to let the others run.
    pub(super) cooperative: AtomicBool,
    pub(super) trace: AtomicBool,
    pub(super) manual_ack: AtomicBool,
    /// What a callback returns is awaited if it can be.
    pub(super) awaits_callbacks: AtomicBool,
    /// A callback gave something to await: no other event is dispatched before that is over.
    pub(super) paused: AtomicBool,
    /// `on_publish` has a listener.
    pub(super) reports_published: AtomicBool,
    /// Behind the mark of the QoS 0 message that a callback published last; 0 for none.
    pub(super) published_in_callback: AtomicU64,
    /// `disconnect()` was called on the connection.
    pub(super) said_goodbye: AtomicBool,
    /// A callback's exception does not end the loop, so its message counts as handled.
    pub(super) survives_exceptions: AtomicBool,
    /// The program hands out the packet identifiers: `_mid_generate` is its own.
    pub(super) own_mids: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            core: Core::new(SessionConfig::default()),
            callback_thread: AtomicUsize::new(0),
            looping: AtomicBool::new(false),
            dialling: AtomicBool::new(false),
            threaded: AtomicBool::new(false),
            event_driven: AtomicBool::new(false),
            cooperative: AtomicBool::new(false),
            trace: AtomicBool::new(false),
            manual_ack: AtomicBool::new(false),
            awaits_callbacks: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            reports_published: AtomicBool::new(false),
            published_in_callback: AtomicU64::new(0),
            said_goodbye: AtomicBool::new(false),
            survives_exceptions: AtomicBool::new(false),
            own_mids: AtomicBool::new(false),
        }
    }
}

/// Tells this thread from all others that live.
fn thread_token() -> usize {
    thread_local!(static TOKEN: u8 = const { 0 });
    TOKEN.with(|token| std::ptr::from_ref(token) as usize)
}

impl Shared {
    pub(super) fn in_callback(&self) -> bool {
        self.callback_thread.load(Ordering::Relaxed) == thread_token()
    }

    /// Whether any thread runs callbacks now.
    pub(super) fn callback_runs(&self) -> bool {
        self.callback_thread.load(Ordering::Relaxed) != 0
    }

    /// Whether somebody else runs the callbacks that a waiter may want to see the end of.
    pub(super) fn callbacks_follow(&self) -> bool {
        self.looping.load(Ordering::Relaxed) && !self.in_callback()
    }

    pub(super) fn version(&self) -> Version {
        self.core.with_session(|session| session.config().version)
    }

    /// Whether nothing but the caller's own next loop call would run callbacks.
    pub(super) fn is_without_loop(&self) -> bool {
        !self.looping.load(Ordering::Relaxed) && self.may_wait()
    }

    /// Whether what waits for a connection waits in vain: nobody makes one, or is about to.
    pub(super) fn is_forsaken(&self) -> bool {
        let makers = [&self.looping, &self.threaded, &self.dialling, &self.event_driven];
        !makers.iter().any(|maker| maker.load(Ordering::SeqCst)) && !self.core.is_linked()
    }

    pub(super) fn may_wait(&self) -> bool {
        let driven = self.event_driven.load(Ordering::Relaxed);
        !driven && !self.cooperative.load(Ordering::Relaxed) && !self.in_callback()
    }

    /// Makes this thread the one that runs callbacks, unless there is one.
    pub(super) fn enter_callbacks(&self) -> Option<CallbackGuard<'_>> {
        self.callback_thread
            .compare_exchange(0, thread_token(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            .then_some(CallbackGuard(self))
    }
}

pub(super) struct CallbackGuard<'a>(&'a Shared);

impl Drop for CallbackGuard<'_> {
    fn drop(&mut self) {
        self.0.callback_thread.store(0, Ordering::Release);
    }
}
