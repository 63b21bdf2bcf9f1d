//! Drives `oto-core` over non-blocking sockets: one turn, one batch of I/O.
