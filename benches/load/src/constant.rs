//! Requests at a constant rate, whatever the answers do.
//!
//! Each request has a due time on a fixed grid and its latency counts from there, not from when
//! it could be sent: a stall is charged to every request that fell due in it (no coordinated
//! omission). A timerfd gives the grid, since poll timeouts round to milliseconds.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use rustls::{ClientConnection, StreamOwned};

use crate::client::{Destination, fault};
use crate::{message, tls};

const TIMER: Token = Token(usize::MAX);
/// How long the last answers may take after the last request fell due.
const GRACE: Duration = Duration::from_secs(5);

/// A connection to the proxy.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(space),
            Self::Tls(stream) => stream.read(space),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Connects, and shakes hands where TLS is spoken, before the grid begins.
fn open(to: &Destination, poll: &Poll, slot: usize) -> io::Result<Wire> {
    let mut stream = to.connect()?;
    let session = if to.tls {
        let mut session = tls::client(&tls::config(false)?, &to.host)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Some(session)
    } else {
        None
    };
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry()
        .register(&mut stream, Token(slot), Interest::READABLE)?;
    Ok(match session {
        Some(session) => Wire::Tls(Box::new(StreamOwned::new(session, stream))),
        None => Wire::Plain(stream),
    })
}

struct Lane {
    stream: Wire,
    /// When the request in flight fell due.
    due: Option<Instant>,
    input: Vec<u8>,
}

/// What one run at a constant rate saw.
#[derive(Debug)]
pub struct Outcome {
    /// Latency of each answered request, from its due time, sorted.
    pub latencies: Vec<Duration>,
    /// From the first due time to the last answer.
    pub elapsed: Duration,
    /// The first few errors.
    pub errors: Vec<String>,
    /// Count of all errors.
    pub error_count: usize,
}

/// Sends `rate` requests a second for `duration` over `connections` keep-alive connections.
pub fn run(
    to: &Destination,
    rate: u32,
    connections: usize,
    duration: Duration,
) -> io::Result<Outcome> {
    let interval = Duration::from_secs(1) / rate;
    let total = usize::try_from(duration.as_nanos() / interval.as_nanos())
        .map_err(|_| fault("too many requests"))?;
    let request = to.request("GET", "");
    let mut poll = Poll::new()?;
    let mut lanes = Vec::with_capacity(connections);
    for slot in 0..connections {
        lanes.push(Lane {
            stream: open(to, &poll, slot)?,
            due: None,
            input: Vec::new(),
        });
    }
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)
        .map_err(io::Error::from)?;
    poll.registry()
        .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
    let spec = Timespec {
        tv_sec: i64::try_from(interval.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(interval.subsec_nanos()),
    };
    let start = Instant::now();
    timerfd_settime(
        &timer,
        TimerfdTimerFlags::empty(),
        &Itimerspec {
            it_interval: spec,
            it_value: spec,
        },
    )
    .map_err(io::Error::from)?;

    let mut run = Run {
        idle: (0..connections).collect(),
        lanes,
        waiting: VecDeque::new(),
        request,
        latencies: Vec::with_capacity(total),
        errors: Vec::new(),
        error_count: 0,
    };
    let mut due_count = 0;
    let mut events = Events::with_capacity(connections + 1);
    let deadline = start + duration + GRACE;
    while run.latencies.len() + run.error_count < total && !run.lanes.is_empty() {
        let now = Instant::now();
        if now >= deadline {
            run.fail(format!(
                "{} requests unanswered {GRACE:?} after the end",
                total - run.latencies.len()
            ));
            break;
        }
        poll.poll(&mut events, Some(deadline - now))?;
        for event in &events {
            if event.token() == TIMER {
                let mut ticks = [0; 8];
                if rustix::io::read(&timer, &mut ticks).is_err() {
                    continue;
                }
                for _ in 0..u64::from_ne_bytes(ticks) {
                    if due_count == total {
                        break;
                    }
                    due_count += 1;
                    let due = start + interval * u32::try_from(due_count).unwrap_or(u32::MAX);
                    run.waiting.push_back(due);
                }
                run.send();
            } else {
                run.receive(event.token().0);
                run.send();
            }
        }
    }
    let elapsed = start.elapsed();
    run.latencies.sort_unstable();
    Ok(Outcome {
        latencies: run.latencies,
        elapsed,
        errors: run.errors,
        error_count: run.error_count,
    })
}

struct Run {
    lanes: Vec<Lane>,
    idle: Vec<usize>,
    /// Due times of requests that no connection was free for; bounded by the run's total.
    waiting: VecDeque<Instant>,
    request: Vec<u8>,
    latencies: Vec<Duration>,
    errors: Vec<String>,
    error_count: usize,
}

impl Run {
    fn fail(&mut self, text: String) {
        self.error_count += 1;
        if self.errors.len() < 5 {
            self.errors.push(text);
        }
    }

    fn send(&mut self) {
        while !self.waiting.is_empty() {
            let Some(slot) = self.idle.pop() else { return };
            let due = self.waiting.pop_front();
            let lane = &mut self.lanes[slot];
            lane.due = due;
            // A request is a few hundred octets into an empty socket buffer: it goes whole.
            match lane.stream.write(&self.request) {
                Ok(count) if count == self.request.len() => {
                    if let Err(error) = lane.stream.flush() {
                        self.fail(format!("flush: {error}"));
                    }
                }
                Ok(_) => self.fail("request cut on an idle connection".to_owned()),
                Err(error) => self.fail(format!("write: {error}")),
            }
        }
    }

    fn receive(&mut self, slot: usize) {
        let mut part = [0; 16 * 1024];
        loop {
            let lane = &mut self.lanes[slot];
            match lane.stream.read(&mut part) {
                Ok(0) => {
                    if lane.due.take().is_some() {
                        self.fail("connection closed before an answer".to_owned());
                    }
                    self.idle.retain(|&other| other != slot);
                    return;
                }
                Ok(got) => lane.input.extend_from_slice(&part[..got]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    lane.due = None;
                    self.fail(format!("read: {error}"));
                    return;
                }
            }
            let Some(head) = message::head(&lane.input) else {
                continue;
            };
            let Some(length) = head.length.and_then(|l| usize::try_from(l).ok()) else {
                self.fail("answer without Content-Length".to_owned());
                return;
            };
            if lane.input.len() < head.size + length {
                continue;
            }
            lane.input.drain(..head.size + length);
            let Some(due) = lane.due.take() else {
                self.fail("an answer that nobody asked for".to_owned());
                return;
            };
            if (200..300).contains(&head.status()) {
                self.latencies.push(due.elapsed());
            } else {
                self.fail(format!("answer {:?}", head.first_line));
            }
            self.idle.push(slot);
        }
    }
}
