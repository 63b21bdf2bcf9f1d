//! A new TLS connection for each request.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, StreamOwned};

use crate::client::{self, Destination, fault};
use crate::idle::percentile_ms;
use crate::tls;

/// What one thread saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    resumed: u64,
}

/// Connects, shakes hands, asks once and closes, again and again on each of some threads.
///
/// With `resumes`, sessions are resumed, and a run in which a twentieth was not is a failure.
pub fn run(to: &Destination, clients: usize, duration: Duration, resumes: bool) -> io::Result<()> {
    let start = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let to = to.clone();
            thread::spawn(move || one_after_another(&to, start + duration, resumes))
        })
        .collect();
    let mut all = Seen::default();
    for handle in threads {
        let seen = handle.join().map_err(|_| fault("a client panicked"))??;
        all.latencies.extend(seen.latencies);
        all.resumed += seen.resumed;
    }
    let elapsed = start.elapsed();
    all.latencies.sort_unstable();
    let count = all.latencies.len() as u64;
    let first = clients as u64;
    if resumes && all.resumed + first < count - count / 20 {
        return Err(fault(format!(
            "only {} of {count} sessions were resumed",
            all.resumed
        )));
    }
    if !resumes && all.resumed > 0 {
        return Err(fault("a session was resumed"));
    }
    println!(
        "{{\"requests\":{count},\"seconds\":{:.6},\"p50_ms\":{:.6},\"p99_ms\":{:.6},\"resumed\":{}}}",
        elapsed.as_secs_f64(),
        percentile_ms(&all.latencies, 0.50),
        percentile_ms(&all.latencies, 0.99),
        all.resumed,
    );
    Ok(())
}

fn one_after_another(to: &Destination, end: Instant, resumes: bool) -> io::Result<Seen> {
    let config = tls::config(resumes)?;
    let request = to.request("GET", "Connection: close\r\n");
    let mut buffer = vec![0; 16 * 1024];
    let mut seen = Seen::default();
    while Instant::now() < end {
        let start = Instant::now();
        let connection = tls::client(&Arc::clone(&config), &to.host)?;
        let mut stream = StreamOwned::new(connection, to.connect()?);
        client::exchange(&mut stream, &request, &mut buffer)?;
        seen.resumed += u64::from(stream.conn.handshake_kind() == Some(HandshakeKind::Resumed));
        seen.latencies.push(start.elapsed());
    }
    Ok(seen)
}
