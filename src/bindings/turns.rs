//! How loop threads wait: natively, so that few of them go for the interpreter at one time.

use pyo3::prelude::*;

#[cfg(unix)]
mod unix {
    use std::os::fd::BorrowedFd;
    use std::time::Duration;

    use pyo3::prelude::*;
    use rustix::event::{PollFd, PollFlags};

    use oxmqtt_engine as engine;

    /// The descriptors that are ready or have failed, within so many seconds; perhaps none before that.
    #[pyfunction]
    pub(super) fn wait_in_turn(
        py: Python<'_>,
        reading: Vec<i32>,
        writing: Vec<i32>,
        timeout: f64,
    ) -> PyResult<Vec<i32>> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        let wanted = [(&reading, PollFlags::IN), (&writing, PollFlags::OUT)];
        let mut descriptors = Vec::with_capacity(reading.len() + writing.len());
        for (numbers, flag) in wanted {
            for &number in numbers {
                if number < 0 {
                    continue;
                }
                // SAFETY: it is not -1, and nothing is done but ask the kernel about it, which
                // answers for one that is closed too.
                #[allow(unsafe_code)]
                let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
                descriptors.push(PollFd::from_borrowed_fd(descriptor, flag));
            }
        }
        let (attaching, outcome) = py.detach(|| engine::wait_in_turn(&mut descriptors, timeout));
        attaching.done();
        outcome?;
        let numbers = reading.iter().chain(&writing).copied().filter(|&number| number >= 0);
        let looked = numbers.zip(&descriptors);
        Ok(looked.filter(|(_, found)| !found.revents().is_empty()).map(|(n, _)| n).collect())
    }

    /// The thread runs no loop any more.
    #[pyfunction]
    pub(super) fn leave_turn(py: Python<'_>) {
        py.detach(engine::leave_turn);
    }
}

#[cfg(unix)]
pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(unix::wait_in_turn, m)?)?;
    m.add_function(wrap_pyfunction!(unix::leave_turn, m)?)
}

#[cfg(not(unix))]
pub(super) fn register(_: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
