//! The table: counters by key in words that all workers of a machine share.
//!
//! Theory of operation. A bucket has a line of tags and seven slots of a line each; a key may live in
//! one of two buckets. Finding a key and changing its values takes no lock: a value is one word,
//! changed by compare-and-swap. Only a key that comes or goes takes a lock, that of its first bucket
//! (and of the second, if it must live there); so a key is never in the table twice.
//!
//! A slot is given to another key only after its values were *sealed*, each by a compare-and-swap from
//! a value that nothing needs any more. Whoever meets a seal looks the key up again; whoever read a
//! value before checks the tag again, and swaps that very value or nothing. The first value of a new
//! key says when it was made, so an old one never comes back, and no update reaches a wrong key.
//!
//! A process that dies in the middle of an update loses that update. One that dies with a bucket's
//! lock keeps new keys out of that bucket until [`Table::release`] is told that it is gone.
//!
//! Bounds: seven slots a bucket, and nothing grows. When both buckets of a new key are full of
//! counters that are still needed, the window that ends first is forgotten (`forgotten` counts it);
//! days, months and bans never are. When only those are left, the call is not counted
//! (`uncounted` counts it).

use std::hint::spin_loop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::calendar::Calendar;
use super::key::Key;
use super::kind::Kind;
use super::memory::Words;
use super::now::Now;
use super::windows::window;
use crate::ahead::fetch;

/// Free slots with which a bucket has room to spare.
const SPARE: usize = 3;

/// Slots of a bucket.
pub(super) const SLOTS: usize = 7;
/// Words of a bucket: a line for the lock and the tags, and a line for each slot.
const BUCKET_WORDS: usize = 64;
const LINE: usize = 8;
/// Buckets of a page, the unit in which days and months are kept over a restart.
const PAGE_BUCKETS: usize = 32;
/// Where the dirty bits begin; before them the header.
pub(super) const HEADER_WORDS: usize = 8192;

/// The header's word that counts windows forgotten before their end.
pub(super) const FORGOTTEN: usize = 6;

/// Marks a value that is about to go.
const SEALED: u64 = u64::MAX;

/// How often a lock is tried before the scheduler is asked, and how often that.
const SPINS: usize = 200;
const YIELDS: usize = 2_000;

/// Where a key was found.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    tag: &'a AtomicU64,
    line: &'a [AtomicU64],
    key: Key,
    number: usize,
}

/// The slot has another key now: look again.
#[derive(Debug)]
pub(super) struct Moved;

impl Slot<'_> {
    /// A value; none when the slot has another key.
    pub(super) fn value(&self, at: usize) -> Result<u64, Moved> {
        let word = self.values()[at].load(SeqCst);
        if word == SEALED || !self.is_mine() {
            return Err(Moved);
        }
        Ok(word)
    }

    /// Change a value; gives the old and the new one. `next` may be asked several times; none leaves
    /// the value as it is.
    pub(super) fn change(
        &self,
        at: usize,
        mut next: impl FnMut(u64) -> Option<u64>,
    ) -> Result<(u64, Option<u64>), Moved> {
        loop {
            let old = self.value(at)?;
            let Some(new) = next(old) else {
                return Ok((old, None));
            };
            // In one order with the marks, see `Table::mark`.
            let swapped = self.values()[at].compare_exchange_weak(old, new, SeqCst, Relaxed);
            if swapped.is_ok() {
                return Ok((old, Some(new)));
            }
        }
    }

    /// Its key.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// A word beside the values, as `Table::set_further` left it.
    pub(super) fn further(&self, at: usize) -> u64 {
        self.line[at].load(Acquire)
    }

    fn values(&self) -> &[AtomicU64] {
        &self.line[1..4]
    }

    fn is_mine(&self) -> bool {
        self.tag.load(Acquire) == self.key.low && self.line[0].load(Acquire) == self.key.high
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::from_words([5, 6, 7].map(|at| self.line[at].load(Acquire)))
    }
}

/// Buckets in shared words.
#[derive(Debug)]
pub(super) struct Table {
    words: Words,
    buckets: usize,
    owner: u64,
}

impl Table {
    /// Words that a table of so many buckets needs.
    pub(super) fn words_for(buckets: usize) -> usize {
        HEADER_WORDS + buckets.div_ceil(8).next_multiple_of(LINE) + buckets * BUCKET_WORDS
    }

    /// A table in words that are all 0, or that another process made one of.
    pub(super) fn new(words: Words, buckets: usize, owner: u32) -> Self {
        Self {
            words,
            buckets,
            owner: u64::from(owner).max(1),
        }
    }

    pub(super) fn header(&self) -> &[AtomicU64] {
        &self.words.all()[..HEADER_WORDS]
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets
    }

    fn dirty(&self) -> &[AtomicU64] {
        &self.words.all()[HEADER_WORDS..][..self.buckets.div_ceil(8)]
    }

    fn bucket(&self, number: usize) -> Bucket<'_> {
        let from = HEADER_WORDS + self.buckets.div_ceil(8).next_multiple_of(LINE);
        Bucket {
            words: &self.words.all()[from + number * BUCKET_WORDS..][..BUCKET_WORDS],
            number,
        }
    }

    fn homes(&self, key: Key) -> (usize, usize) {
        // The high half of the product is the first number spread over the buckets.
        let spread = |half: u64| ((u128::from(half) * self.buckets as u128) >> 64) as usize;
        let first = spread(key.low);
        let second = spread(key.high);
        (first, second)
    }

    /// Ask memory for where a key most probably is: the tags and the first slots of its first bucket.
    pub(super) fn approach(&self, key: Key) {
        let (first, _) = self.homes(key);
        fetch(&self.bucket(first).words[..2 * LINE]);
    }

    /// Ask memory for the slot of a key, if it has one; the lines of tags are read for it.
    pub(super) fn come_near(&self, key: Key) {
        let (first, second) = self.homes(key);
        let bucket = self.bucket(first);
        match (0..SLOTS).find(|at| bucket.tag(*at).load(Relaxed) == key.low) {
            Some(at) => {
                let slot = bucket.at(at, key);
                fetch(slot.line);
                if let Some(word) = self.dirty().get(slot.number / 64) {
                    fetch(word);
                }
            }
            None => fetch(&self.bucket(second).words[..2 * LINE]),
        }
    }

    /// The slot of a key.
    pub(super) fn find(&self, key: Key) -> Option<Slot<'_>> {
        let (first, second) = self.homes(key);
        self.bucket(first)
            .find(key)
            .or_else(|| self.bucket(second).find(key))
    }

    /// The slot of a key, made when there is none; none when there is no room for it.
    pub(super) fn claim(
        &self,
        key: Key,
        kind: Kind,
        now: Now,
        calendar: impl Fn() -> Calendar,
    ) -> Option<Slot<'_>> {
        if let Some(slot) = self.find(key) {
            return Some(slot);
        }
        self.insert(key, kind, now, calendar())
    }

    #[cold]
    fn insert(&self, key: Key, kind: Kind, now: Now, calendar: Calendar) -> Option<Slot<'_>> {
        let (first, second) = self.homes(key);
        let first = self.bucket(first);
        // Its lock keeps every other process from bringing in the same key.
        let _lock = first.lock(self.owner, YIELDS)?;
        if let Some(slot) = self.find(key) {
            return Some(slot);
        }
        if second == first.number {
            return first
                .place(key, kind, now, calendar, false)
                .or_else(|| self.place_by_force(first, key, kind, now, calendar));
        }
        let second = self.bucket(second);
        // A key in its first bucket is found in one look; so that one is preferred while it has room to
        // spare. Near its end the emptier one is better, so that both fill evenly.
        let free = first.free();
        if free >= SPARE || free >= second.free() {
            if let Some(slot) = first.place(key, kind, now, calendar, false) {
                return Some(slot);
            }
        }
        // Whoever holds that one may wait for ours: be the first to give up.
        if let Some(_lock) = second.lock(self.owner, 20) {
            if let Some(slot) = second.place(key, kind, now, calendar, false) {
                return Some(slot);
            }
        }
        first
            .place(key, kind, now, calendar, false)
            .or_else(|| self.place_by_force(first, key, kind, now, calendar))
    }

    fn place_by_force<'a>(
        &self,
        bucket: Bucket<'a>,
        key: Key,
        kind: Kind,
        now: Now,
        calendar: Calendar,
    ) -> Option<Slot<'a>> {
        let slot = bucket.place(key, kind, now, calendar, true)?;
        self.header()[FORGOTTEN].fetch_add(1, Relaxed);
        Some(slot)
    }

    /// Note that days or months in this slot changed.
    ///
    /// Whoever finds the mark set relies on a reader that clears it afterwards and then sees the new
    /// value; so the value's swap, this look and the reader's swap and look are in one total order.
    pub(super) fn mark(&self, slot: &Slot<'_>) {
        let (word, bit) = (slot.number / 64, 1 << (slot.number % 64));
        if let Some(word) = self.dirty().get(word) {
            if word.load(SeqCst) & bit == 0 {
                word.fetch_or(bit, SeqCst);
            }
        }
    }

    /// Give the number of every page in which a slot was marked since the last time.
    pub(super) fn take_marked(&self) -> impl Iterator<Item = usize> {
        let pages = self.dirty().chunks(PAGE_BUCKETS / 8).enumerate();
        pages.filter_map(|(page, words)| {
            // Every word of the page, whatever the first says.
            let marked = words
                .iter()
                .fold(0, |marked, word| match word.load(Relaxed) {
                    0 => marked,
                    _ => marked | word.swap(0, SeqCst),
                });
            (marked != 0).then_some(page)
        })
    }

    /// Words of marks.
    pub(super) fn marks(&self) -> usize {
        self.dirty().len()
    }

    /// Give the slots that were marked since the last time in one word of marks.
    pub(super) fn take_marked_slots(&self, word: usize, mut visit: impl FnMut(Slot<'_>)) {
        let Some(marks) = self.dirty().get(word) else {
            return;
        };
        if marks.load(Relaxed) == 0 {
            return;
        }
        let marked = marks.swap(0, SeqCst);
        for bit in (0..64).filter(|bit| marked >> bit & 1 == 1) {
            let (number, at) = (word * 8 + bit / 8, bit % 8);
            if number < self.buckets {
                if let Some(slot) = self.bucket(number).slot(at) {
                    visit(slot);
                }
            }
        }
    }

    /// Set words beside the values of a slot; tells whether the second of them was 0 before, or
    /// nothing when the slot has another key by now, or its bucket is held by a process that died.
    pub(super) fn set_further(
        &self,
        slot: &Slot<'_>,
        at: [usize; 3],
        words: [u64; 3],
    ) -> Option<bool> {
        // Keys come and go under this lock only.
        let _lock = self.bucket(slot.number / 8).lock(self.owner, YIELDS)?;
        if !slot.is_mine() {
            return None;
        }
        let was_new = slot.line[at[1]].load(Acquire) == 0;
        for (at, word) in at.into_iter().zip(words) {
            slot.line[at].store(word, Release);
        }
        Some(was_new)
    }

    /// Give every account of a page: its key, its day and its month.
    pub(super) fn accounts(&self, page: usize, mut visit: impl FnMut(Key, u64, u64)) {
        let end = self.buckets.min((page + 1) * PAGE_BUCKETS);
        for number in page * PAGE_BUCKETS..end {
            let bucket = self.bucket(number);
            for slot in (0..SLOTS).filter_map(|at| bucket.slot(at)) {
                if let (Some(Kind::Account { .. }), Ok(day), Ok(month)) =
                    (slot.kind(), slot.value(1), slot.value(2))
                {
                    visit(slot.key, day, month);
                }
            }
        }
    }

    /// Free the slots of some buckets whose counters are over.
    pub(super) fn sweep(
        &self,
        buckets: std::ops::Range<usize>,
        now: Now,
        calendar: Calendar,
    ) -> usize {
        let mut freed = 0;
        for number in buckets {
            let bucket = self.bucket(number);
            for at in 0..SLOTS {
                let over = bucket
                    .slot(at)
                    .is_some_and(|slot| is_over(&slot, now, calendar));
                if over {
                    if let Some(_lock) = bucket.lock(self.owner, 0) {
                        freed += usize::from(bucket.clear_over(at, now, calendar));
                    }
                }
            }
        }
        freed
    }

    /// Counters that are in the table.
    pub(super) fn used(&self) -> usize {
        (0..self.buckets)
            .map(|number| SLOTS - self.bucket(number).free())
            .sum()
    }

    /// Give back what a process that has ended held.
    pub(super) fn release(&self, owner: u32) {
        let owner = u64::from(owner).max(1);
        for number in 0..self.buckets {
            let bucket = self.bucket(number);
            if bucket.words[0].load(Acquire) == owner {
                for at in 0..SLOTS {
                    bucket.drop_sealed(at);
                }
                bucket.words[0].store(0, Release);
            }
        }
    }
}

#[cfg(test)]
impl Table {
    /// Take a bucket's lock for another process, and leave a sealed slot behind, as a crash would.
    pub(super) fn seize(&self, number: usize, owner: u64, sealed: bool) {
        let bucket = self.bucket(number);
        bucket.words[0].store(owner, Release);
        if let Some(slot) = (0..SLOTS).find_map(|at| bucket.slot(at)).filter(|_| sealed) {
            slot.values()[0].store(SEALED, Release);
        }
    }
}

fn is_over(slot: &Slot<'_>, now: Now, calendar: Calendar) -> bool {
    let Some(kind) = slot.kind() else {
        return false;
    };
    (0..kind.values()).all(|at| {
        slot.value(at)
            .is_ok_and(|word| kind.is_over(at, word, now, calendar))
    })
}

#[derive(Clone, Copy)]
struct Bucket<'a> {
    words: &'a [AtomicU64],
    number: usize,
}

struct Lock<'a>(&'a AtomicU64);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.store(0, Release);
    }
}

impl<'a> Bucket<'a> {
    fn lock(self, owner: u64, yields: usize) -> Option<Lock<'a>> {
        let word = &self.words[0];
        for round in 0..=yields {
            for _ in 0..SPINS {
                if word
                    .compare_exchange_weak(0, owner, AcqRel, Relaxed)
                    .is_ok()
                {
                    return Some(Lock(word));
                }
                spin_loop();
            }
            if round < yields {
                // Its holder needs some hundred nanoseconds, but may have been put aside by the
                // scheduler in the midst of them.
                std::thread::yield_now();
            }
        }
        None
    }

    fn tag(self, at: usize) -> &'a AtomicU64 {
        &self.words[1 + at]
    }

    fn line(self, at: usize) -> &'a [AtomicU64] {
        &self.words[LINE * (1 + at)..][..LINE]
    }

    fn at(self, at: usize, key: Key) -> Slot<'a> {
        Slot {
            tag: self.tag(at),
            line: self.line(at),
            key,
            number: self.number * 8 + at,
        }
    }

    fn slot(self, at: usize) -> Option<Slot<'a>> {
        if at >= SLOTS {
            return None;
        }
        let low = self.tag(at).load(Acquire);
        let high = self.line(at)[0].load(Acquire);
        (low != 0).then(|| self.at(at, Key { low, high }))
    }

    fn find(self, key: Key) -> Option<Slot<'a>> {
        (0..SLOTS)
            .find(|at| {
                self.tag(*at).load(Acquire) == key.low
                    && self.line(*at)[0].load(Acquire) == key.high
            })
            .map(|at| self.at(at, key))
    }

    fn free(self) -> usize {
        (0..SLOTS)
            .filter(|at| self.tag(*at).load(Relaxed) == 0)
            .count()
    }

    /// Bring a key in; the caller holds the lock. `by_force` forgets a window that is not over.
    fn place(
        self,
        key: Key,
        kind: Kind,
        now: Now,
        calendar: Calendar,
        by_force: bool,
    ) -> Option<Slot<'a>> {
        let free = (0..SLOTS).find(|at| self.tag(*at).load(Acquire) == 0);
        let at = match free {
            Some(at) => at,
            None if by_force => self.forget(now)?,
            None => (0..SLOTS).find(|at| self.clear_over(*at, now, calendar))?,
        };
        let line = self.line(at);
        // The tag comes last: until then nobody finds the slot, and if we die it is free.
        line[0].store(key.high, Release);
        for (word, value) in line[5..8].iter().zip(kind.words()) {
            word.store(value, Release);
        }
        line[4].store(0, Release);
        for (word, value) in line[1..4].iter().zip(kind.fresh(now, calendar)) {
            word.store(value, Release);
        }
        self.tag(at).store(key.low, Release);
        Some(self.at(at, key))
    }

    /// Free a slot if its counters are over; the caller holds the lock.
    fn clear_over(self, at: usize, now: Now, calendar: Calendar) -> bool {
        let Some(slot) = self.slot(at) else {
            return false;
        };
        let Some(kind) = slot.kind() else {
            return false;
        };
        self.seal(slot, kind.values(), |value, word| {
            kind.is_over(value, word, now, calendar)
        }) && {
            self.tag(at).store(0, Release);
            true
        }
    }

    /// Free the slot of the window that ends first; the caller holds the lock.
    fn forget(self, now: Now) -> Option<usize> {
        let mut ends: Vec<(u64, usize)> = (0..SLOTS)
            .filter_map(|at| {
                let slot = self.slot(at)?;
                let Some(Kind::Window { duration_ms }) = slot.kind() else {
                    return None;
                };
                let word = slot.value(0).ok()?;
                (word as u32 > 0).then(|| (window::left_ms(word, duration_ms, now.mono_ms), at))
            })
            .collect();
        ends.sort_unstable();
        ends.into_iter().map(|(_, at)| at).find(|at| {
            self.slot(*at).is_some_and(|slot| {
                // Without a call it could be mistaken for the window that comes next.
                self.seal(slot, 1, |_, word| word as u32 > 0) && {
                    self.tag(*at).store(0, Release);
                    true
                }
            })
        })
    }

    /// Seal the values of a slot, all or none, each only while `may` agrees to what it is.
    fn seal(self, slot: Slot<'_>, values: usize, may: impl Fn(usize, u64) -> bool) -> bool {
        let words = slot.values();
        let mut before = [0; 3];
        for at in 0..values {
            let word = words[at].load(Acquire);
            let sealed = word != SEALED
                && may(at, word)
                && words[at]
                    .compare_exchange(word, SEALED, AcqRel, Relaxed)
                    .is_ok();
            if !sealed {
                for undo in 0..at {
                    words[undo].store(before[undo], Release);
                }
                return false;
            }
            before[at] = word;
        }
        true
    }

    /// Free a slot that a dead process was about to free.
    fn drop_sealed(self, at: usize) {
        if let Some(slot) = self.slot(at) {
            if slot
                .values()
                .iter()
                .any(|word| word.load(Acquire) == SEALED)
            {
                self.tag(at).store(0, Release);
            }
        }
    }
}
