"""Plugins that watch."""
