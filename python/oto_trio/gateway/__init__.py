"""The data plane: what runs in a gateway worker.

`worker` draws one worker's task tree; `pump` turns the engine; `pipeline` runs the Python steps;
`link` talks to the supervisor; `installer` turns entities into the snapshot that is live.
"""
