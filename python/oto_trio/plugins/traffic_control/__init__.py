"""Plugins that redirect a call or answer it (Otoroshi's category TrafficControl)."""
