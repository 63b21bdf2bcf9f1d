"""The gateway's side of connections to backends whose protocol is spoken in Python."""
