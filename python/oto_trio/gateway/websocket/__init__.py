"""WebSockets whose messages plugins look at: the frames of both sides are read and written here."""
