"""The entities of a place as documents that can be compared, linted and written as files.

A place is a configuration file, a folder of them, a store or a gateway; `oto_trio.cli.places` reads it.
`item` brings each entity to one canonical form.
"""

from oto_trio.control.documents.item import KINDS, Item, by_plural, declared_items, item_of

__all__ = ["KINDS", "Item", "by_plural", "declared_items", "item_of"]
