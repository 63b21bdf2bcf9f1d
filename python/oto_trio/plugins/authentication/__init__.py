"""Plugins on who calls, and who the gateway is to backends (Otoroshi's category Authentication)."""
