//! The thin Python binding: the module `oto_trio._core`.
use pyo3::prelude::*;

/// The Rust engine of oto-trio.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
