//! Which tree a request's domain leads to.
//!
//! A domain declared as it stands comes first, then the most specific pattern that matches (most
//! literal characters, then fewest stars, then alphabetical). Exactly one tree is searched.
//!
//! Patterns are indexed by what their text after the last star holds from its first dot on
//! (`.example.com` for `*.example.com` and `foo-*.example.com`, nothing for `api.*`), so that a
//! lookup costs one hash lookup a label of the domain, not one trial a pattern.

use std::sync::Arc;

use smol_str::SmolStr;

use super::RouteEntry;
use super::glob::{GlobIndex, by_specificity};
use super::hamt::{Hamt, Keyed, hash_of};
use super::path::Place;
use super::trie::{Candidate, Node};

/// Trees by domain.
pub(crate) struct Domains<T> {
    exact: Hamt<Arc<Node<T>>>,
    patterns: Hamt<Arc<Bucket<T>>>,
}

/// The patterns with one ending.
struct Bucket<T> {
    ending: SmolStr,
    trees: GlobIndex<Arc<Node<T>>>,
}

impl<T> Domains<T> {
    /// The trees of the domains that are declared as they stand.
    pub(crate) fn exact(&self) -> &Hamt<Arc<Node<T>>> {
        &self.exact
    }

    /// The tree for a domain.
    #[inline]
    pub(crate) fn find(&self, domain: &str) -> Option<&Node<T>> {
        match self.exact.get(hash_of(domain), domain) {
            Some(tree) => Some(tree),
            None if self.patterns.is_empty() => None,
            None => self.find_pattern(domain),
        }
    }

    fn find_pattern(&self, domain: &str) -> Option<&Node<T>> {
        let mut best: Option<&Node<T>> = None;
        self.each_bucket(domain, &mut |bucket| {
            if let Some(tree) = bucket.trees.best(domain)
                && best.is_none_or(|held| by_specificity(tree.key(), held.key()).is_lt())
            {
                best = Some(tree);
            }
        });
        best
    }

    /// All trees whose domain or pattern matches, most specific first.
    pub(crate) fn find_all(&self, domain: &str) -> Vec<&Node<T>> {
        let mut trees: Vec<&Node<T>> = Vec::new();
        self.each_bucket(domain, &mut |bucket| {
            bucket
                .trees
                .each_match(domain, &mut |tree| trees.push(tree));
        });
        trees.sort_by(|one, other| by_specificity(one.key(), other.key()));
        if let Some(tree) = self.exact.get(hash_of(domain), domain) {
            trees.insert(0, tree);
        }
        trees
    }

    fn each_bucket<'a>(&'a self, domain: &str, visit: &mut dyn FnMut(&'a Bucket<T>)) {
        let dots = memchr::memchr_iter(b'.', domain.as_bytes());
        for start in dots.chain([domain.len()]) {
            let ending = &domain[start..];
            if let Some(bucket) = self.patterns.get(hash_of(ending), ending) {
                visit(bucket);
            }
        }
    }

    /// Whether no domain is declared.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Put a route under each of its declared paths.
    pub(crate) fn insert(&mut self, route: &Arc<RouteEntry<T>>) {
        for (place, declared) in (0u16..).zip(&route.frontend.paths) {
            let candidate = Candidate::new(route, place, declared);
            let place = declared.place();
            let make = &mut || Arc::new(Node::new(place.host.clone()));
            let grow = &mut |tree: &mut Arc<Node<T>>| {
                Arc::make_mut(tree).insert(&place.segments, &candidate);
            };
            if !place.has_wildcard_host() {
                self.exact.edit(&place.host, make, grow);
                continue;
            }
            let ending = ending_of(&place.host);
            let new_bucket = &mut || {
                Arc::new(Bucket {
                    ending: ending.into(),
                    trees: GlobIndex::default(),
                })
            };
            self.patterns.edit(ending, new_bucket, &mut |bucket| {
                Arc::make_mut(bucket).trees.edit(&place.host, make, grow);
            });
        }
    }

    /// Take a route from all of its declared paths.
    pub(crate) fn remove(&mut self, route: &RouteEntry<T>) {
        for declared in &route.frontend.paths {
            self.remove_path(&declared.place(), route.seq);
        }
    }

    fn remove_path(&mut self, place: &Place, seq: u64) {
        let keep = &mut |tree: &mut Arc<Node<T>>| {
            let tree = Arc::make_mut(tree);
            tree.remove(&place.segments, seq);
            !tree.is_empty()
        };
        if !place.has_wildcard_host() {
            self.exact.prune(&place.host, keep);
            return;
        }
        self.patterns.prune(ending_of(&place.host), &mut |bucket| {
            let bucket = Arc::make_mut(bucket);
            bucket.trees.prune(&place.host, keep);
            !bucket.trees.is_empty()
        });
    }
}

/// From the first dot after the last star on; every domain that matches has this ending.
fn ending_of(pattern: &str) -> &str {
    let last = pattern.rsplit('*').next().unwrap_or_default();
    last.find('.').map_or("", |dot| &last[dot..])
}

impl<T> Keyed for Bucket<T> {
    fn key(&self) -> &str {
        &self.ending
    }
}

impl<T> Clone for Bucket<T> {
    fn clone(&self) -> Self {
        Self {
            ending: self.ending.clone(),
            trees: self.trees.clone(),
        }
    }
}

impl<T> Clone for Domains<T> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            patterns: self.patterns.clone(),
        }
    }
}

impl<T> Default for Domains<T> {
    fn default() -> Self {
        Self {
            exact: Hamt::default(),
            patterns: Hamt::default(),
        }
    }
}
