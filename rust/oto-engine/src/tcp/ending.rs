//! How connections of TCP services end, and what is told of them.

use std::sync::Arc;

use oto_core::record::TcpRecord;

use super::{Phase, Relay, Side};
use crate::engine::Engine;
use crate::timer::{Deadline, Due};

/// What connections of TCP services amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpTraffic {
    /// Those that are open.
    pub connections: u64,
    /// Bytes from clients, of those too.
    pub bytes_in: u64,
    /// Bytes to clients, likewise.
    pub bytes_out: u64,
    /// Records lost because the ring was full.
    pub records_dropped: u64,
}

impl Engine {
    /// End a connection; `error` says why, when it is not that both sides are done.
    pub(crate) fn end_relay(&mut self, key: usize, error: Option<&'static str>) {
        let Some(mut relay) = self.relays.try_remove(key) else {
            return;
        };
        if let Some(service) = &relay.service
            && let Some(count) = self.tcp_counts.get_mut(&service.id)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.tcp_counts.remove(&service.id);
            }
        }
        if relay.phase == Phase::Passing && error.is_some() {
            self.metrics.tcp_failed += 1;
            // Nobody shall take the part for the whole.
            relay.down.stream.break_off();
            if let Some(up) = &mut relay.up {
                up.stream.break_off();
            }
        }
        for pipe in [relay.forth.pipe.take(), relay.back.pipe.take()]
            .into_iter()
            .flatten()
        {
            self.pipes.give(pipe);
        }
        self.metrics.tcp_bytes_in += relay.forth.bytes;
        self.metrics.tcp_bytes_out += relay.back.bytes;
        let attempt = relay.attempt.as_ref();
        let target = attempt.and_then(|attempt| attempt.target.as_ref());
        self.tcp_ring.push(TcpRecord {
            started_s: relay.started_s,
            duration_s: self.now_s - relay.started_s,
            overhead_s: relay.connected_s.unwrap_or(self.now_s) - relay.started_s,
            service: relay
                .service
                .as_ref()
                .map(|service| (Arc::clone(&service.id), Arc::clone(&service.name))),
            target: target.map(|target| Arc::clone(&target.address)),
            remote: relay.peer,
            local: relay.local,
            server_name: relay.server_name.take(),
            bytes_in: relay.forth.bytes,
            bytes_out: relay.back.bytes,
            error,
        });
        self.close_side(relay.down);
        if let Some(up) = relay.up {
            self.close_side(up);
        }
    }

    /// End every connection.
    pub(crate) fn end_relays(&mut self, why: &'static str) {
        let open: Vec<usize> = self.relays.iter().map(|(key, _)| key).collect();
        for key in open {
            self.end_relay(key, Some(why));
        }
    }

    /// Close one side's socket.
    pub(super) fn close_side(&mut self, mut side: Side) {
        side.stream.say_end();
        if let Ok(tcp) = side.stream.tcp() {
            // Closing takes it out of the set too; this keeps the set tidy before that.
            self.poll.registry().deregister(tcp).unwrap_or(());
        }
    }

    /// An entry of the timers came up that is about a relay.
    pub(crate) fn relay_due(&mut self, due: Due) {
        let relay = self.relays.get_mut(due.key);
        let Some(relay) = relay.filter(|relay| relay.serial == due.serial) else {
            return;
        };
        if relay.deadline.is_due(self.now_s) {
            relay.deadline = Deadline::never();
            self.relay_expired(due.key);
        } else {
            self.timers.again(&mut relay.deadline, due);
        }
    }

    /// A drain waits until then for clients that have said nothing yet.
    pub(crate) fn hurry_relays(&mut self, due_s: f64) {
        let silent = self.relays.iter().filter(|(_, relay)| {
            matches!(relay.phase, Phase::Proxy | Phase::Hello) && relay.input.is_empty()
        });
        for key in silent.map(|(key, _)| key).collect::<Vec<_>>() {
            self.set_relay_deadline(key, due_s);
        }
    }

    /// Connections of TCP services that have their target.
    pub(crate) fn relays_passing(&self) -> usize {
        let passing = |(_, relay): &(usize, &Relay)| relay.phase == Phase::Passing;
        self.relays.iter().filter(passing).count()
    }

    /// Append up to `most` records of connections of TCP services as msgpack.
    pub fn drain_tcp_records(&mut self, most: usize, out: &mut Vec<u8>) {
        self.tcp_ring.drain(most, out);
    }

    /// What connections of TCP services amount to.
    #[must_use]
    pub fn tcp_traffic(&self) -> TcpTraffic {
        let mut traffic = TcpTraffic {
            connections: self.relays.len() as u64,
            bytes_in: self.metrics.tcp_bytes_in,
            bytes_out: self.metrics.tcp_bytes_out,
            records_dropped: self.tcp_ring.dropped(),
        };
        for (_, relay) in &self.relays {
            traffic.bytes_in += relay.forth.bytes;
            traffic.bytes_out += relay.back.bytes;
        }
        traffic
    }

    fn relay_expired(&mut self, key: usize) {
        let Some(relay) = self.relays.get(key) else {
            return;
        };
        match relay.phase {
            Phase::Proxy | Phase::Hello | Phase::Certificate | Phase::Handshake => {
                self.metrics.tcp_refused += 1;
                self.end_relay(key, Some("the client took too long"));
            }
            Phase::Resolving | Phase::Connecting => self.target_late(key),
            Phase::Passing if relay.end_by_s <= self.now_s => {
                self.end_relay(key, Some("the connection lasted too long"));
            }
            Phase::Passing => self.end_relay(key, Some("nothing moved for too long")),
        }
    }

    /// How long nothing may move on a connection, and when it ends at the latest (seconds).
    pub(super) fn relay_bounds(&self, key: usize) -> (f64, f64) {
        self.relays.get(key).map_or((0.0, 0.0), |relay| {
            let idle_s = relay.service.as_ref().map_or(0.0, |service| service.idle_s);
            (idle_s, relay.end_by_s)
        })
    }
}
