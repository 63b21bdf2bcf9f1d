//! Patterns with `*`, and an index that finds the most specific one without trying them all.
//!
//! `*` stands for any text, also none; every other character stands for itself. The whole text must
//! match. Among the patterns that match, the one with the most literal characters wins, then the
//! one with fewer stars, then the first in alphabetical order: the answer depends on which
//! patterns exist and never on the order of the edits that made them.
//!
//! Source: the reference calls these wildcards; there the first declared one wins.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use memchr::memmem;
use smol_str::SmolStr;

use super::hamt::{Hamt, Keyed, hash_of};

/// Whether the whole of `text` matches `pattern`. Linear in the text for each literal piece.
pub(crate) fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    match rest.strip_suffix(last) {
        Some(shorter) => rest = shorter,
        None => return false,
    }
    pieces.all(|piece| match memmem::find(rest, piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

/// Order patterns so that the most specific comes first.
pub(crate) fn by_specificity(one: &str, other: &str) -> Ordering {
    let rank = |pattern: &str| {
        let stars = pattern.bytes().filter(|byte| *byte == b'*').count();
        (Reverse(pattern.len() - stars), stars)
    };
    rank(one).cmp(&rank(other)).then_with(|| one.cmp(other))
}

/// The lengths that some keys have, so that only prefixes of these lengths are looked up.
///
/// A removal leaves its length in the set: it costs a needless lookup, never a wrong answer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lengths(u64);

impl Lengths {
    /// Add a length. All from 63 on share one place.
    pub(crate) fn add(&mut self, length: usize) {
        self.0 |= 1 << length.min(63);
    }

    /// Both sets together.
    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The lengths up to `most`, longest first.
    pub(crate) fn down_from(self, most: usize) -> impl Iterator<Item = usize> {
        let most = most.min(super::path::MAX_SEGMENT_BYTES);
        (0..=most)
            .rev()
            .filter(move |length| self.0 & (1 << (*length).min(63)) != 0)
    }
}

/// Values stored under patterns, found by a text that matches.
///
/// Patterns are grouped by the text before their first star; a lookup tries the groups whose
/// prefix the text has, one hash lookup for each length of prefix in use.
#[derive(Clone)]
pub(crate) struct GlobIndex<V> {
    lengths: Lengths,
    groups: Hamt<Arc<Group<V>>>,
}

#[derive(Clone)]
struct Group<V> {
    prefix: SmolStr,
    /// Sorted by [`by_specificity`].
    members: Vec<V>,
}

impl<V> Keyed for Group<V> {
    fn key(&self) -> &str {
        &self.prefix
    }
}

impl<V> Default for GlobIndex<V> {
    fn default() -> Self {
        Self {
            lengths: Lengths::default(),
            groups: Hamt::default(),
        }
    }
}

impl<V: Keyed + Clone> GlobIndex<V> {
    /// Whether there is no pattern.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The value of the most specific pattern that matches `text`.
    pub(crate) fn best(&self, text: &str) -> Option<&V> {
        let mut best: Option<&V> = None;
        self.each_group(text, &mut |group| {
            let mut matching = group.members.iter();
            let matching =
                matching.find(|member| glob_matches(member.key().as_bytes(), text.as_bytes()));
            if let Some(found) = matching
                && best.is_none_or(|held| by_specificity(found.key(), held.key()).is_lt())
            {
                best = Some(found);
            }
        });
        best
    }

    /// Every value whose pattern matches `text`, in no particular order.
    pub(crate) fn each_match<'a>(&'a self, text: &str, visit: &mut dyn FnMut(&'a V)) {
        self.each_group(text, &mut |group| {
            let members = group.members.iter();
            members
                .filter(|member| glob_matches(member.key().as_bytes(), text.as_bytes()))
                .for_each(&mut *visit);
        });
    }

    fn each_group<'a>(&'a self, text: &str, visit: &mut dyn FnMut(&'a Group<V>)) {
        for length in self.lengths.down_from(text.len()) {
            if let Some(prefix) = text.get(..length)
                && let Some(group) = self.groups.get(hash_of(prefix), prefix)
            {
                visit(group);
            }
        }
    }

    /// Edit the value of `pattern`, made first where it is missing.
    pub(crate) fn edit(
        &mut self,
        pattern: &str,
        make: &mut dyn FnMut() -> V,
        edit: &mut dyn FnMut(&mut V),
    ) {
        let prefix = prefix_of(pattern);
        self.lengths.add(prefix.len());
        let new_group = &mut || {
            Arc::new(Group {
                prefix: prefix.into(),
                members: Vec::new(),
            })
        };
        self.groups.edit(prefix, new_group, &mut |group| {
            let members = &mut Arc::make_mut(group).members;
            let at = match find(members, pattern) {
                Ok(at) => at,
                Err(at) => {
                    members.insert(at, make());
                    at
                }
            };
            edit(&mut members[at]);
        });
    }

    /// Edit the value of `pattern` if there is one; it is removed when `edit` answers false.
    pub(crate) fn prune(&mut self, pattern: &str, edit: &mut dyn FnMut(&mut V) -> bool) {
        self.groups.prune(prefix_of(pattern), &mut |group| {
            let members = &mut Arc::make_mut(group).members;
            if let Ok(at) = find(members, pattern)
                && !edit(&mut members[at])
            {
                members.remove(at);
            }
            !members.is_empty()
        });
        if self.groups.is_empty() {
            self.lengths = Lengths::default();
        }
    }
}

fn find<V: Keyed>(members: &[V], pattern: &str) -> Result<usize, usize> {
    members.binary_search_by(|member| by_specificity(member.key(), pattern))
}

fn prefix_of(pattern: &str) -> &str {
    pattern.split('*').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Pattern(&'static str);

    impl Keyed for Pattern {
        fn key(&self) -> &str {
            self.0
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("*.foo.com", "a.b.foo.com", true),
            ("*.foo.com", "foo.com", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-c-b-c", true),
            ("a*b*c", "a-c-c", false),
            ("**", "x", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
            ("a.c", "abc", false),
        ] {
            let found = glob_matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(found, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_most_specific_pattern_wins_whatever_the_order() {
        let patterns = ["*", "a*", "a*z", "*bz", "abc*", "a*b*z"];
        for turn in 0..patterns.len() {
            let mut index = GlobIndex::default();
            for step in 0..patterns.len() {
                let pattern = patterns[(turn + step) % patterns.len()];
                index.edit(pattern, &mut || Pattern(pattern), &mut |_| {});
            }
            let best = |text| index.best(text).map(|found| found.0);
            assert_eq!(best("abcbz"), Some("abc*"));
            assert_eq!(best("axbz"), Some("a*b*z"));
            assert_eq!(best("abz"), Some("a*b*z"));
            assert_eq!(best("xbz"), Some("*bz"));
            assert_eq!(best("ay"), Some("a*"));
            assert_eq!(best(""), Some("*"));
            let mut all = 0;
            index.each_match("abcbz", &mut |_| all += 1);
            assert_eq!(all, 6);
            for pattern in patterns {
                index.prune(pattern, &mut |_| false);
            }
            assert!(index.is_empty());
        }
    }
}
