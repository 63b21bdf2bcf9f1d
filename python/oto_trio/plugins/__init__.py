"""The built-in plugins: one folder a category, one file a plugin.

The registry walks this package. A plugin knows ``oto_trio.plugin_api`` and nothing of the gateway.
"""
