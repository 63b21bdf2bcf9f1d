//! A list that mostly has one member, which then lies in the list itself.
//!
//! A table of 100,000 routes holds such lists by the hundred thousand: paths, targets, the routes of a
//! place. A member of its own on the heap would cost each another line of memory and 16 octets more.

use std::ops::Deref;

/// A list of one member, or of any other number of them.
#[derive(Clone, Debug)]
pub enum OneOrMany<T> {
    /// The one member.
    One(T),
    /// All members, or none.
    Many(Box<[T]>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }
}

impl<T> From<Vec<T>> for OneOrMany<T> {
    fn from(all: Vec<T>) -> Self {
        match <[T; 1]>::try_from(all) {
            Ok([only]) => Self::One(only),
            Err(all) => Self::Many(all.into()),
        }
    }
}

impl<'a, T> IntoIterator for &'a OneOrMany<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_list_it_was_made_from() {
        for length in 0..4usize {
            let made = OneOrMany::from((0..length).collect::<Vec<_>>());
            assert!(made.iter().copied().eq(0..length));
            assert!((&made).into_iter().copied().eq(0..length));
            assert_eq!(matches!(made, OneOrMany::One(_)), length == 1);
        }
        assert!(OneOrMany::<u8>::default().is_empty());
    }
}
