//! Equal parts of many routes, kept once.
//!
//! A table of 100,000 routes mostly repeats itself: the same plan, the same timeouts, the same
//! handful of addresses. Kept once, they stay in the cache and a request for a rare route costs
//! what one for a common route does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use foldhash::fast::RandomState;

/// Values by the text they were made from; a value lives as long as somebody uses it.
#[derive(Debug)]
pub struct Interner<T: ?Sized> {
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T: ?Sized> {
    known: HashMap<Box<str>, Weak<T>, RandomState>,
    sweep_at: usize,
}

/// Entries before the first look for values that nobody uses any more.
const FIRST_SWEEP: usize = 1024;

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        let inner = Inner {
            known: HashMap::default(),
            sweep_at: FIRST_SWEEP,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }
}

impl<T: ?Sized> Interner<T> {
    /// The value made from this text: an earlier one, or what `make` makes now.
    ///
    /// # Errors
    /// What `make` says; nothing is kept then.
    pub fn get_or_try<E>(
        &self,
        text: &str,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = inner.known.get(text).and_then(Weak::upgrade) {
            return Ok(value);
        }
        let value = make()?;
        if inner.known.len() >= inner.sweep_at {
            inner.known.retain(|_, value| value.strong_count() > 0);
            inner.sweep_at = (inner.known.len() * 2).max(FIRST_SWEEP);
        }
        inner.known.insert(text.into(), Arc::downgrade(&value));
        Ok(value)
    }
}

impl Interner<str> {
    /// This text, once.
    pub fn text(&self, text: &str) -> Arc<str> {
        let made = self.get_or_try(text, || Ok::<_, std::convert::Infallible>(Arc::from(text)));
        match made {
            Ok(text) => text,
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_while_used() {
        let interner = Interner::<str>::default();
        let (first, second) = (interner.text("a:1"), interner.text("a:1"));
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        for number in 0..10 * FIRST_SWEEP {
            interner.text(&number.to_string());
        }
        let inner = interner.inner.lock().expect("unpoisoned");
        assert!(
            inner.known.len() <= FIRST_SWEEP + 1,
            "unused texts are swept"
        );
    }

    #[test]
    fn a_failure_is_not_kept() {
        let interner = Interner::<u8>::default();
        assert_eq!(interner.get_or_try("x", || Err(1)), Err(1));
        assert_eq!(
            interner
                .get_or_try("x", || Ok::<_, u8>(Arc::new(2)))
                .as_deref(),
            Ok(&2)
        );
    }
}
