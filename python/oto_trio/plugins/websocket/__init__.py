"""Plugins that look at the messages of WebSockets (Otoroshi's category Websocket)."""
