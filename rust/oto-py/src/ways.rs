//! Listeners as Python says them: their sockets, and what clients may speak on them.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use oto_core::tls::ClientAuth;
use oto_engine::Ways;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

pub(crate) fn ways(
    secured: bool,
    client_auth: &str,
    http2: bool,
    http1: bool,
    exclusive: bool,
) -> PyResult<Ways> {
    Ok(Ways {
        secured,
        client_auth: asked(client_auth)?,
        http1,
        http2,
        exclusive,
    })
}

/// What is asked of clients that speak TLS; none follows the settings of the snapshot.
pub(crate) fn asked(client_auth: &str) -> PyResult<Option<ClientAuth>> {
    Ok(match client_auth {
        "Dynamic" => None,
        "None" => Some(ClientAuth::None),
        "Want" => Some(ClientAuth::Want),
        "Need" => Some(ClientAuth::Need),
        other => {
            return Err(PyValueError::new_err(format!(
                "client_auth: {other:?} is none of None, Want, Need, Dynamic"
            )));
        }
    })
}

/// What is asked of clients, by its name; nothing where there are none.
pub(crate) fn auth_name(auth: Option<ClientAuth>) -> &'static str {
    match auth {
        Some(ClientAuth::Want) => "Want",
        Some(ClientAuth::Need) => "Need",
        Some(ClientAuth::None) | None => "None",
    }
}

pub(crate) fn duplicate(fd: RawFd) -> std::io::Result<OwnedFd> {
    // SAFETY: the descriptor is only borrowed for the duplication, while the caller, who has it
    // open, waits; a wrong number makes the duplication fail with EBADF.
    #[allow(unsafe_code)]
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}
