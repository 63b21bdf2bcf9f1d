//! `Limits`, `TokenBucket` and what an exchange counts by.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

use oto_core::limits::{
    self, Broken, Calendar, Count, Heard, Key, Now, Quota, Refill, Seed, Setup, Space, Standing,
    Strategy,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::exchange::Exchange;
use crate::lock;

/// Every counter of a machine, or of this process alone.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Limits {
    pub(crate) inner: Arc<limits::Limits>,
}

#[pymethods]
impl Limits {
    #[new]
    #[pyo3(signature = (*, slots = 4096, seed = (0, 0), window_ms = 10_000, utc_offset_s = 0, fd = None))]
    fn new(
        slots: usize,
        seed: (u64, u64),
        window_ms: u64,
        utc_offset_s: i64,
        fd: Option<RawFd>,
    ) -> PyResult<Self> {
        let setup = Setup {
            slots,
            seed: Seed(seed.0, seed.1),
            window_ms,
            calendar: Calendar {
                offset_s: utc_offset_s,
            },
        };
        let made = match fd {
            None => limits::Limits::anonymous(setup),
            Some(fd) => {
                let file = duplicate(fd)?;
                file.set_len(limits::Limits::file_bytes(slots) as u64)
                    .and_then(|()| limits::Limits::create(file.as_fd(), setup))
            }
        };
        Ok(Self {
            inner: Arc::new(made.map_err(PyOSError::new_err)?),
        })
    }

    #[staticmethod]
    fn open(fd: RawFd, gauge: usize) -> PyResult<Self> {
        let file = duplicate(fd)?;
        let bytes = file.metadata().map_err(PyOSError::new_err)?.len();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let inner = limits::Limits::open(file.as_fd(), bytes, gauge).map_err(PyOSError::new_err)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    #[getter]
    fn gauges(&self) -> usize {
        limits::GAUGES
    }

    #[getter]
    fn window_ms(&self) -> u64 {
        self.inner.window_ms()
    }

    fn set_clock_offset(&self, seconds: f64) {
        self.inner.set_clock_offset(seconds);
    }

    fn set_utc_offset(&self, seconds: i64) {
        self.inner.set_calendar(Calendar { offset_s: seconds });
    }

    #[pyo3(signature = (client_id, now, unix_time, *, window = 10_000_000, daily = 10_000_000, monthly = 10_000_000, strategy = None, bucket = ""))]
    #[allow(clippy::too_many_arguments)]
    fn consume_quota(
        &self,
        client_id: &str,
        now: f64,
        unix_time: f64,
        window: u64,
        daily: u64,
        monthly: u64,
        strategy: Option<&[u8]>,
        bucket: &str,
    ) -> PyResult<Usage> {
        let quota = Quota {
            window,
            daily,
            monthly,
        };
        let strategy = strategy.map(read_strategy).transpose()?;
        let strategy = strategy.as_ref().map(|strategy| (strategy, bucket));
        let now = self.now(now, unix_time);
        let usage = self.inner.consume_quota(client_id, &quota, strategy, now);
        Ok(Usage(usage))
    }

    #[pyo3(signature = (client_id, now, unix_time, *, window = 10_000_000, daily = 10_000_000, monthly = 10_000_000))]
    fn peek_quota(
        &self,
        client_id: &str,
        now: f64,
        unix_time: f64,
        window: u64,
        daily: u64,
        monthly: u64,
    ) -> Usage {
        let quota = Quota {
            window,
            daily,
            monthly,
        };
        let now = self.now(now, unix_time);
        Usage(self.inner.peek_quota(client_id, &quota, now))
    }

    fn reset_quota(&self, client_id: &str, now: f64, unix_time: f64) {
        self.inner.reset_quota(client_id, self.now(now, unix_time));
    }

    /// The parts of the table in which days or months changed since the last call.
    fn take_changed(&self, py: Python<'_>) -> Vec<(usize, Py<PyBytes>)> {
        let mut changed = Vec::new();
        self.inner.take_changed(|number, page| {
            changed.push((number, PyBytes::new(py, &page).unbind()));
        });
        changed
    }

    fn restore(&self, page: &[u8], now: f64, unix_time: f64) -> PyResult<usize> {
        let now = self.now(now, unix_time);
        self.inner.restore(page, now).ok_or_else(|| {
            PyValueError::new_err("page: it is cut short; only whole pages can be brought back")
        })
    }

    /// How keys stand whose counts changed since the last call.
    fn take_standings(
        &self,
        py: Python<'_>,
        start: usize,
        most: usize,
        now: f64,
        unix_time: f64,
    ) -> (Option<usize>, Vec<StandingTuple>) {
        let mut found = Vec::new();
        let now = self.now(now, unix_time);
        let next = self.inner.take_standings(start, most, now, |standing| {
            found.push(standing_tuple(py, standing));
        });
        (next, found)
    }

    fn standing(
        &self,
        py: Python<'_>,
        key: [u8; 16],
        now: f64,
        unix_time: f64,
    ) -> PyResult<Option<StandingTuple>> {
        let found = self
            .inner
            .standing(read_key(key)?, self.now(now, unix_time));
        Ok(found.map(|standing| standing_tuple(py, standing)))
    }

    fn api_key(&self, py: Python<'_>, client_id: &str) -> Py<PyBytes> {
        PyBytes::new(py, &self.inner.api_key(client_id).to_bytes()).unbind()
    }

    fn periods(&self, unix_time: f64) -> (u64, u64) {
        self.inner.periods(self.now(0.0, unix_time))
    }

    fn mark_again(&self, key: [u8; 16]) -> PyResult<()> {
        self.inner.mark_again(read_key(key)?);
        Ok(())
    }

    #[pyo3(signature = (key, now, unix_time, *, window, day, month))]
    fn hear(
        &self,
        key: [u8; 16],
        now: f64,
        unix_time: f64,
        window: (u64, u64),
        day: (u64, i64, u64),
        month: (u64, i64, u64),
    ) -> PyResult<()> {
        let heard = |(number, elsewhere, before)| Heard {
            number,
            elsewhere,
            before,
        };
        let now = self.now(now, unix_time);
        self.inner
            .hear(read_key(key)?, window, heard(day), heard(month), now);
        Ok(())
    }

    fn sweep(&self, part: usize, parts: usize, now: f64, unix_time: f64) -> usize {
        self.inner.sweep(part, parts, self.now(now, unix_time))
    }

    fn release(&self, pid: u32, gauge: usize) {
        self.inner.release(pid, gauge);
    }

    fn occupancy(&self) -> (usize, usize) {
        self.inner.occupancy()
    }

    #[getter]
    fn under_way(&self) -> u64 {
        self.inner.under_way()
    }

    #[getter]
    fn uncounted(&self) -> u64 {
        self.inner.uncounted()
    }

    #[getter]
    fn forgotten(&self) -> u64 {
        self.inner.forgotten()
    }
}

impl Limits {
    fn now(&self, now: f64, unix_time: f64) -> Now {
        self.inner.now(oto_core::plan::Moment {
            mono_s: now,
            unix_s: unix_time,
            random: 0,
        })
    }
}

/// Key, whether it is new, window, day and month.
type StandingTuple = (Py<PyBytes>, bool, (u64, u64, u64), (u64, u64), (u64, u64));

fn standing_tuple(py: Python<'_>, standing: Standing) -> StandingTuple {
    let key = PyBytes::new(py, &standing.key.to_bytes()).unbind();
    let Standing { window, day, .. } = standing;
    (key, standing.is_new, window, day, standing.month)
}

fn read_key(bytes: [u8; 16]) -> PyResult<Key> {
    Key::from_bytes(bytes)
        .ok_or_else(|| PyValueError::new_err("key: these bytes are the key of no counter"))
}

fn duplicate(fd: RawFd) -> PyResult<File> {
    if fd < 0 {
        return Err(PyValueError::new_err("fd must be an open descriptor"));
    }
    // SAFETY: the descriptor is only borrowed for the duplication, while the caller, who has it
    // open, waits; a wrong number makes the duplication fail with EBADF.
    #[allow(unsafe_code)]
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let owned: OwnedFd = borrowed.try_clone_to_owned().map_err(PyOSError::new_err)?;
    Ok(File::from(owned))
}

fn read_strategy(json: &[u8]) -> PyResult<Strategy> {
    let json = serde_json::from_slice(json)
        .map_err(|error| PyValueError::new_err(format!("strategy: {error}")))?;
    Strategy::read(json).map_err(PyValueError::new_err)
}

/// What one call did to its limits.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Usage(limits::Usage);

type CountTuple = (u64, u64, u64, u64);

fn tuple(count: &Count) -> CountTuple {
    (count.used, count.limit, count.length_ms, count.left_ms)
}

#[pymethods]
impl Usage {
    #[getter]
    fn broken(&self) -> Option<&'static str> {
        self.0.broken().map(|broken| match broken {
            Broken::Window => "window",
            Broken::Daily => "daily",
            Broken::Monthly => "monthly",
        })
    }

    #[getter]
    fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s()
    }

    #[getter]
    fn window(&self) -> CountTuple {
        tuple(&self.0.window)
    }

    #[getter]
    fn daily(&self) -> CountTuple {
        tuple(&self.0.daily)
    }

    #[getter]
    fn monthly(&self) -> CountTuple {
        tuple(&self.0.monthly)
    }

    fn __repr__(&self) -> String {
        format!("<Usage broken={:?}>", self.0.broken())
    }
}

/// The limits of one exchange: a plugin counts by them.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct ExchangeLimits {
    exchange: Py<Exchange>,
}

impl ExchangeLimits {
    pub(crate) fn of(exchange: Py<Exchange>) -> Self {
        Self { exchange }
    }

    fn with<T>(&self, act: impl FnOnce(&limits::Limits, Now) -> T) -> PyResult<T> {
        self.exchange.get().hold()?.with(|flow| {
            let now = flow.now();
            act(&flow.snapshot.limits, now)
        })
    }
}

impl ExchangeLimits {
    fn count(
        &self,
        count: impl FnOnce(&mut oto_core::plan::Flow) -> Option<Count>,
    ) -> PyResult<Option<Usage>> {
        let count = self.exchange.get().hold()?.with(count)?;
        Ok(count.map(|count| Usage(limits::Usage::of_window(count))))
    }
}

#[pymethods]
impl ExchangeLimits {
    /// The client's address as it is counted.
    #[getter]
    fn counted_address(&self) -> PyResult<String> {
        let exchange = self.exchange.get().hold()?;
        exchange.with(|flow| flow.counted_address())
    }

    /// Count a call in a fixed window.
    #[pyo3(signature = (key, limit, window_ms = None))]
    fn window(&self, key: &str, limit: u64, window_ms: Option<u64>) -> PyResult<Usage> {
        self.with(|limits, now| {
            let window_ms = window_ms.unwrap_or(limits.window_ms());
            let parts = [key.as_bytes(), &window_ms.to_le_bytes()];
            let key = limits.key(Space::Plugin, &parts);
            let count = limits.throttle(key, limit, window_ms, now);
            Usage(limits::Usage::of_window(count))
        })
    }

    /// Count a call in the throttling window, the day and the month.
    #[pyo3(signature = (key, *, window = 10_000_000, daily = 10_000_000, monthly = 10_000_000))]
    fn quotas(&self, key: &str, window: u64, daily: u64, monthly: u64) -> PyResult<Usage> {
        self.with(|limits, now| {
            let quota = Quota {
                window,
                daily,
                monthly,
            };
            let key = limits.key(Space::Plugin, &[b"quotas", key.as_bytes()]);
            Usage(limits.count(key, &quota, now))
        })
    }

    /// Count a call by a strategy in Otoroshi's JSON.
    fn strategy(&self, key: &str, strategy: &[u8]) -> PyResult<Usage> {
        let strategy = read_strategy(strategy)?;
        self.with(|limits, now| Usage(limits.consume(&strategy, key, now)))
    }

    /// Count a failure; whether it bans.
    fn fail(&self, key: &str, most: u64, detect_ms: u64, ban_ms: u64) -> PyResult<bool> {
        self.with(|limits, now| {
            let key = limits.key(Space::Ban, &[key.as_bytes()]);
            limits.fail(key, most, detect_ms, ban_ms, now)
        })
    }

    /// Milliseconds that a ban lasts; 0 when there is none.
    fn banned_ms(&self, key: &str) -> PyResult<u64> {
        self.with(|limits, now| {
            let key = limits.key(Space::Ban, &[key.as_bytes()]);
            limits.banned_ms(key, now).unwrap_or(0)
        })
    }

    /// Count the call for its address, as the global configuration has it; none without a limit.
    fn address(&self) -> PyResult<Option<Usage>> {
        self.count(oto_core::plan::Flow::count_address)
    }

    /// Count the call for everybody; none without a limit.
    fn everybody(&self) -> PyResult<Option<Usage>> {
        self.count(oto_core::plan::Flow::count_all)
    }

    /// Tell the client how a limit stands.
    #[pyo3(signature = (usage, policy = "window"))]
    fn tell(&self, usage: &Usage, policy: &str) -> PyResult<()> {
        let usage = usage.0;
        let policy = match policy {
            "window" => "window",
            "address" => "address",
            "global" => "global",
            other => {
                return Err(PyValueError::new_err(format!(
                    "policy {other:?} is none of window, address, global"
                )));
            }
        };
        self.exchange.get().hold()?.with(|flow| {
            flow.tell_limit(policy, usage.window);
            flow.tell_limit("daily", usage.daily);
            flow.tell_limit("monthly", usage.monthly);
        })
    }

    /// Tell the client when to come back.
    fn retry_after(&self, seconds: u64) -> PyResult<()> {
        self.exchange.get().hold()?.with(|flow| {
            flow.add_to_response(b"Retry-After", seconds.to_string().as_bytes());
        })
    }
}

/// So many calls at once, so many in the long run.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct TokenBucket {
    inner: Mutex<limits::TokenBucket>,
}

#[pymethods]
impl TokenBucket {
    #[new]
    fn new(capacity: u64, interval_ms: u64, tokens: u64) -> PyResult<Self> {
        let refill = Refill::new(capacity, interval_ms, tokens).map_err(PyValueError::new_err)?;
        Ok(Self {
            inner: Mutex::new(limits::TokenBucket::new(refill)),
        })
    }

    #[pyo3(signature = (now, tokens = 1))]
    fn take(&self, now: f64, tokens: u64) -> bool {
        lock(&self.inner).take(tokens, Now::at(now, 0.0).mono_ms)
    }

    fn available(&self, now: f64) -> u64 {
        lock(&self.inner).available(Now::at(now, 0.0).mono_ms)
    }

    #[pyo3(signature = (now, tokens = 1))]
    fn wait_s(&self, now: f64, tokens: u64) -> Option<f64> {
        let wait_ms = lock(&self.inner).wait_ms(tokens, Now::at(now, 0.0).mono_ms);
        #[allow(clippy::cast_precision_loss)]
        wait_ms.map(|wait_ms| wait_ms as f64 / 1000.0)
    }
}
