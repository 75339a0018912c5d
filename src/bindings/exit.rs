//! Keeps the end of the interpreter from unwinding a thread through our frames.
//!
//! Before CPython 3.14 a daemon thread that wants the interpreter lock back while the interpreter
//! goes down is ended by `pthread_exit()`. glibc unwinds the stack for that, frames of Rust cannot be
//! unwound so, and the process aborts. Any Python code that we call can end like this: a callback that
//! returns late, a property, a finaliser that a garbage collection runs. So each thread that comes by
//! registers a cleanup handler with its C library, once. `pthread_exit()` calls the handler before it
//! unwinds anything, and when the interpreter goes down the handler never returns: the thread hangs
//! until the process has ended, as all such threads do in CPython 3.14 and later.
//!
//! [`guard_thread`] stands at each way from Python into this module that can lead back into Python.
//! Elsewhere than on Linux `pthread_exit()` and its like do not unwind, and nothing is needed.

use std::sync::atomic::{AtomicBool, Ordering};

/// Python's exit has come as far as its `atexit` hooks.
static EXITING: AtomicBool = AtomicBool::new(false);

/// From now on threads hang instead of being unwound.
pub(super) fn begin() {
    EXITING.store(true, Ordering::SeqCst);
}

/// Makes sure that this thread hangs, instead of being unwound, when the interpreter goes down.
#[inline]
pub(super) fn guard_thread() {
    #[cfg(target_os = "linux")]
    if !linux::is_guarded() {
        linux::guard();
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux {
    use std::cell::Cell;
    use std::ffi::{CStr, c_char, c_void};
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::EXITING;

    /// `struct _pthread_cleanup_buffer` of glibc and `struct __ptcb` of musl have four words and three.
    type Buffer = [*mut c_void; 4];
    type Handler = unsafe extern "C" fn(*mut c_void);
    type Push = unsafe extern "C" fn(*mut Buffer, Handler, *mut c_void);
    type Pop = unsafe extern "C" fn(*mut Buffer, i32);

    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    thread_local! {
        static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
        /// Kept until the thread has ended.
        static GUARD: Guard = Guard::new();
    }

    #[inline]
    pub(super) fn is_guarded() -> bool {
        IS_GUARDED.get()
    }

    #[cold]
    pub(super) fn guard() {
        IS_GUARDED.set(true);
        let _ = GUARD.try_with(|_| ());
    }

    /// A cleanup handler of this thread that is never taken back while the thread lives.
    struct Guard {
        buffer: *mut Buffer,
    }

    impl Guard {
        fn new() -> Self {
            let Some((push, _)) = functions() else {
                return Self { buffer: ptr::null_mut() };
            };
            // On the heap: glibc runs a handler as soon as the unwinding has left the part of the stack
            // that its buffer lies on, and what does not lie on the stack counts as left from the start.
            let buffer = Box::into_raw(Box::new([ptr::null_mut(); 4]));
            // SAFETY: the buffer is as large as the larger of the two structs, and stays where it is
            // until `drop` has taken it off the thread's list.
            unsafe { push(buffer, hang, ptr::null_mut()) };
            Self { buffer }
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some((_, pop)) = functions()
                && !self.buffer.is_null()
            {
                // SAFETY: the thread is about to end; whatever was pushed later has been popped.
                unsafe {
                    pop(self.buffer, 0);
                    drop(Box::from_raw(self.buffer));
                }
            }
        }
    }

    /// The two functions that `pthread_cleanup_push()` and its counterpart stand for; both C libraries
    /// have them under these names, in whatever library and version.
    fn functions() -> Option<(Push, Pop)> {
        static FUNCTIONS: OnceLock<Option<(Push, Pop)>> = OnceLock::new();
        *FUNCTIONS.get_or_init(|| {
            let find = |name: &CStr| {
                // SAFETY: a null handle asks for the first symbol of the process with that name.
                let found = unsafe { dlsym(ptr::null_mut(), name.as_ptr()) };
                (!found.is_null()).then_some(found)
            };
            let push = find(c"_pthread_cleanup_push")?;
            let pop = find(c"_pthread_cleanup_pop")?;
            // SAFETY: these are their signatures in glibc and in musl.
            unsafe {
                Some((
                    std::mem::transmute::<*mut c_void, Push>(push),
                    std::mem::transmute::<*mut c_void, Pop>(pop),
                ))
            }
        })
    }

    /// Called by `pthread_exit()`, above all of the thread's frames.
    unsafe extern "C" fn hang(_: *mut c_void) {
        while EXITING.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}
