//! Many connections, or WebSockets, that have had one exchange each and then stay silent.

use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use crate::client::{self, Destination, fault};
use crate::websocket;

/// The message that each WebSocket has had echoed.
const MESSAGE: [u8; 64] = [b'x'; 64];

/// Opens `count` connections, says so on standard output, holds them until a line or the end of
/// standard input, then reports how many were still open.
///
/// A connection that the proxy closed meanwhile is an error: its memory was not measured.
pub fn run(to: &Destination, count: usize, websocket: bool) -> io::Result<()> {
    let request = to.request("GET", "");
    let mut buffer = vec![0; 64 * 1024];
    let mut connections = Vec::with_capacity(count);
    let mut latencies = Vec::with_capacity(count);
    let start = Instant::now();
    for number in 0..count {
        let sent = Instant::now();
        let opened = if websocket {
            websocket::open(to, &MESSAGE)
        } else {
            to.connect().and_then(|mut stream| {
                client::exchange(&mut stream, &request, &mut buffer)?;
                Ok(stream)
            })
        };
        let stream = opened.map_err(|error| fault(format!("connection {number}: {error}")))?;
        latencies.push(sent.elapsed());
        connections.push(stream);
    }
    latencies.sort_unstable();
    println!(
        "{{\"open\":{count},\"seconds\":{:.6},\"p50_ms\":{:.6},\"p99_ms\":{:.6}}}",
        start.elapsed().as_secs_f64(),
        percentile_ms(&latencies, 0.50),
        percentile_ms(&latencies, 0.99),
    );
    io::stdout().flush()?;
    io::stdin().lock().read_line(&mut String::new())?;
    let mut closed = 0;
    for stream in &connections {
        stream.set_nonblocking(true)?;
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => closed += 1,
        }
    }
    println!("{{\"closed\":{closed}}}");
    Ok(())
}

/// The latency in milliseconds that a share `q` of the sorted `latencies` does not exceed.
pub fn percentile_ms(latencies: &[Duration], q: f64) -> f64 {
    if latencies.is_empty() {
        return 0.0;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let rank = ((latencies.len() as f64 * q).ceil() as usize).clamp(1, latencies.len());
    latencies[rank - 1].as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let ms: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert!((percentile_ms(&ms, 0.50) - 50.0).abs() < 1e-9);
        assert!((percentile_ms(&ms, 0.99) - 99.0).abs() < 1e-9);
        assert!((percentile_ms(&ms[..1], 0.99) - 1.0).abs() < 1e-9);
    }
}
