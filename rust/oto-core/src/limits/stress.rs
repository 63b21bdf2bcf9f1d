//! Many threads on one table, each with a view of its own, as processes have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn small(slots: usize) -> Arc<Limits> {
    let setup = Setup {
        slots,
        ..Setup::default()
    };
    Arc::new(Limits::anonymous(setup).expect("memory"))
}

#[allow(clippy::disallowed_methods)]
fn together(threads: usize, work: impl Fn(usize) + Send + Sync + 'static) {
    let work = Arc::new(work);
    let handles: Vec<_> = (0..threads)
        .map(|number| {
            let work = Arc::clone(&work);
            std::thread::spawn(move || work(number))
        })
        .collect();
    for handle in handles {
        handle.join().expect("no panic");
    }
}

#[test]
fn threads_that_meet_on_new_keys_admit_exactly_n() {
    let limits = small(20_000);
    let admitted: Arc<Vec<AtomicU64>> = Arc::new((0..500).map(|_| AtomicU64::new(0)).collect());
    let (shared, counted) = (Arc::clone(&limits), Arc::clone(&admitted));
    together(8, move |_| {
        for round in 0..10 {
            for (name, count) in counted.iter().enumerate() {
                let key = shared.key(Space::Address, &[&name.to_le_bytes()]);
                let now = Now::at(5.0 + f64::from(round) / 1000.0, 0.0);
                if shared.throttle(key, 37, 10_000, now).is_within() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    assert!(
        admitted
            .iter()
            .all(|count| count.load(Ordering::Relaxed) == 37)
    );
    assert_eq!((limits.uncounted(), limits.forgotten()), (0, 0));
    assert_eq!(limits.occupancy().0, 500, "no key is there twice");
}

/// Keys come and go all the time in a table that is nearly full, while one key is counted on: none
/// of its calls may get lost, or be counted for another.
#[test]
fn a_key_keeps_its_count_while_others_are_evicted_around_it() {
    let limits = small(63);
    let shared = Arc::clone(&limits);
    together(8, move |thread| {
        let stable = shared.key(Space::ApiKey, &[b"stable"]);
        for step in 0..4_000u64 {
            let now = Now {
                mono_ms: step * 3,
                unix_s: 1_000_000,
            };
            let _ = shared.count(stable, &Quota::default(), now);
            let name = (step / 4) * 8 + thread as u64 % 2;
            let key = shared.key(Space::Address, &[&name.to_le_bytes()]);
            let used = shared.throttle(key, UNLIMITED, 20, now).used;
            assert!(
                used <= 16,
                "{used} calls in a window that had 16 at the most"
            );
        }
    });
    let now = Now {
        mono_ms: 12_000,
        unix_s: 1_000_000,
    };
    let usage = limits.peek_quota("stable", &Quota::default(), now);
    assert_eq!(usage.daily.used, 32_000);
    assert_eq!(usage.monthly.used, 32_000);
}

#[test]
fn buckets_give_their_tokens_once() {
    let limits = small(100);
    let refill = Refill::new(100, 10, 3).expect("valid");
    let taken = Arc::new(AtomicU64::new(0));
    let (shared, counted) = (Arc::clone(&limits), Arc::clone(&taken));
    together(8, move |_| {
        let key = shared.key(Space::Bucket, &[b"k"]);
        for step in 0..2_000 {
            let now = Now {
                mono_ms: step,
                unix_s: 0,
            };
            if shared.take_token(key, refill, now).broken().is_none() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken <= 100 + 199 * 3 + 3, "{taken}");
    assert!(taken >= 100 + 198 * 3, "{taken}");
}

#[test]
fn a_process_that_died_with_a_lock_is_cleaned_up_after() {
    let limits = small(7);
    let now = Now::at(1.0, 0.0);
    let key = limits.key(Space::Address, &[b"a"]);
    assert_eq!(limits.throttle(key, 5, 1_000, now).used, 1);
    limits.table.seize(0, 77, true);
    assert_eq!(
        limits.throttle(key, 5, 1_000, now).used,
        0,
        "not counted: its slot was about to go"
    );
    assert!(limits.uncounted() > 0);
    limits.release(78, GAUGES - 1);
    assert_eq!(limits.throttle(key, 5, 1_000, now).used, 0);
    limits.release(77, GAUGES - 1);
    assert_eq!(limits.throttle(key, 5, 1_000, now).used, 1);
}

#[test]
fn a_full_table_forgets_windows_and_never_quotas_or_bans() {
    let limits = small(7);
    let now = Now::at(1.0, 0.0);
    for name in 0..3u8 {
        let _ = limits.consume_quota(&format!("key{name}"), &Quota::default(), None, now);
    }
    let banned = limits.key(Space::Ban, &[b"x"]);
    assert!(limits.fail(banned, 1, 1_000, 60_000, now));
    let address = |name: u8| limits.key(Space::Address, &[&[name]]);
    for name in 0..200 {
        let at = Now::at(1.0 + f64::from(name) / 1000.0, 0.0);
        assert_eq!(limits.throttle(address(name), 9, 10_000, at).used, 1);
    }
    assert_eq!(limits.forgotten(), 200 - 3);
    assert_eq!(limits.uncounted(), 0);
    let last = Now::at(2.0, 0.0);
    assert_eq!(limits.throttle(address(199), 9, 10_000, last).used, 2);
    assert!(limits.banned_ms(banned, last).is_some());
    for name in 0..3u8 {
        let usage = limits.peek_quota(&format!("key{name}"), &Quota::default(), last);
        assert_eq!(usage.daily.used, 1);
    }
    for name in 3..7u8 {
        let _ = limits.consume_quota(&format!("key{name}"), &Quota::default(), None, last);
    }
    let refused = limits.consume_quota("one too many", &Quota::default(), None, last);
    assert_eq!((refused.broken(), limits.uncounted()), (None, 2));
}

#[test]
fn a_restart_brings_days_and_months_back() {
    let noon = Now::at(5.0, 1_709_208_000.0); // 2024-02-29T12:00Z
    let before = small(100);
    for _ in 0..3 {
        let _ = before.consume_quota("a", &Quota::default(), None, noon);
    }
    let mut kept = Vec::new();
    before.take_changed(|_, page| kept.push(page));
    assert_eq!(kept.len(), 1);
    before.take_changed(|_, _| panic!("nothing changed since"));
    let after = small(100);
    let _ = after.consume_quota("a", &Quota::default(), None, noon);
    assert_eq!(after.restore(&kept[0][1..], noon), None, "cut short");
    assert_eq!(after.restore(&kept[0], noon), Some(1));
    let usage = after.peek_quota("a", &Quota::default(), noon);
    assert_eq!((usage.daily.used, usage.monthly.used), (4, 4));
    let tomorrow = Now::at(6.0, 1_709_208_000.0 + 86_400.0);
    let late = small(100);
    assert_eq!(late.restore(&kept[0], tomorrow), Some(1));
    let usage = late.peek_quota("a", &Quota::default(), tomorrow);
    assert_eq!(
        (usage.daily.used, usage.monthly.used),
        (0, 0),
        "March has begun"
    );
}

#[test]
fn a_table_of_another_size_takes_every_page_of_many_keys() {
    let noon = Now::at(5.0, 1_709_208_000.0);
    let before = small(5_000);
    let name = |at: u32| format!("client-{at}");
    for at in 0..2_000 {
        let _ = before.consume_quota(&name(at), &Quota::default(), None, noon);
    }
    let (mut pages, mut numbers) = (Vec::new(), Vec::new());
    before.take_changed(|number, page| {
        numbers.push(number);
        pages.push(page);
    });
    assert!(numbers.len() > 10 && numbers.is_sorted(), "{numbers:?}");
    before.reset_quota(&name(7), noon);
    before.take_changed(|number, page| {
        let at = numbers.binary_search(&number).expect("a page from before");
        assert_eq!(page.len() + ROW, pages[at].len(), "what is 0 is not kept");
        pages[at] = page;
    });
    let after = small(9_000);
    let rows: Option<usize> = pages.iter().map(|page| after.restore(page, noon)).sum();
    assert_eq!(rows, Some(1_999));
    for at in 0..2_000 {
        let usage = after.peek_quota(&name(at), &Quota::default(), noon);
        assert_eq!(usage.daily.used, u64::from(at != 7), "{at}");
    }
    let mut marked = 0;
    after.take_changed(|_, page| marked += page.len() / ROW);
    assert_eq!(marked, 1_999, "what was brought back is to be kept again");
}

#[test]
fn calls_at_once_are_counted_until_they_end() {
    let limits = small(7);
    let (first, one) = limits.enter();
    let (second, two) = limits.enter();
    assert_eq!((one, two), (1, 2));
    drop(first);
    assert_eq!(limits.under_way(), 1);
    limits.release(1, 0);
    drop(second);
    assert_eq!(limits.under_way(), 0);
}
