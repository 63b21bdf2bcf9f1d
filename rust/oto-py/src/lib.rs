//! The thin Python binding: the module `oto_trio._core`.
//!
//! Classes are frozen with their state behind a mutex; one crossing answers one question. The core
//! never calls Python and keeps no Python object but the opaque attachment of an exchange.

mod api_key;
mod client_certificate;
mod decision;
mod dial;
mod engine;
mod events;
mod exchange;
mod fields;
mod frames;
mod jose;
mod json;
mod limits;
mod message;
mod pattern;
mod quic;
mod record;
mod redaction;
mod router;
mod signature;
mod snapshot;
mod template;
mod ways;

use pyo3::prelude::*;

/// The Rust engine of oto-trio.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A standard error that nobody reads must not stop the thread that panicked.
        if oto_engine::has_room(std::io::stderr()) {
            usual(panic);
        }
    }));
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<snapshot::Snapshot>()?;
    module.add_class::<router::Router>()?;
    module.add_class::<limits::Limits>()?;
    module.add_class::<limits::Usage>()?;
    module.add_class::<limits::ExchangeLimits>()?;
    module.add_class::<limits::TokenBucket>()?;
    module.add_class::<exchange::Exchange>()?;
    module.add_class::<api_key::ApiKey>()?;
    module.add_class::<fields::FieldBlock>()?;
    module.add_class::<fields::HpackEncoder>()?;
    module.add_class::<fields::HpackDecoder>()?;
    module.add_class::<frames::FrameReader>()?;
    module.add_class::<frames::FrameWriter>()?;
    module.add_class::<quic::QuicKeys>()?;
    module.add_class::<client_certificate::ClientCertificate>()?;
    module.add_class::<message::Request>()?;
    module.add_class::<message::ResponseHead>()?;
    module.add_class::<message::Headers>()?;
    module.add_class::<pattern::Pattern>()?;
    module.add_class::<redaction::Redaction>()?;
    module.add_class::<signature::HmacVerifier>()?;
    module.add_class::<signature::TokenKeys>()?;
    module.add_class::<signature::MessageVerifier>()?;
    module.add_class::<signature::MessageSigner>()?;
    module.add_class::<template::Template>()?;
    module.add_class::<jose::JwtVerifier>()?;
    module.add_class::<jose::JwtSigner>()?;
    module.add_function(wrap_pyfunction!(record::access_lines, module)?)?;
    module.add_function(wrap_pyfunction!(quic::read_data_frames, module)?)?;
    module.add_function(wrap_pyfunction!(quic::asked_name, module)?)?;
    let py = module.py();
    module.add("ExchangeGone", py.get_type::<exchange::ExchangeGone>())?;
    module.add("JwtRefused", py.get_type::<jose::JwtRefused>())?;
    module.add("HeadRefused", py.get_type::<exchange::HeadRefused>())?;
    Ok(())
}

/// Lock a mutex; a panic while it was held must not make every later call panic too.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
