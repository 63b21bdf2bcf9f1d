//! Very large bodies, up or down, one on each connection.

use std::io::{self, Write};
use std::thread;
use std::time::Instant;

use crate::client::{self, Destination, fault};

const BLOCK_BYTES: usize = 256 * 1024;

/// Moves `size` octets on each of `count` connections at once, one `way` or the other.
pub fn run(
    to: &Destination,
    size: u64,
    count: usize,
    way: fn(&Destination, u64) -> io::Result<()>,
) -> io::Result<()> {
    let start = Instant::now();
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let to = to.clone();
            thread::spawn(move || way(&to, size))
        })
        .collect();
    for handle in threads {
        handle.join().map_err(|_| fault("a client panicked"))??;
    }
    println!(
        "{{\"bytes\":{},\"seconds\":{:.6}}}",
        size * count as u64,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Sends a body of `size` octets and checks that the upstream counted them all.
pub fn up(to: &Destination, size: u64) -> io::Result<()> {
    let mut stream = to.connect()?;
    let block = vec![b'x'; BLOCK_BYTES];
    stream.write_all(&to.request("POST", &format!("Content-Length: {size}\r\n")))?;
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).map_or(block.len(), |l| l.min(block.len()));
        if let Err(error) = stream.write_all(&block[..part]) {
            // An early refusal resets the connection; its answer says more than the reset.
            let answer = client::read_head(&mut stream).err();
            return Err(fault(format!(
                "upload stopped {left} octets early: {error}; {answer:?}"
            )));
        }
        left -= part as u64;
    }
    let (head, mut text) = client::read_head(&mut stream)?;
    let first = text.len();
    text.resize(usize::try_from(head.length.unwrap_or(0)).unwrap_or(0), 0);
    io::Read::read_exact(&mut stream, &mut text[first..])?;
    let text = String::from_utf8_lossy(&text);
    if text.trim() != format!("{{\"received\":{size}}}") {
        return Err(fault(format!("upstream received {text:?}, not {size}")));
    }
    Ok(())
}

/// Fetches a body of `size` octets and counts them.
pub fn down(to: &Destination, size: u64) -> io::Result<()> {
    let mut stream = to.connect()?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let seen = client::exchange(&mut stream, &to.request("GET", ""), &mut buffer)?;
    if seen != size {
        return Err(fault(format!("body of {seen} octets, not {size}")));
    }
    Ok(())
}
