//! The engine: its sockets, its turn, its deadlines.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use foldhash::fast::RandomState;
use mio::{Poll, Token};
use oto_core::http1::{HeadLimits, Request, ResponseHead};
use oto_core::metrics::Metrics;
use oto_core::plan::{Moment, Snapshot};
use oto_core::record::{Ring, TcpRing};
use oto_core::tallies::Tallies;
use slab::Slab;

use crate::access_log::AccessLog;
use crate::connection::{Down, DownPhase, Up};
use crate::ending::Ended;
use crate::event::{Event, InFlight};
use crate::heard::Heard;
use crate::kept::Shelf;
use crate::listening::Listener;
use crate::pipe::Bell;
use crate::pool::{Addresses, Pool};
use crate::settings::{READ_BYTES, Settings};
use crate::tcp::{Pipes, RELAY_BIT, Relay};
use crate::timer::{Deadline, Owner, Timers};
use crate::tls::{Clients, Servers};

/// Non-blocking HTTP/1 between clients and backends, turned from outside.
pub struct Engine {
    pub(crate) poll: Poll,
    events: Option<mio::Events>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) access_log: AccessLog,
    pub(crate) downs: Slab<Down>,
    pub(crate) ups: Slab<Up>,
    pub(crate) relays: Slab<Relay>,
    pub(crate) pipes: Pipes,
    /// Connections of TCP services, by the service's id.
    pub(crate) tcp_counts: HashMap<Arc<str>, usize, RandomState>,
    pub(crate) tcp_ring: TcpRing,
    pub(crate) pool: Pool,
    /// Connections to backends that speak HTTP/2, by target.
    /// The connections to applications, by name.
    pub(crate) mounts: HashMap<Arc<str>, usize, RandomState>,
    pub(crate) carriers: HashMap<Arc<str>, Vec<usize>, RandomState>,
    /// Exchanges that wait for one that is being made.
    pub(crate) dials: HashMap<Arc<str>, Vec<(usize, u64)>, RandomState>,
    /// Targets for HTTP/2 whose backend chose HTTP/1.1, and until when that is believed.
    pub(crate) http1_chosen: HashMap<Arc<str>, f64, RandomState>,
    /// Those whose connection nobody makes any more.
    pub(crate) dial_again: Vec<(usize, u64)>,
    /// Where bodies of requests are kept until their answers begin.
    pub(crate) shelf: Shelf,
    /// Targets whose WebSockets go over HTTP/1.1, and until when that is taken for granted.
    pub(crate) no_sockets: HashMap<Arc<str>, f64, RandomState>,
    /// How many of `downs` are streams.
    pub(crate) streams: usize,
    /// Rung by streams that have something to tell.
    pub(crate) bell: Bell,
    pub(crate) servers: Servers,
    pub(crate) clients: Clients,
    /// Connections that wait for a certificate, by the name it is for.
    pub(crate) wanted: HashMap<Box<str>, Vec<(usize, u32)>, RandomState>,
    /// Likewise, of TCP services.
    pub(crate) relays_wanted: HashMap<Box<str>, Vec<(usize, u32)>, RandomState>,
    /// The second of the last notices, and how many there were.
    pub(crate) notices: (f64, u32),
    pub(crate) addresses: Addresses,
    pub(crate) timers: Timers,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) settings: Settings,
    pub(crate) limits: HeadLimits,
    pub(crate) metrics: Metrics,
    pub(crate) tallies: Tallies,
    pub(crate) ring: Ring,
    /// Exchanges that ended while Python held their flow; what is counted and recorded of them waits for it.
    pub(crate) ended: HashMap<u64, Ended>,
    /// Events for Python, gathered during a call.
    pub(crate) raised: Vec<Event>,
    /// Connections with more to do than one round allows.
    pub(crate) again: VecDeque<Token>,
    /// What the next turn has to look at: its share of this one is used up.
    pub(crate) later: Vec<Token>,
    /// How many turns there were.
    pub(crate) turns: u64,
    /// Requests that are read and wait for each other.
    pub(crate) heard: Vec<Heard>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) head_out: Vec<u8>,
    pub(crate) path_out: Vec<u8>,
    /// Heads to be used again: their memory is the only thing that stays.
    pub(crate) spare: Vec<(Request, ResponseHead)>,
    pub(crate) now_s: f64,
    /// What to add to the engine's time to get Unix time.
    pub(crate) unix_offset_s: f64,
    pub(crate) draining: bool,
    pub(crate) accepts_at_s: f64,
    pub(crate) serial: u32,
    /// Listeners adopted so far.
    pub(crate) adopted: u64,
    sequence: u32,
    random: u64,
}

/// Rounds of polling in one turn: enough to carry a request to a near backend and back, few enough
/// that other tasks have their turn within a millisecond or so.
const ROUNDS: usize = 16;
/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Heads kept for reuse, and the memory one may keep.
const SPARES: usize = 256;
const SPARE_BYTES: usize = 16 * 1024;

pub(crate) const UP_BIT: usize = 1 << (usize::BITS - 1);
const LISTENER_BIT: usize = 1 << (usize::BITS - 2);

pub(crate) fn down_token(key: usize) -> Token {
    Token(key)
}

pub(crate) fn up_token(key: usize) -> Token {
    Token(key | UP_BIT)
}

pub(crate) fn listener_token(key: usize) -> Token {
    Token(key | LISTENER_BIT)
}

impl Engine {
    /// An engine without listeners. `seed` drives random choices.
    ///
    /// # Errors
    /// When the kernel gives no event queue.
    pub fn new(settings: Settings, seed: u64) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Some(mio::Events::with_capacity(EVENTS)),
            listeners: Vec::new(),
            access_log: AccessLog::default(),
            downs: Slab::new(),
            ups: Slab::new(),
            relays: Slab::new(),
            pipes: Pipes::default(),
            tcp_counts: HashMap::default(),
            tcp_ring: TcpRing::default(),
            relays_wanted: HashMap::default(),
            pool: Pool::default(),
            mounts: HashMap::default(),
            carriers: HashMap::default(),
            dials: HashMap::default(),
            http1_chosen: HashMap::default(),
            dial_again: Vec::new(),
            shelf: Shelf::default(),
            no_sockets: HashMap::default(),
            streams: 0,
            bell: Bell::default(),
            servers: Servers::new(&seed.to_be_bytes()),
            clients: Clients::default(),
            wanted: HashMap::default(),
            notices: (0.0, 0),
            addresses: Addresses::default(),
            timers: Timers::default(),
            snapshot: Arc::new(Snapshot::default()),
            limits: settings.head_limits(),
            ring: Ring::new(settings.records_capacity),
            ended: HashMap::new(),
            settings,
            metrics: Metrics::default(),
            tallies: Tallies::default(),
            raised: Vec::new(),
            again: VecDeque::new(),
            later: Vec::new(),
            turns: 0,
            heard: Vec::new(),
            scratch: vec![0; READ_BYTES],
            head_out: Vec::with_capacity(4096),
            path_out: Vec::with_capacity(256),
            spare: Vec::new(),
            now_s: 0.0,
            unix_offset_s: 0.0,
            draining: false,
            accepts_at_s: 0.0,
            serial: 0,
            adopted: 0,
            sequence: 0,
            random: seed | 1,
        })
    }

    /// The descriptor that is readable when a turn has something to do.
    #[must_use]
    pub fn fileno(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// Use this snapshot for every exchange that begins from now on.
    pub fn install(&mut self, snapshot: Arc<Snapshot>) {
        self.servers.follow(&snapshot);
        if self.clients.follow(&snapshot) {
            self.drop_outdated();
        }
        self.snapshot = snapshot;
    }

    /// Lock session tickets with a secret that all workers of a gateway share.
    pub fn set_ticket_secret(&mut self, secret: &[u8]) {
        self.servers = Servers::new(secret);
        self.servers.follow(&self.snapshot);
    }

    /// Tell how far Unix time is ahead of the engine's time.
    pub fn set_unix_offset(&mut self, offset_s: f64) {
        self.unix_offset_s = offset_s;
    }

    /// Now, for a flow, with luck of its own.
    pub(crate) fn moment(&mut self) -> Moment {
        Moment {
            mono_s: self.now_s,
            unix_s: self.now_s + self.unix_offset_s,
            random: self.next_random(),
        }
    }

    /// The snapshot in use.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The oldest generation an exchange in flight still runs on. Those that Python holds are not
    /// seen here: whoever holds one knows its generation.
    #[must_use]
    pub fn oldest_generation(&self) -> u64 {
        self.downs
            .iter()
            .filter_map(|(_, down)| down.exchange.as_ref()?.flow.as_ref())
            .map(|flow| flow.snapshot.generation)
            .min()
            .unwrap_or(self.snapshot.generation)
    }

    /// Do what is ready now; returns what only Python can do.
    pub fn turn(&mut self, now_s: f64) -> Vec<Event> {
        self.now_s = now_s;
        let Some(mut events) = self.events.take() else {
            return Vec::new();
        };
        self.turns += 1;
        for _ in 0..ROUNDS {
            if self
                .poll
                .poll(&mut events, Some(std::time::Duration::ZERO))
                .is_err()
            {
                break;
            }
            for event in &events {
                self.note(event);
            }
            let waiting = self.again.len();
            if waiting == 0 && self.heard.is_empty() && self.dial_again.is_empty() {
                break;
            }
            for _ in 0..waiting {
                if let Some(token) = self.again.pop_front() {
                    self.guarded(token, |engine| engine.work(token));
                }
            }
            if !self.heard.is_empty() {
                self.begin_heard();
            }
            if !self.dial_again.is_empty() {
                self.dial_waiting();
            }
        }
        self.events = Some(events);
        self.again.extend(self.later.drain(..));
        self.tell_streams();
        std::mem::take(&mut self.raised)
    }

    /// Whether a turn would find work without waiting.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        let is_idle = self.again.is_empty()
            && self.heard.is_empty()
            && self.raised.is_empty()
            && self.dial_again.is_empty();
        !is_idle || self.has_rung()
    }

    /// Carry out what is due.
    pub fn expire(&mut self, now_s: f64) -> Vec<Event> {
        self.now_s = now_s;
        if self.accepts_at_s != 0.0 && self.accepts_at_s <= now_s {
            self.accepts_at_s = 0.0;
            self.again
                .extend((0..self.listeners.len()).map(listener_token));
        }
        while let Some(due) = self.timers.pop(now_s) {
            match due.owner {
                Owner::Down => {
                    let Some(down) = self
                        .downs
                        .get_mut(due.key)
                        .filter(|down| down.serial == due.serial)
                    else {
                        continue;
                    };
                    if down.deadline.is_due(now_s) {
                        down.deadline = Deadline::never();
                        self.down_expired(due.key);
                    } else {
                        self.timers.again(&mut down.deadline, due);
                    }
                }
                Owner::Up => {
                    let Some(up) = self
                        .ups
                        .get_mut(due.key)
                        .filter(|up| up.serial == due.serial)
                    else {
                        continue;
                    };
                    if up.deadline.is_due(now_s) {
                        up.deadline = Deadline::never();
                        self.up_expired(due.key);
                    } else {
                        self.timers.again(&mut up.deadline, due);
                    }
                }
                Owner::Relay => self.relay_due(due),
            }
        }
        std::mem::take(&mut self.raised)
    }

    /// Remember what the kernel says of a connection and queue it for work.
    fn note(&mut self, event: &mio::event::Event) {
        let token = event.token();
        let key = token.0 & !(UP_BIT | LISTENER_BIT | RELAY_BIT);
        if token.0 & RELAY_BIT != 0 {
            if let Some(relay) = self.relays.get_mut(key) {
                relay.note(token.0 & UP_BIT != 0, event);
                self.again.push_back(token);
            }
            return;
        }
        let (ready, broken) = if token.0 & LISTENER_BIT != 0 {
            self.again.push_back(token);
            return;
        } else if token.0 & UP_BIT != 0 {
            let Some(up) = self.ups.get_mut(key) else {
                return;
            };
            (&mut up.ready, event.is_error())
        } else {
            let Some(down) = self.downs.get_mut(key) else {
                return;
            };
            // In a tunnel both directions end well, one after the other; else that is a reset.
            let ended = event.is_write_closed() && event.is_read_closed();
            let is_tunnel = matches!(down.phase, DownPhase::Tunnel(_));
            (&mut down.ready, event.is_error() || (ended && !is_tunnel))
        };
        ready.readable |= event.is_readable() || event.is_read_closed();
        ready.closing |= event.is_read_closed();
        ready.broken |= broken;
        self.again.push_back(token);
    }

    /// Work on one connection; a panic costs that connection and nothing else.
    pub(crate) fn guarded(&mut self, token: Token, work: impl FnOnce(&mut Self)) {
        let worked = catch_unwind(AssertUnwindSafe(|| work(self)));
        let Err(panic) = worked else { return };
        self.metrics.panics += 1;
        if self.scratch.len() != READ_BYTES {
            self.scratch = vec![0; READ_BYTES];
        }
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        self.raised.push(Event::Panic(text));
        let key = token.0 & !(UP_BIT | LISTENER_BIT | RELAY_BIT);
        if token.0 & RELAY_BIT != 0 {
            self.pipes = Pipes::default();
            self.end_relay(key, Some("a failure of the gateway"));
        } else if token.0 & UP_BIT != 0 {
            let owner = self.ups.get(key).and_then(|up| up.phase.owner());
            self.drop_up(key);
            if let Some(owner) = owner {
                self.drop_down(owner);
            }
        } else if token.0 & LISTENER_BIT == 0 {
            self.drop_down(key);
        }
    }

    fn work(&mut self, token: Token) {
        let key = token.0 & !(UP_BIT | LISTENER_BIT | RELAY_BIT);
        if token.0 & RELAY_BIT != 0 {
            self.drive_relay(key);
        } else if token.0 & LISTENER_BIT != 0 {
            self.accept(key);
        } else if token.0 & UP_BIT != 0 {
            self.drive_up(key);
        } else {
            self.drive_down(key);
        }
    }

    pub(crate) fn set_down_deadline(&mut self, key: usize, at_s: f64) {
        if let Some(down) = self.downs.get_mut(key) {
            let serial = down.serial;
            self.timers
                .set(&mut down.deadline, at_s, Owner::Down, key, serial);
        }
    }

    pub(crate) fn set_up_deadline(&mut self, key: usize, at_s: f64) {
        if let Some(up) = self.ups.get_mut(key) {
            let serial = up.serial;
            self.timers
                .set(&mut up.deadline, at_s, Owner::Up, key, serial);
        }
    }

    pub(crate) fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// An id that names the connection's place and is never used twice within 2³² exchanges.
    pub(crate) fn next_exchange_id(&mut self, key: usize) -> u64 {
        self.sequence = self.sequence.wrapping_add(1);
        u64::from(self.sequence) << 32 | key as u64 & 0xffff_ffff
    }

    /// SplitMix64: plenty for balancing.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn recycle(&mut self, mut request: Request, mut response: ResponseHead) {
        let bytes = request.headers.capacity_bytes() + response.headers.capacity_bytes();
        if self.spare.len() < SPARES && bytes <= SPARE_BYTES {
            request.clear();
            response.clear();
            self.spare.push((request, response));
        }
    }

    /// Stop accepting; let what is in flight end, with `Connection: close` on what is answered, and
    /// close what asks for nothing within `drain_idle_s`.
    pub fn drain(&mut self, now_s: f64) {
        self.now_s = now_s;
        self.draining = true;
        for at in 0..self.listeners.len() {
            self.close_listener(at);
        }
        self.hurry_idle(|_, _| true);
        self.hurry_relays(now_s + self.settings.drain_idle_s);
        self.tell_leaving();
    }

    /// What is in flight.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        let waiting = self.downs.iter().filter(|(_, down)| {
            // A lingering connection has its answer; nobody waits for it. A stream is none.
            down.phase != DownPhase::Lingering && !down.stream.is_stream()
        });
        let connections = waiting.count();
        let count = |wanted: fn(&DownPhase) -> bool| {
            self.downs
                .iter()
                .filter(|(_, down)| wanted(&down.phase))
                .count()
        };
        InFlight {
            connections: connections + self.relays.len(),
            exchanges: count(|phase| matches!(phase, DownPhase::Exchange)),
            tunnels: count(|phase| matches!(phase, DownPhase::Tunnel(_)))
                + self
                    .downs
                    .iter()
                    .filter(|(_, down)| down.is_watched)
                    .count()
                + self.relays_passing(),
            pooled: self.pool.len(),
        }
    }

    /// The counters, and how many access records were lost.
    #[must_use]
    pub fn metrics(&self) -> (&Metrics, u64) {
        (&self.metrics, self.ring.dropped())
    }

    /// Close every socket; what is cut off, exchanges and connections of TCP services, has its record.
    pub fn close(&mut self) {
        self.end_relays("the gateway ended");
        self.cut_all_off();
        self.listeners.clear();
        self.streams = 0;
        self.ups.clear();
        self.mounts.clear();
        self.carriers.clear();
        self.dials.clear();
        self.pool = Pool::default();
        self.again.clear();
    }
}
