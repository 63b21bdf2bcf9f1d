"""What speaks with clients in the protocols whose frames the engine does not read itself.

The engine owns the sockets. A connection that turns out to speak HTTP/2 is *carried*: its bytes come
up as events, go through a session here, and requests go down again as streams, which the engine treats
as it treats a connection with one request. Sessions are sans I/O: bytes and the time in, calls of the
engine out.
"""
