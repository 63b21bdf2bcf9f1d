//! One very large body, up or down, on one connection.

use std::io::{self, Write};
use std::time::Instant;

use crate::client::{self, Destination, fault};

const BLOCK_BYTES: usize = 256 * 1024;

/// Sends a body of `size` octets and checks that the upstream counted them all.
pub fn up(to: &Destination, size: u64) -> io::Result<()> {
    let mut stream = to.connect()?;
    let block = vec![b'x'; BLOCK_BYTES];
    let start = Instant::now();
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
    report(size, start);
    Ok(())
}

/// Fetches a body of `size` octets and counts them.
pub fn down(to: &Destination, size: u64) -> io::Result<()> {
    let mut stream = to.connect()?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let start = Instant::now();
    let seen = client::exchange(&mut stream, &to.request("GET", ""), &mut buffer)?;
    if seen != size {
        return Err(fault(format!("body of {seen} octets, not {size}")));
    }
    report(size, start);
    Ok(())
}

fn report(size: u64, start: Instant) {
    println!(
        "{{\"bytes\":{size},\"seconds\":{:.6}}}",
        start.elapsed().as_secs_f64()
    );
}
