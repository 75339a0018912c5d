//! Descriptors on their way from Python to the engine and back.

#[cfg(unix)]
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use oxmqtt_engine::{Below, Socket, SocketFamily};

/// Makes a descriptor that Python detached ours.
#[cfg(unix)]
pub(super) fn adopt(descriptor: u64, unix: bool, below: Option<i32>) -> PyResult<Socket> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let descriptor =
        i32::try_from(descriptor).map_err(|_| PyValueError::new_err("descriptor out of range"))?;
    // SAFETY: `Client` detached the descriptor from its socket object; nobody else owns it.
    #[allow(unsafe_code)]
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let family = if unix { SocketFamily::Unix } else { SocketFamily::Tcp };
    Ok(Socket { family, socket: owned.into(), below: below.map(Below) })
}

#[cfg(windows)]
pub(super) fn adopt(descriptor: u64, _unix: bool, below: Option<i32>) -> PyResult<Socket> {
    use std::os::windows::io::{FromRawSocket, OwnedSocket};
    // SAFETY: `Client` detached the descriptor from its socket object; nobody else owns it.
    #[allow(unsafe_code)]
    let owned = unsafe { OwnedSocket::from_raw_socket(descriptor) };
    Ok(Socket { family: SocketFamily::Tcp, socket: owned.into(), below: below.map(Below) })
}

#[cfg(unix)]
pub(super) fn into_descriptor(socket: impl std::os::fd::IntoRawFd) -> u64 {
    socket.into_raw_fd() as u64
}

#[cfg(windows)]
pub(super) fn into_descriptor(socket: impl std::os::windows::io::IntoRawSocket) -> u64 {
    socket.into_raw_socket()
}
