"""A folder tree with one file for each entity: `routes/users.yaml`.

Each file is a configuration file of its own with a single entity, so `serve --config`, `check`, `lint` and
`diff` read the folder. The same entities always give the same bytes: keys in the entity's own order, files
named after ids.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec
import yaml
from typing_extensions import override

from oto_trio.control.config_files import SUFFIXES
from oto_trio.control.documents.item import KINDS, Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


__all__ = ["Written", "file_text", "file_texts", "stale_files", "write_folder"]

LONGEST_NAME: Final = 120
"""Characters of a file's name without its end; longer ids are cut and get a digest."""


class Written(msgspec.Struct, frozen=True):
    """What writing a folder did.

    Attributes:
        changed: Files that were written, by their path in the folder.
        same: How many were like that already.
        removed: Files of entities that are no more.
    """

    changed: list[str]
    same: int
    removed: list[str]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines, such as certificates, line by line."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        """Write equal parts out, each in its place."""
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar(  # pyright: ignore[reportUnknownMemberType] (the stub's value)
        "tag:yaml.org,2002:str", text, style=style
    )


_Dumper.add_representer(str, _text_node)


def file_text(item: Item) -> str:
    """Write an entity as a configuration file."""
    return yaml.dump(
        {item.resource.plural: [item.document]},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
    )


def file_texts(items: Iterable[Item]) -> dict[str, str]:
    """Return the files of a folder: their text by their path, in the order of kinds and ids."""
    rows = {row.plural: place for place, row in enumerate(KINDS)}
    texts: dict[str, str] = {}
    taken: set[str] = set()
    for item in sorted(items, key=lambda each: (rows[each.resource.plural], each.id)):
        path = f"{item.resource.plural}/{_file_name(item.id)}.yaml"
        if path.lower() in taken:  # one file on systems that mind no case
            path = f"{item.resource.plural}/{_file_name(item.id)}-{_digest(item.id)}.yaml"
        taken.add(path.lower())
        texts[path] = file_text(item)
    return texts


def _file_name(entity_id: str) -> str:
    """Turn an id into the name of a file: it may hold a slash, or begin with a dot."""
    name = quote(entity_id, safe=" @+,=~")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{_digest(entity_id)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stale_files(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Return the configuration files in the kinds' own folders that hold none of the entities."""
    found: list[str] = []
    for row in KINDS:
        inside = folder / row.plural
        if inside.is_dir():
            paths = (path for path in inside.iterdir() if path.suffix in SUFFIXES)
            found += [path.relative_to(folder).as_posix() for path in paths]
    return sorted(path for path in found if path not in texts)


def write_folder(folder: Path, texts: Mapping[str, str]) -> Written:
    """Write the files of a folder, and remove those of entities that are no more.

    Files are readable by their owner only, for they may hold secrets, and each is replaced as a whole.
    Other files in the folder stay as they are.

    Raises:
        OSError: The folder cannot be written.
    """
    changed: list[str] = []
    for name, text in texts.items():
        path = folder / name
        if path.is_file() and path.read_bytes() == text.encode():
            continue
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, text)
        changed.append(name)
    removed = stale_files(folder, texts)
    for name in removed:
        (folder / name).unlink()
    return Written(changed, len(texts) - len(changed), removed)


def _replace(path: Path, text: str) -> None:
    """Write a file beside its place, and move it there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        os.replace(name, path)  # noqa: PTH105 (mkstemp gives a text)
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise
