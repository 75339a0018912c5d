//! The Python module `oxmqtt._native`: extract, call, convert, raise. No protocol decision.

mod application_message;
mod broker;
mod callbacks;
mod client;
mod codes;
mod consumer;
mod convert;
mod described;
mod descriptor;
mod dispatch;
mod engine;
mod errors;
mod exit;
mod handlers;
mod handshake;
mod inspect;
mod mailbox;
mod message;
mod message_info;
mod pending;
mod publishing;
mod python;
mod settings;
mod shared;
mod tables;
mod topic_cache;
mod turns;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    dispatch::monotonic(m.py())?;
    m.add("DEBUG_BUILD", cfg!(debug_assertions))?;
    m.add_class::<broker::BrokerServer>()?;
    m.add_class::<broker::Cancellation>()?;
    m.add_function(wrap_pyfunction!(python::prepare, m)?)?;
    m.add_class::<client::ClientBase>()?;
    m.add_class::<engine::Engine>()?;
    m.add_class::<message::MQTTMessage>()?;
    m.add_class::<message_info::MQTTMessageInfo>()?;
    m.add_class::<mailbox::Mailbox>()?;
    m.add_class::<consumer::Consumer>()?;
    m.add_class::<application_message::Message>()?;
    m.add_class::<handshake::HandshakeLayers>()?;
    m.add_class::<handshake::Relay>()?;
    m.add_class::<handshake::RustlsConfig>()?;
    m.add_function(wrap_pyfunction!(described::described, m)?)?;
    m.add_function(wrap_pyfunction!(handshake::handshake, m)?)?;
    m.add_function(wrap_pyfunction!(engine::flush_all, m)?)?;
    m.add_function(wrap_pyfunction!(engine::begin_exit, m)?)?;
    m.add_function(wrap_pyfunction!(engine::before_fork, m)?)?;
    m.add_function(wrap_pyfunction!(engine::after_fork_in_parent, m)?)?;
    m.add_function(wrap_pyfunction!(engine::after_fork_in_child, m)?)?;
    turns::register(m)?;
    tables::register(m)
}
