"""Plugins about the gateway itself."""
