"""Plugins that lead raw bytes through WebSockets (Otoroshi's category Tunnel)."""
