//! Asking memory for what will be needed soon.
//!
//! Among 100,000 API keys each request needs lines that nobody touched for seconds, and waiting for one
//! takes as long as a few hundred instructions. What is asked for here comes while other work is done.

use std::sync::Arc;

/// Below so many rows a table stays in the caches, and asking costs more than it brings.
pub(crate) const FEW: usize = 1_000;

/// Ask for the lines that a shared value lies in, its count of owners included.
#[inline]
pub(crate) fn fetch_shared<T: ?Sized>(value: &Arc<T>) {
    fetch_from(
        std::ptr::from_ref(&**value).cast(),
        2 * size_of::<usize>(),
        size_of_val(&**value),
    );
}

/// Ask for the lines that a value lies in. It changes nothing and never fails; on processors for which
/// there is no stable instruction it does nothing.
#[inline]
pub(crate) fn fetch<T: ?Sized>(value: &T) {
    fetch_from(std::ptr::from_ref(value).cast(), 0, size_of_val(value));
}

/// Ask for the lines from `before` bytes before an address to `size` bytes after it.
#[inline]
#[cfg(target_arch = "x86_64")]
fn fetch_from(address: *const i8, before: usize, size: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    const LINE: usize = 64;
    let start = address.wrapping_sub(before);
    let into_line = start.addr() % LINE;
    for at in (0..into_line + before + size).step_by(LINE) {
        // SAFETY: it is a hint: the program sees nothing of what lies there, whatever the address.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_sub(into_line).wrapping_add(at));
        }
    }
}

#[inline]
#[cfg(not(target_arch = "x86_64"))]
fn fetch_from(_: *const i8, _: usize, _: usize) {}
