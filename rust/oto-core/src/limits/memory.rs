//! The memory of a table: words that many processes read and write, as atomics and nothing else.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicU64;

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{MmapOptions, MmapRaw};

#[cfg(target_os = "linux")]
const LARGE_PAGE: usize = 2 << 20;

/// A mapping seen as atomic words, all 0 when it is new.
pub(super) struct Words {
    map: MmapRaw,
    len: usize,
}

impl fmt::Debug for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Words {{ len: {} }}", self.len)
    }
}

impl Words {
    /// Private memory.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len * 8).map_anon()?.into();
        Ok(Self::of(map, len))
    }

    /// The start of a file, shared with every process that maps it. The file must be that long and
    /// must never be cut shorter: whoever makes it seals it (`F_SEAL_SHRINK`) or unlinks it.
    pub(super) fn shared(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len * 8).map_raw(file.as_raw_fd())?;
        Ok(Self::of(map, len))
    }

    fn of(map: MmapRaw, len: usize) -> Self {
        // Counters are touched at random: with large pages the way to one is always at hand. A system
        // that has none to give goes on with small ones.
        #[cfg(target_os = "linux")]
        if len * 8 >= LARGE_PAGE {
            map.advise(Advice::HugePage).unwrap_or(());
        }
        Self { map, len }
    }

    /// All words.
    pub(super) fn all(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is `len * 8` bytes long, starts at a page boundary (so it is aligned for
        // u64), and lives as long as `self`, which the slice borrows. Any bytes are a valid
        // `AtomicU64`. Nobody makes another kind of reference to these bytes: `map` is private, this
        // is its only reader, and the other processes run this same code. Writes by other processes
        // are atomic stores to the same words, which is what `AtomicU64` allows.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.len)
        }
    }
}
