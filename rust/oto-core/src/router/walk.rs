//! How a request goes down the tree of a domain.
//!
//! Theory of operation. A request walks down a segment at a time, always to the most specific kind
//! of child: the segment itself, else `:name` and those `$name<regex>` that match (together: they
//! bind the same segment), else the most specific pattern with a star. The choice is never taken
//! back; the deepest node on the way that has routes answers, so shorter paths are prefixes. Where
//! no child fits, a last literal segment may still match the start of a longer one (`/api/999`
//! takes `/api/999-foo`).
//!
//! Because named and regex children are walked together, a place in the tree is a small set of
//! nodes: nearly always one, and then nothing is allocated.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::glob::{Lengths, by_specificity};
use super::hamt::hash_of;
use super::trie::{Candidate, Node};

/// Nodes that a request stands on together.
pub(crate) type Nodes<'a, T> = SmallVec<[&'a Node<T>; 2]>;

/// Their routes, each list in order.
pub(crate) type Lists<'a, T> = SmallVec<[&'a [Candidate<T>]; 2]>;

/// Where a request's path ends in the tree.
pub(crate) struct Found<'a, T> {
    pub(crate) nodes: Nodes<'a, T>,
    /// Bytes of the request's path that the way here took.
    pub(crate) matched_len: usize,
    /// The way took every segment.
    pub(crate) no_more_segments: bool,
    /// The last segment was matched at its start only.
    pub(crate) inside_segment: bool,
}

/// Walk `path` down from `root` to the deepest place that has routes.
///
/// Cost: one hash lookup a segment and node stood on; nothing is allocated unless more than two
/// nodes are stood on together.
pub(crate) fn search<'a, T>(root: &'a Node<T>, path: &str) -> Option<Found<'a, T>> {
    let mut here: Nodes<'a, T> = SmallVec::from_slice(&[root]);
    let mut deepest: Option<Found<'a, T>> = None;
    let mut matched_len = 0;
    for (start, segment) in segments(path) {
        if has_routes(&here) {
            deepest = Some(found(here.clone(), matched_len));
        }
        let next = step(&here, segment);
        if next.is_empty() {
            let inside = (!path.ends_with('/')).then(|| start_of_segment(&here, start, segment));
            return inside.flatten().or(deepest);
        }
        here = next;
        matched_len = start + segment.len();
    }
    if !has_routes(&here) {
        return deepest;
    }
    let mut whole = found(here, matched_len);
    whole.no_more_segments = true;
    Some(whole)
}

/// The segments of a canonical path and where each starts.
#[inline]
pub(crate) fn segments(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let rest = path.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
        let start = at;
        at += length + 1;
        Some((start, &rest[..length]))
    })
}

fn found<T>(nodes: Nodes<'_, T>, matched_len: usize) -> Found<'_, T> {
    Found {
        nodes,
        matched_len,
        no_more_segments: false,
        inside_segment: false,
    }
}

fn has_routes<T>(nodes: &[&Node<T>]) -> bool {
    nodes.iter().any(|node| !node.routes().is_empty())
}

#[inline]
fn step<'a, T>(here: &[&'a Node<T>], segment: &str) -> Nodes<'a, T> {
    let hash = hash_of(segment);
    let mut next: Nodes<'a, T> = here
        .iter()
        .filter_map(|node| node.literal(hash, segment))
        .collect();
    if next.is_empty() {
        step_aside(here, segment, &mut next);
    }
    next
}

/// The children of the less specific kinds.
fn step_aside<'a, T>(here: &[&'a Node<T>], segment: &str, next: &mut Nodes<'a, T>) {
    let others = || here.iter().filter_map(|node| node.others());
    others().for_each(|others| others.each_param(segment, &mut |child| next.push(child)));
    if !next.is_empty() {
        return;
    }
    for child in others().filter_map(|others| others.best_glob(segment)) {
        match next
            .first()
            .map(|held| by_specificity(child.label(), held.label()))
        {
            Some(Ordering::Greater) => continue,
            Some(Ordering::Less) => next.clear(),
            _ => {}
        }
        next.push(child);
    }
}

/// The longest literal child that is a true prefix of `segment` and may match inside it.
fn start_of_segment<'a, T>(
    here: &[&'a Node<T>],
    start: usize,
    segment: &str,
) -> Option<Found<'a, T>> {
    let lengths = here
        .iter()
        .fold(Lengths::default(), |all, node| all.union(node.lengths()));
    for length in lengths.down_from(segment.len().saturating_sub(1)) {
        let mut nodes = Nodes::new();
        let children = here.iter().filter_map(|node| node.prefix(segment, length));
        nodes.extend(children.filter(|child| {
            let mut routes = child.routes().iter();
            routes.any(|route| !route.whole_segments)
        }));
        if !nodes.is_empty() {
            let mut inside = found(nodes, start + length);
            inside.inside_segment = true;
            return Some(inside);
        }
    }
    None
}

/// Visit every child that one segment can lead to, whatever its kind.
pub(crate) fn each_child<'a, T>(
    node: &'a Node<T>,
    segment: &str,
    visit: &mut dyn FnMut(&'a Node<T>),
) {
    if let Some(child) = node.literal(hash_of(segment), segment) {
        visit(child);
    }
    if let Some(others) = node.others() {
        others.each_param(segment, visit);
        others.each_glob(segment, visit);
    }
}

/// Visit the literal children that are a true prefix of `segment`, longest first.
pub(crate) fn each_prefix_child<'a, T>(
    node: &'a Node<T>,
    segment: &str,
    visit: &mut dyn FnMut(&'a Node<T>),
) {
    let lengths = node.lengths().down_from(segment.len().saturating_sub(1));
    lengths
        .filter_map(|length| node.prefix(segment, length))
        .for_each(visit);
}
