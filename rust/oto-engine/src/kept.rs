//! Bodies of requests that were passed on, kept until an answer begins.
//!
//! A backend that leaves says of which streams it saw nothing; their requests go elsewhere. By then (part of) the body
//! may be on its way, and a client sends it once. So what goes to a stream is kept as well, up to a bound for
//! each exchange and one for all of them; a body beyond either is not kept, and its request is not sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes kept of one body, at most.
pub(crate) const MOST: usize = 64 * 1024;
/// Bytes kept of all bodies of an engine, at most.
pub(crate) const MOST_OF_ALL: usize = 16 * 1024 * 1024;

/// How many bytes are kept in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<AtomicUsize>);

/// What is kept of one request's body.
#[derive(Debug, Default)]
pub(crate) enum Kept {
    /// Nothing was passed on yet.
    #[default]
    Nothing,
    /// All that was passed on.
    All(Body),
    /// Some of what was passed on is gone.
    Lost,
}

/// Bytes that count for as long as they are there.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    shelf: Shelf,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.shelf.0.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Shelf {
    /// Take up space, if there is enough.
    fn takes(&self, count: usize) -> bool {
        // Nobody else changes it meanwhile: an engine is turned by one thread.
        let is_room = self.0.load(Ordering::Relaxed) + count <= MOST_OF_ALL;
        if is_room {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
        is_room
    }
}

impl Kept {
    /// Keep what is passed on, behind what was passed on before.
    pub(crate) fn keep(&mut self, data: &[u8], shelf: &Shelf) {
        let before = self.bytes().len();
        if matches!(self, Self::Lost) || before + data.len() > MOST || !shelf.takes(data.len()) {
            self.lose();
            return;
        }
        match self {
            Self::All(body) => body.bytes.extend_from_slice(data),
            _ => {
                *self = Self::All(Body {
                    bytes: data.to_vec(),
                    shelf: shelf.clone(),
                });
            }
        }
    }

    /// It is needed no more, or cannot be had.
    pub(crate) fn lose(&mut self) {
        *self = Self::Lost;
    }

    /// All that was passed on; empty when that is not known.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::All(body) => &body.bytes,
            Self::Nothing | Self::Lost => &[],
        }
    }

    /// Whether all that was passed on is here.
    pub(crate) fn is_all(&self) -> bool {
        !matches!(self, Self::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_kept_of_a_body() {
        let shelf = Shelf::default();
        let mut kept = Kept::default();
        assert!(kept.is_all() && kept.bytes().is_empty());
        kept.keep(b"abc", &shelf);
        kept.keep(&vec![b'd'; MOST - 3], &shelf);
        assert!(kept.is_all() && kept.bytes().starts_with(b"abcd"));
        assert_eq!(kept.bytes().len(), MOST);
        kept.keep(b"e", &shelf);
        assert!(!kept.is_all() && kept.bytes().is_empty());
        assert_eq!(
            shelf.0.load(Ordering::Relaxed),
            0,
            "what is lost takes no space"
        );
        kept.keep(b"f", &shelf);
        assert!(!kept.is_all(), "a part is no whole");
    }

    #[test]
    fn so_much_is_kept_of_all_bodies() {
        let shelf = Shelf::default();
        let mut all: Vec<Kept> = Vec::new();
        all.resize_with(MOST_OF_ALL / MOST + 1, Kept::default);
        for kept in &mut all {
            kept.keep(&vec![0; MOST], &shelf);
        }
        assert_eq!(
            all.iter().filter(|kept| kept.is_all()).count(),
            MOST_OF_ALL / MOST
        );
        drop(all.swap_remove(0));
        let mut another = Kept::default();
        another.keep(b"abc", &shelf);
        assert!(another.is_all());
        drop((all, another));
        assert_eq!(shelf.0.load(Ordering::Relaxed), 0);
    }
}
