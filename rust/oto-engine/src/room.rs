//! Whether something can be written without waiting for whoever reads it.

use std::os::fd::AsFd;

/// Whether a pipe or terminal takes some more right now; a few hundred bytes, as far as pipes go.
///
/// For what Rust says of a panic: it writes that to standard error, in the midst of a turn, and the log that Python writes in a
/// thread of its own has the panic anyhow. Another process may take the room in between.
#[must_use]
pub fn has_room(to: impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(&to, PollFlags::OUT)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let is_polled = poll(&mut watched, Some(&at_once)).is_ok();
    let [found] = watched;
    is_polled && found.revents().contains(PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};

    use super::has_room;

    #[test]
    fn a_pipe_that_nobody_reads_has_no_room_once_it_is_full() {
        let (mut reader, mut writer) = pipe().expect("a pipe");
        let mut written = 0;
        while has_room(&writer) {
            writer.write_all(&[b'.'; 4096]).expect("there is room");
            written += 4096;
        }
        let mut all = vec![0; written];
        reader.read_exact(&mut all).expect("they are there");
        assert!(has_room(&writer));
    }
}
