//! Sets of domain names, with `*` for any text.

use std::collections::HashSet;

use crate::router::glob::glob_matches;

/// A set of domain names; letter case does not matter.
#[derive(Clone, Debug, Default)]
pub struct DomainSet {
    names: HashSet<Box<str>, foldhash::fast::RandomState>,
    patterns: Vec<Box<str>>,
}

impl DomainSet {
    /// Read a list; an entry with `*` is a pattern.
    #[must_use]
    pub fn new(entries: &[String]) -> Self {
        let mut set = Self::default();
        for entry in entries {
            let entry = entry.trim().to_ascii_lowercase();
            if entry.contains('*') {
                set.patterns.push(entry.into());
            } else if !entry.is_empty() {
                set.names.insert(entry.into());
            }
        }
        set
    }

    /// Whether a domain in lower case is in the set.
    #[must_use]
    pub fn contains(&self, domain: &str) -> bool {
        self.names.contains(domain)
            || self
                .patterns
                .iter()
                .any(|pattern| glob_matches(pattern.as_bytes(), domain.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_match_in_any_case() {
        let set = DomainSet::new(&["API.test".into(), "*.b.test".into(), " ".into()]);
        for (domain, inside) in [
            ("api.test", true),
            ("x.b.test", true),
            ("b.test", false),
            ("", false),
        ] {
            assert_eq!(set.contains(domain), inside, "{domain}");
        }
    }
}
