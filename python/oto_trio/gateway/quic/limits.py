"""What QUIC may cost: bounds of a connection, and of all connections of a worker."""

from dataclasses import dataclass

__all__ = ["QuicLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuicLimits:
    """Bounds. Times are seconds, sizes bytes."""

    connections: int = 4096
    """Connections of a worker that a peer began; the first datagram of one more is refused."""
    handshakes: int = 1024
    """Connections of a worker whose handshake is under way; the first datagram of one more is dropped."""
    trusted_handshakes: int = 64
    """When so many handshakes are under way, a further client first has to show that its address is its own."""
    unread: float = 100
    """The same for so many datagrams, in a burst, that seemed to begin connections and could not be read."""
    unread_per_s: float = 10
    handshake_s: float = 10
    """How long a handshake may take."""
    resets: float = 1000
    """Datagrams of connections that are gone which are answered, in a burst; further ones are dropped."""
    resets_per_s: float = 500
    idle_s: float = 60
    """A connection on which no datagram comes for so long is dropped."""
    streams: int = 100
    """Streams that a peer may have open at once, of each direction."""
    stream_window: int = 256 * 1024
    """What a peer may send on a stream before some of it was taken."""
    connection_window: int = 1024 * 1024
    """The same for all streams of a connection."""
    control_window: int = 16 * 1024
    """What a peer may send on a stream of one direction before some of it was taken."""
    crypto_bytes: int = 64 * 1024
    """Handshake messages that are kept, out of order or not whole."""
    crypto_pieces: int = 64
    """Pieces of handshake messages that wait for what is in front of them."""
    pieces: int = 256
    """The same for a stream: loss makes as many of a window as it has packets, at most."""
    idle_frames: int = 2000
    """Packets and frames that bring nothing, in a burst; what comes of others makes up for them."""
    idle_frames_per_s: float = 200
    flight: int = 1024 * 1024
    """What was sent and the peer did not acknowledge; the congestion window grows no further."""
    batch: int = 64
    """Reads of a socket in one turn of its task; a read brings many datagrams where the kernel joins them."""
    waiting_datagrams: int = 1024
    """Datagrams that wait for a socket which takes none; further ones are dropped, as any router would."""
