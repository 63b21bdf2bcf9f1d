//! The tree of path segments below one domain.
//!
//! A node is reached by one segment, and holds the routes declared there and the ways on: literal
//! segments in a hash map, and apart from them those that stand for more than one segment. How a
//! request goes down is told in [`super::walk`].
//!
//! Parameter names are no part of the tree: `/:id/a` and `/:key/b` share one child, and the names
//! come from the declaration that wins.
//!
//! Nodes are shared between clones; an edit copies those on its own path.

use std::sync::Arc;

use smol_str::SmolStr;

use super::RouteEntry;
use super::glob::{GlobIndex, Lengths};
use super::hamt::{Hamt, Keyed, Search, hash_of};
use super::java_regex::JavaRegex;
use super::path::{DeclaredPath, Segment};
use crate::one_or_many::OneOrMany;

/// A node: what is declared at one place, and what is declared below it.
pub(crate) struct Node<T> {
    /// The segment, pattern or domain that leads here.
    label: SmolStr,
    routes: Candidates<T>,
    /// Apart, for most places of a large table are the last on their way.
    below: Option<Box<Below<T>>>,
}

/// The ways on from a node.
pub(crate) struct Below<T> {
    literals: Hamt<Arc<Node<T>>>,
    lengths: Lengths,
    others: Option<Box<Others<T>>>,
}

/// Children that stand for more than one segment.
pub(crate) struct Others<T> {
    named: Option<Arc<Node<T>>>,
    regexes: Vec<(Arc<JavaRegex>, Arc<Node<T>>)>,
    globs: GlobIndex<Arc<Node<T>>>,
}

/// A route at a node.
pub(crate) struct Candidate<T> {
    pub(crate) route: Arc<RouteEntry<T>>,
    /// Which of the route's declared paths leads here.
    pub(crate) path: u16,
    /// That path does not match inside a segment.
    pub(crate) whole_segments: bool,
    /// That path binds names.
    pub(crate) has_params: bool,
    /// The route asks for nothing but domain and path. Kept here, so that such a route (most are)
    /// is chosen without touching its memory.
    pub(crate) is_unconditional: bool,
    rank: u16,
    seq: u64,
}

/// The routes of a node, most matchers first, then oldest first.
struct Candidates<T>(OneOrMany<Candidate<T>>);

impl<T> Candidate<T> {
    pub(crate) fn new(route: &Arc<RouteEntry<T>>, path: u16, declared: &DeclaredPath) -> Self {
        Self {
            path,
            whole_segments: declared.whole_segments,
            has_params: declared.has_params,
            is_unconditional: route.frontend.is_unconditional(),
            rank: route.frontend.rank(),
            seq: route.seq,
            route: Arc::clone(route),
        }
    }

    /// The declaration that leads here, as written.
    pub(crate) fn declared(&self) -> &str {
        let paths = &self.route.frontend.paths;
        paths
            .get(usize::from(self.path))
            .map_or("", |path| &path.text)
    }

    /// Sorts the candidates of a place. A route may stand there by several of its declarations (as
    /// `:id` and as `$id<[0-9]+>`); the first declared goes first.
    pub(crate) fn order(&self) -> (std::cmp::Reverse<u16>, u64, u16) {
        (std::cmp::Reverse(self.rank), self.seq, self.path)
    }
}

impl<T> Candidates<T> {
    fn insert(&mut self, candidate: Candidate<T>) {
        let mut all = self.0.to_vec();
        let at = all.partition_point(|held| held.order() < candidate.order());
        all.insert(at, candidate);
        self.0 = all.into();
    }

    fn remove(&mut self, seq: u64) {
        let kept = self.0.iter().filter(|held| held.seq != seq);
        self.0 = kept.cloned().collect::<Vec<_>>().into();
    }
}

impl<T> Node<T> {
    pub(crate) fn new(label: SmolStr) -> Self {
        Self {
            label,
            routes: Candidates(OneOrMany::default()),
            below: None,
        }
    }

    /// The segment, pattern or domain that leads here.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The routes declared here, most matchers first, then oldest first.
    #[inline]
    pub(crate) fn routes(&self) -> &[Candidate<T>] {
        &self.routes.0
    }

    /// Whether nothing is declared here or below.
    pub(crate) fn is_empty(&self) -> bool {
        self.routes().is_empty() && self.below.is_none()
    }

    /// Put a candidate at the end of `segments`.
    pub(crate) fn insert(&mut self, segments: &[Segment], candidate: &Candidate<T>) {
        let Some((first, rest)) = segments.split_first() else {
            self.routes.insert(candidate.clone());
            return;
        };
        let go_on = &mut |child: &mut Arc<Self>| Arc::make_mut(child).insert(rest, candidate);
        let below = self.below.get_or_insert_default();
        match first {
            Segment::Literal(text) => {
                below.lengths.add(text.len());
                let make = &mut || Arc::new(Self::new(text.clone()));
                below.literals.edit(text, make, go_on);
            }
            Segment::Named(_) => {
                let named = &mut below.others_mut().named;
                go_on(named.get_or_insert_with(|| Arc::new(Self::new(":".into()))));
            }
            Segment::Regex { regex, .. } => {
                let regexes = &mut below.others_mut().regexes;
                let same = |(held, _): &(Arc<JavaRegex>, _)| held.source() == regex.source();
                match regexes.iter().position(same) {
                    Some(at) => go_on(&mut regexes[at].1),
                    None => {
                        let mut child =
                            Arc::new(Self::new(format!("$<{}>", regex.source()).into()));
                        go_on(&mut child);
                        regexes.push((Arc::clone(regex), child));
                    }
                }
            }
            Segment::Glob(text) => {
                let make = &mut || Arc::new(Self::new(text.clone()));
                below.others_mut().globs.edit(text, make, go_on);
            }
        }
    }

    /// Take the candidate of route `seq` from the end of `segments`, and nodes left empty with it.
    pub(crate) fn remove(&mut self, segments: &[Segment], seq: u64) {
        let Some((first, rest)) = segments.split_first() else {
            self.routes.remove(seq);
            return;
        };
        let Some(below) = &mut self.below else {
            return;
        };
        let keep = &mut |child: &mut Arc<Self>| {
            let child = Arc::make_mut(child);
            child.remove(rest, seq);
            !child.is_empty()
        };
        match first {
            Segment::Literal(text) => below.literals.prune(text, keep),
            Segment::Named(_) => {
                let others = below.others_mut();
                others.named = others
                    .named
                    .take()
                    .and_then(|mut child| keep(&mut child).then_some(child));
            }
            Segment::Regex { regex, .. } => below
                .others_mut()
                .regexes
                .retain_mut(|(held, child)| held.source() != regex.source() || keep(child)),
            Segment::Glob(text) => below.others_mut().globs.prune(text, keep),
        }
        if below.literals.is_empty() {
            below.lengths = Lengths::default();
        }
        if below
            .others
            .as_ref()
            .is_some_and(|others| others.is_empty())
        {
            below.others = None;
        }
        if below.literals.is_empty() && below.others.is_none() {
            self.below = None;
        }
    }

    /// The child of exactly this segment, whose hash the caller has.
    #[inline]
    pub(crate) fn literal(&self, hash: u64, segment: &str) -> Option<&Self> {
        self.below()?.literals.get(hash, segment).map(Arc::as_ref)
    }

    /// The ways on, when there are any.
    #[inline]
    pub(crate) fn below(&self) -> Option<&Below<T>> {
        self.below.as_deref()
    }

    /// The literal child that is the first `length` bytes of `segment`.
    pub(crate) fn prefix(&self, segment: &str, length: usize) -> Option<&Self> {
        let prefix = segment.get(..length)?;
        self.literal(hash_of(prefix), prefix)
    }

    /// Lengths that literal children have.
    pub(crate) fn lengths(&self) -> Lengths {
        self.below().map(|below| below.lengths).unwrap_or_default()
    }

    /// The children of the other kinds.
    #[inline]
    pub(crate) fn others(&self) -> Option<&Others<T>> {
        self.below()?.others.as_deref()
    }
}

impl<T> Below<T> {
    /// Begin to look for the literal child that a segment's hash leads to.
    #[inline]
    pub(crate) fn search(&self, hash: u64) -> Search<'_, Arc<Node<T>>> {
        self.literals.search(hash)
    }

    fn others_mut(&mut self) -> &mut Others<T> {
        self.others.get_or_insert_default()
    }
}

impl<T> Others<T> {
    fn is_empty(&self) -> bool {
        self.named.is_none() && self.regexes.is_empty() && self.globs.is_empty()
    }

    /// Visit the named child, and the regex children that `segment` matches.
    pub(crate) fn each_param<'a>(&'a self, segment: &str, visit: &mut dyn FnMut(&'a Node<T>)) {
        if let Some(named) = &self.named {
            visit(named);
        }
        for (regex, child) in &self.regexes {
            if regex.matches(segment.as_bytes()) {
                visit(child);
            }
        }
    }

    /// The child of the most specific pattern that `segment` matches.
    pub(crate) fn best_glob(&self, segment: &str) -> Option<&Node<T>> {
        self.globs.best(segment).map(Arc::as_ref)
    }

    /// Visit the children of all patterns that `segment` matches.
    pub(crate) fn each_glob<'a>(&'a self, segment: &str, visit: &mut dyn FnMut(&'a Node<T>)) {
        self.globs.each_match(segment, &mut |child| visit(child));
    }
}

impl<T> Keyed for Node<T> {
    fn key(&self) -> &str {
        &self.label
    }
}

// By hand: a derived `Clone` would ask it of `T`, which only ever lies behind an `Arc`.
impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self {
            label: self.label.clone(),
            routes: Candidates(self.routes.0.clone()),
            below: self.below.clone(),
        }
    }
}

impl<T> Clone for Below<T> {
    fn clone(&self) -> Self {
        Self {
            literals: self.literals.clone(),
            lengths: self.lengths,
            others: self.others.clone(),
        }
    }
}

impl<T> Default for Below<T> {
    fn default() -> Self {
        Self {
            literals: Hamt::default(),
            lengths: Lengths::default(),
            others: None,
        }
    }
}

impl<T> Clone for Others<T> {
    fn clone(&self) -> Self {
        Self {
            named: self.named.clone(),
            regexes: self.regexes.clone(),
            globs: self.globs.clone(),
        }
    }
}

impl<T> Default for Others<T> {
    fn default() -> Self {
        Self {
            named: None,
            regexes: Vec::new(),
            globs: GlobIndex::default(),
        }
    }
}

impl<T> Clone for Candidate<T> {
    fn clone(&self) -> Self {
        Self {
            route: Arc::clone(&self.route),
            ..*self
        }
    }
}
