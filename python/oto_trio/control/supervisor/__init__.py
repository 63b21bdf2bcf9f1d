"""The supervisor: owns the listening sockets, keeps the gateway workers alive and up to date.

`listening` binds the sockets; `launch` starts a worker, as a process or in this very Trio run;
`worker` is the supervisor's view of one worker, and feeds it from the store; `supervision` keeps every
slot filled.
"""
