//! Counting calls: windows, days, months, token buckets, bans, and calls at once.
//!
//! One [`Limits`] is shared by all snapshots of an engine, and its memory by all workers of a machine:
//! what it counts is exact among them (`table`). Time is an argument, as everywhere.
//!
//! Cost: a call that is counted takes a hash of its key, two cache lines and one compare-and-swap a
//! value; no lock, no allocation.

mod calendar;
mod elsewhere;
mod key;
mod kind;
mod memory;
mod now;
mod quota;
mod strategy;
mod table;
mod token_bucket;
mod under_way;
mod windows;

#[cfg(test)]
mod stress;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use calendar::Today;

pub use calendar::Calendar;
pub use elsewhere::{Heard, Standing};
pub use key::{Key, Seed, Space};
pub use now::Now;
pub use quota::{Broken, Count, Quota, Strategy, UNLIMITED, Usage};
pub use token_bucket::{Refill, TokenBucket};
pub use under_way::UnderWay;
pub use windows::{LONGEST_WINDOW_MS, MOST_IN_WINDOW};

use elsewhere::Elsewhere;
use kind::Kind;
use memory::Words;
use quota::UNBOUNDED;
use table::{FORGOTTEN, HEADER_WORDS, Moved, SLOTS, Slot, Table};
use windows::{period, window};

use crate::plan::Moment;

/// "otolim" and the version of the layout.
const MAGIC: u64 = 0x6f74_6f6c_696d_0002;

/// The words of the header.
mod header {
    pub(super) const MAGIC: usize = 0;
    pub(super) const BUCKETS: usize = 1;
    pub(super) const SEED: usize = 2;
    pub(super) const OFFSET_S: usize = 4;
    pub(super) const WINDOW_MS: usize = 5;
    pub(super) const UNCOUNTED: usize = 7;
    pub(super) const GAUGES: usize = 512;
    /// Words between two gauges: each has a cache line of its own.
    pub(super) const GAUGE_STEP: usize = 8;
}

/// Workers that may count their calls at once in one table.
pub const GAUGES: usize = (HEADER_WORDS - header::GAUGES) / header::GAUGE_STEP;

/// How often a key that moved away is looked up again.
const ATTEMPTS: usize = 64;

/// Otoroshi's `app.throttlingWindow`.
pub const DEFAULT_WINDOW_MS: u64 = 10_000;

/// What a new table is told.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Counters it has room for; rounded up.
    pub slots: usize,
    /// The secret of its keys.
    pub seed: Seed,
    /// The throttling window, 1 to [`LONGEST_WINDOW_MS`].
    pub window_ms: u64,
    /// The server's time zone.
    pub calendar: Calendar,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            slots: 4096,
            seed: Seed::default(),
            window_ms: DEFAULT_WINDOW_MS,
            calendar: Calendar::default(),
        }
    }
}

/// Bytes of a row of a page: key, day and month, each word with its number and its calls.
const ROW: usize = 32;

/// Every counter of a machine, or of this process alone.
#[derive(Debug)]
pub struct Limits {
    table: Table,
    seed: Seed,
    window_ms: u64,
    gauge: usize,
    /// What this process's clock needs to become the machine's, as bits of an f64.
    clock_offset_s: AtomicU64,
}

impl Default for Limits {
    /// A small table of this process alone, for tests and tools.
    fn default() -> Self {
        Self::anonymous(Setup::default()).unwrap_or_else(|error| {
            // 300 KiB of memory cannot be had: as with any other allocation, nothing helps.
            #[allow(clippy::panic)]
            {
                panic!("no memory for counters: {error}")
            }
        })
    }
}

impl Limits {
    /// A table of this process alone.
    ///
    /// # Errors
    /// The system has no memory.
    pub fn anonymous(setup: Setup) -> io::Result<Self> {
        let buckets = buckets(setup.slots);
        let words = Words::anonymous(Table::words_for(buckets))?;
        let table = Table::new(words, buckets, std::process::id());
        Ok(Self::begin(table, setup))
    }

    /// Bytes that the file of a shared table must have.
    #[must_use]
    pub fn file_bytes(slots: usize) -> usize {
        Table::words_for(buckets(slots)) * 8
    }

    /// Make a table in a file of [`Limits::file_bytes`] zeros, which nobody may ever cut shorter.
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn create(file: BorrowedFd<'_>, setup: Setup) -> io::Result<Self> {
        let buckets = buckets(setup.slots);
        let words = Words::shared(file, Table::words_for(buckets))?;
        let table = Table::new(words, buckets, std::process::id());
        Ok(Self::begin(table, setup))
    }

    fn begin(table: Table, setup: Setup) -> Self {
        let window_ms = setup.window_ms.clamp(1, LONGEST_WINDOW_MS);
        let header = table.header();
        header[header::BUCKETS].store(table.buckets() as u64, Release);
        header[header::SEED].store(setup.seed.0, Release);
        header[header::SEED + 1].store(setup.seed.1, Release);
        header[header::OFFSET_S].store(setup.calendar.offset_s as u64, Release);
        header[header::WINDOW_MS].store(window_ms, Release);
        header[header::MAGIC].store(MAGIC, Release);
        Self {
            table,
            seed: setup.seed,
            window_ms,
            gauge: 0,
            clock_offset_s: AtomicU64::new(0),
        }
    }

    /// Use the table that another process made in a file.
    ///
    /// # Arguments
    /// `bytes` is the length of the file, `gauge` the number under which this process counts its
    /// calls at once, below [`GAUGES`] and its own.
    ///
    /// # Errors
    /// It is no such table, is cut short, or cannot be mapped.
    pub fn open(file: BorrowedFd<'_>, bytes: usize, gauge: usize) -> io::Result<Self> {
        let bad = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
        if gauge >= GAUGES {
            return Err(bad("gauge: too many workers for one table of limits"));
        }
        if bytes / 8 < HEADER_WORDS {
            return Err(bad("the table of limits is cut short"));
        }
        let (buckets, seed, window_ms) = {
            let words = Words::shared(file, HEADER_WORDS)?;
            let header = words.all();
            if header[header::MAGIC].load(Acquire) != MAGIC {
                return Err(bad(
                    "not a table of limits of this version; start the whole gateway anew",
                ));
            }
            (
                header[header::BUCKETS].load(Acquire),
                Seed(
                    header[header::SEED].load(Acquire),
                    header[header::SEED + 1].load(Acquire),
                ),
                header[header::WINDOW_MS].load(Acquire),
            )
        };
        let buckets = usize::try_from(buckets).unwrap_or(usize::MAX);
        if buckets == 0 || buckets > bytes || Table::words_for(buckets) * 8 != bytes {
            return Err(bad("the table of limits has another size than it says"));
        }
        let words = Words::shared(file, Table::words_for(buckets))?;
        Ok(Self {
            table: Table::new(words, buckets, std::process::id()),
            seed,
            window_ms: window_ms.clamp(1, LONGEST_WINDOW_MS),
            gauge,
            clock_offset_s: AtomicU64::new(0),
        })
    }

    // --------------------------------------------------------------------- what all share

    /// Tell how far the machine's monotonic clock is ahead of the one that moments here are read from:
    /// a Trio run begins its clock where it likes, and the workers of a table must agree.
    pub fn set_clock_offset(&self, seconds: f64) {
        self.clock_offset_s.store(seconds.to_bits(), Relaxed);
    }

    /// A moment of this process as all processes of the table understand it.
    #[must_use]
    pub fn now(&self, moment: Moment) -> Now {
        let offset_s = f64::from_bits(self.clock_offset_s.load(Relaxed));
        Now::at(moment.mono_s + offset_s, moment.unix_s)
    }

    /// The throttling window in milliseconds.
    #[must_use]
    pub fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// The server's time zone now.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let offset_s = self.table.header()[header::OFFSET_S].load(Relaxed) as i64;
        Calendar { offset_s }
    }

    /// Tell every worker how far the server's time zone is from UTC: it changes twice a year.
    pub fn set_calendar(&self, calendar: Calendar) {
        self.table.header()[header::OFFSET_S].store(calendar.offset_s as u64, Relaxed);
    }

    /// The numbers of today and of this month.
    #[must_use]
    pub fn periods(&self, now: Now) -> (u64, u64) {
        let calendar = self.calendar();
        (calendar.day(now.unix_s), calendar.month(now.unix_s))
    }

    /// The key of a counter; see [`Seed::key`].
    #[must_use]
    pub fn key(&self, space: Space, parts: &[&[u8]]) -> Key {
        self.seed.key(space, parts)
    }

    /// Ask memory for where a counter is looked for; a hint.
    pub fn approach(&self, key: Key) {
        self.table.approach(key);
    }

    /// Ask memory for the counter itself, after [`Limits::approach`]; a hint.
    pub fn come_near(&self, key: Key) {
        self.table.come_near(key);
    }

    /// Counters in use and room for counters.
    #[must_use]
    pub fn occupancy(&self) -> (usize, usize) {
        (self.table.used(), self.table.buckets() * SLOTS)
    }

    /// Calls that were not counted because there was no room for their counter.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.table.header()[header::UNCOUNTED].load(Relaxed)
    }

    /// Windows that were forgotten before their end to make room.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.table.header()[FORGOTTEN].load(Relaxed)
    }

    /// Free counters that are over, a part of the table at a time.
    ///
    /// Must come round within weeks, because windows know their beginning in 32 bits; a second or two
    /// between parts is plenty.
    pub fn sweep(&self, part: usize, parts: usize, now: Now) -> usize {
        let parts = parts.max(1);
        let (part, buckets) = (part % parts, self.table.buckets());
        let range = buckets * part / parts..buckets * (part + 1) / parts;
        self.table.sweep(range, now, self.calendar())
    }

    /// Give back what a process that has ended held: its locks, and its calls under way.
    pub fn release(&self, process: u32, gauge: usize) {
        self.table.release(process);
        if let Some(word) = self.gauge(gauge) {
            word.store(0, Release);
        }
    }

    fn with_slot<T>(
        &self,
        key: Key,
        kind: Kind,
        now: Now,
        mut act: impl FnMut(&Slot<'_>) -> Result<T, Moved>,
    ) -> Option<T> {
        for _ in 0..ATTEMPTS {
            let Some(slot) = self.table.claim(key, kind, now, || self.calendar()) else {
                break;
            };
            if let Ok(done) = act(&slot) {
                return Some(done);
            }
        }
        self.table.header()[header::UNCOUNTED].fetch_add(1, Relaxed);
        None
    }

    // --------------------------------------------------------------------- windows

    /// Count a call in a fixed window that begins with its first call.
    #[must_use]
    pub fn throttle(&self, key: Key, limit: u64, duration_ms: u64, now: Now) -> Count {
        let duration_ms = duration_ms.clamp(1, LONGEST_WINDOW_MS);
        let word = self.with_slot(key, Kind::Window { duration_ms }, now, |slot| {
            let next = |word| Some(window::add(word, duration_ms, now.mono_ms));
            slot.change(0, next).map(|(_, new)| new)
        });
        window_count(word.flatten().unwrap_or(0), limit, duration_ms, now)
    }

    /// Count so many at once, as bytes are counted; past [`MOST_IN_WINDOW`] the count stands still.
    #[must_use]
    pub fn throttle_many(
        &self,
        key: Key,
        more: u64,
        limit: u64,
        duration_ms: u64,
        now: Now,
    ) -> Count {
        let duration_ms = duration_ms.clamp(1, LONGEST_WINDOW_MS);
        let more = u32::try_from(more).unwrap_or(MOST_IN_WINDOW);
        let word = self.with_slot(key, Kind::Window { duration_ms }, now, |slot| {
            let next = |word| Some(window::add_some(word, more, duration_ms, now.mono_ms));
            slot.change(0, next).map(|(_, new)| new)
        });
        window_count(word.flatten().unwrap_or(0), limit, duration_ms, now)
    }

    /// What [`Limits::throttle`] has counted.
    #[must_use]
    pub fn peek_window(&self, key: Key, limit: u64, duration_ms: u64, now: Now) -> Count {
        let duration_ms = duration_ms.clamp(1, LONGEST_WINDOW_MS);
        let word = self.table.find(key).and_then(|slot| slot.value(0).ok());
        window_count(word.unwrap_or(0), limit, duration_ms, now)
    }

    // --------------------------------------------------------------------- quotas

    /// Count a call in its window, day and month, and tell whether the quotas hold.
    ///
    /// Refused calls are counted too, as Otoroshi does: the N-th call is let through, the next is not.
    #[must_use]
    pub fn count(&self, key: Key, quota: &Quota, now: Now) -> Usage {
        let today = self.calendar().today(now.unix_s);
        let duration_ms = self.window_ms;
        let words = self.with_slot(key, Kind::Account { duration_ms }, now, |slot| {
            let (_, window) =
                slot.change(0, |word| Some(window::add(word, duration_ms, now.mono_ms)))?;
            let (_, daily) = slot.change(1, |word| Some(period::add(word, today.day, 1)))?;
            let (_, monthly) = slot.change(2, |word| Some(period::add(word, today.month, 1)))?;
            self.table.mark(slot);
            let words = [window, daily, monthly].map(|word| word.unwrap_or(0));
            Ok((words, self.elsewhere(slot, now)))
        });
        self.usage(words.unwrap_or_default(), quota, &today, now)
    }

    /// What [`Limits::count`] has counted.
    #[must_use]
    pub fn peek(&self, key: Key, quota: &Quota, now: Now) -> Usage {
        let mut words = [0; 3];
        let mut elsewhere = Elsewhere::default();
        if let Some(slot) = self.table.find(key) {
            for (at, word) in words.iter_mut().enumerate() {
                *word = slot.value(at).unwrap_or(0);
            }
            elsewhere = self.elsewhere(&slot, now);
        }
        let today = self.calendar().today(now.unix_s);
        self.usage((words, elsewhere), quota, &today, now)
    }

    fn usage(
        &self,
        (own, elsewhere): ([u64; 3], Elsewhere),
        quota: &Quota,
        today: &Today,
        now: Now,
    ) -> Usage {
        let [window, daily, monthly] = own;
        let mut window = window_count(window, quota.window, self.window_ms, now);
        if elsewhere.window > 0 {
            window.left_ms = match window.used {
                0 => elsewhere.left_ms,
                _ => window.left_ms.max(elsewhere.left_ms),
            };
            window.used += elsewhere.window;
        }
        Usage {
            window,
            daily: Count {
                used: elsewhere.daily(daily, today.day),
                limit: quota.daily,
                length_ms: 86_400_000,
                left_ms: today.day_left_s * 1000,
            },
            monthly: Count {
                used: elsewhere.monthly(monthly, today.month),
                limit: quota.monthly,
                length_ms: today.month_length_s * 1000,
                left_ms: today.month_left_s * 1000,
            },
            refused: false,
        }
    }

    /// Set day and month back to 0, and the window when asked to.
    pub fn reset(&self, key: Key, with_window: bool, now: Now) {
        let calendar = self.calendar();
        let (day, month) = (calendar.day(now.unix_s), calendar.month(now.unix_s));
        for _ in 0..ATTEMPTS {
            let Some(slot) = self.table.find(key) else {
                return;
            };
            let reset = || {
                if with_window {
                    slot.change(0, |_| Some(window::fresh(now.mono_ms)))?;
                }
                slot.change(1, |_| Some(period::make(day, 0)))?;
                slot.change(2, |_| Some(period::make(month, 0)))
            };
            if reset().is_ok() {
                self.table.mark(&slot);
                return;
            }
        }
    }

    // --------------------------------------------------------------------- token buckets

    /// Take a token from a bucket that begins full. A bucket counts no refused calls.
    #[must_use]
    pub fn take_token(&self, key: Key, refill: Refill, now: Now) -> Usage {
        let taken = self.with_slot(key, Kind::Bucket(refill), now, |slot| {
            slot.change(0, |word| refill.take(word, 1, now.mono_ms))
        });
        // Without room for the bucket the call counts as the first one.
        let (old, new) = taken.unwrap_or((0, Some(refill.full(now.mono_ms) + 1)));
        let word = new.unwrap_or(old);
        let available = refill.available(word, now.mono_ms);
        let wait_ms = if new.is_none() || available == 0 {
            refill.wait_ms(word, 1, now.mono_ms).unwrap_or(0)
        } else {
            refill
                .wait_ms(word, refill.capacity(), now.mono_ms)
                .unwrap_or(0)
        };
        Usage {
            window: Count {
                used: refill.capacity() - available,
                limit: refill.capacity(),
                length_ms: refill.fill_ms(),
                left_ms: wait_ms,
            },
            daily: UNBOUNDED,
            monthly: UNBOUNDED,
            refused: new.is_none(),
        }
    }

    // --------------------------------------------------------------------- bans

    /// Milliseconds that an identifier stays banned; none when it is not.
    #[must_use]
    pub fn banned_ms(&self, key: Key, now: Now) -> Option<u64> {
        let until = self.table.find(key)?.value(1).ok()?;
        until.checked_sub(now.mono_ms).filter(|left| *left > 0)
    }

    /// Count a failure; the `most`-th within `detect_ms` bans for `ban_ms`. Tells whether it did.
    pub fn fail(&self, key: Key, most: u64, detect_ms: u64, ban_ms: u64, now: Now) -> bool {
        let duration_ms = detect_ms.clamp(1, LONGEST_WINDOW_MS);
        let banned = self.with_slot(key, Kind::Ban { duration_ms }, now, |slot| {
            let (_, word) =
                slot.change(0, |word| Some(window::add(word, duration_ms, now.mono_ms)))?;
            if window::count(word.unwrap_or(0), duration_ms, now.mono_ms) < most {
                return Ok(false);
            }
            let until = now.mono_ms.saturating_add(ban_ms).min(u64::MAX - 1);
            slot.change(1, |before| Some(before.max(until)))?;
            // What comes after the ban is counted afresh.
            slot.change(0, |_| Some(window::fresh(now.mono_ms)))?;
            Ok(true)
        });
        banned.unwrap_or(false)
    }

    // --------------------------------------------------------------------- over a restart

    /// Give the parts of the table in which days or months changed since the last time.
    ///
    /// A part is told as its number and a *page*: every day and month that is in it now. What
    /// [`Limits::restore`] reads is the same on every machine.
    pub fn take_changed(&self, mut visit: impl FnMut(usize, Vec<u8>)) {
        for number in self.table.take_marked() {
            let mut page = Vec::new();
            self.table.accounts(number, |key, day, month| {
                let is_used = |word| period::count(word, period::number(word)) > 0;
                if is_used(day) || is_used(month) {
                    page.extend_from_slice(&key.to_bytes());
                    page.extend_from_slice(&day.to_be_bytes());
                    page.extend_from_slice(&month.to_be_bytes());
                }
            });
            visit(number, page);
        }
    }

    /// Bring back what a page has: added to what was counted meanwhile. What is not of today or of
    /// this month is left out. All that is brought back counts as changed.
    ///
    /// Returns how many keys the page has; none, and nothing is done, when it is no page.
    pub fn restore(&self, page: &[u8], now: Now) -> Option<usize> {
        let rows = page.chunks_exact(ROW);
        if !rows.remainder().is_empty() {
            return None;
        }
        let count = rows.len();
        for row in rows {
            let (key, words) = row.split_at(ROW / 2);
            let (day, month) = words.split_at(8);
            let word = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or(0);
            if let Some(key) = key.try_into().ok().and_then(Key::from_bytes) {
                self.bring_back(key, [word(day), word(month)], now);
            }
        }
        Some(count)
    }

    fn bring_back(&self, key: Key, kept: [u64; 2], now: Now) {
        let duration_ms = self.window_ms;
        self.with_slot(key, Kind::Account { duration_ms }, now, |slot| {
            for (at, kept) in [(1, kept[0]), (2, kept[1])] {
                let number = period::number(kept);
                let calls = period::count(kept, number);
                slot.change(at, |word| {
                    (period::number(word) == number).then(|| period::add(word, number, calls))
                })?;
            }
            self.table.mark(slot);
            Ok(())
        });
    }
}

fn buckets(slots: usize) -> usize {
    slots.clamp(SLOTS, 1 << 28).div_ceil(SLOTS)
}

fn window_count(word: u64, limit: u64, duration_ms: u64, now: Now) -> Count {
    Count {
        used: window::count(word, duration_ms, now.mono_ms),
        limit,
        length_ms: duration_ms,
        left_ms: window::left_ms(word, duration_ms, now.mono_ms),
    }
}
