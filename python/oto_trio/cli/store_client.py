"""The admin API of a gateway that is not running: asked of its store, in this process, without a socket."""

from __future__ import annotations

import base64
import secrets
from email.message import Message
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
import trio
from typing_extensions import override

from oto_trio.app import STORE_FILE
from oto_trio.cli.admin_client import AdminClient, refusal
from oto_trio.cli.at_rest import StoreAtRest, is_store_url, named, store_at_rest
from oto_trio.cli.places import PLACES_HELP, PlaceError, admin_client_of
from oto_trio.control.admin_api import GatewayHealth, build_app
from oto_trio.control.checking import check_entity
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.store.history import Origin, acting
from oto_trio.model.backend import read_backend
from oto_trio.model.errors import EntityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message as AsgiMessage

    from oto_trio.control.store.base import Store
    from oto_trio.gateway.frames import EntityKey
    from oto_trio.model.backend import Backend
    from oto_trio.model.document import Document
    from oto_trio.model.errors import Problem
    from oto_trio.plugin_api.registry import Registry

__all__ = ["StoreClient", "client_of"]

ACTOR: Final = "oto-trio on the command line"
"""Who makes changes to a store at rest, as its history says."""


def client_of(
    place: str,
    client_id: str | None,
    client_secret: str | None,
    *,
    message: str = "",
    plugins: Path | None = None,
) -> AdminClient:
    """Return what asks the admin API of a place: of a gateway that runs, or of the store of one that does not.

    Args:
        place: A URL of an admin API or of a store, a data folder, or ``env:`` and a variable that holds one.
        client_id: Id of the admin API's key; a key in the URL wins.
        client_secret: Its secret.
        message: Why what is changed is changed; for a store at rest.
        plugins: Folder of user plugins of a store at rest; None = the one in its data folder.

    Raises:
        PlaceError: It is none of these.
    """
    said, place = place, named(place)
    if place.startswith(("http://", "https://")):
        return admin_client_of(place, client_id, client_secret)
    folder = Path(place)
    if is_store_url(place) or (folder / STORE_FILE).is_file():
        store = store_at_rest(said, called="PLACE", plugins=plugins)
        return StoreClient(store, message=message)
    if not folder.exists():
        raise PlaceError(f"there is no {place}; name {PLACES_HELP}")
    raise PlaceError(
        f"{place} has no history: it is no data folder of a gateway; name one, or the URL of an admin API or a store"
    )


class StoreClient(AdminClient):
    """Asks the admin API of a store at rest.

    Args:
        store: The store.
        message: Why what is changed is changed.
    """

    def __init__(self, store: StoreAtRest, *, message: str = "") -> None:
        key = AdminCredentials(ACTOR, secrets.token_urlsafe())
        super().__init__("http://store.invalid", key.client_id, key.client_secret, instead="")
        self.base = store.shown
        self._store = store
        self._key = key
        self._message = message

    @override
    def send(
        self,
        path: str,
        *,
        verb: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        may_lack: bool = False,
    ) -> tuple[bytes, Message] | None:
        """See `AdminClient.send`."""
        status, told, body = self._store.tell(
            partial(self._call, path, verb, headers, content or b""),
            running=f"of a running gateway, name its URL instead of {self.base}",
        )
        if status == 404 and may_lack:
            return None
        if status >= 400:
            raise refusal(self.base, status, body)
        return body, told

    async def _call(
        self, path: str, verb: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, Message, bytes]:
        """Open the store, ask, and close it."""
        async with await self._store.open() as store:
            gateway = await _Rest.of(store, self._store)
            app = build_app(store, [self._key], gateway)
            pair = f"{self._key.client_id}:{self._key.client_secret}".encode()
            fields = {
                **headers,
                "Authorization": "Basic " + base64.b64encode(pair).decode(),
                "Content-Length": str(len(content)),
            }
            with acting(Origin(ACTOR, "", self._message)):
                return await _asked(app, path, verb, fields, content)


async def _asked(
    app: Any, path: str, verb: str, headers: Mapping[str, str], content: bytes
) -> tuple[int, Message, bytes]:
    """Have an ASGI application answer one request."""
    parts = urlsplit(path)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": verb,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": None,
        "server": None,
    }
    status, told, body = 500, Message(), bytearray()

    async def receive() -> AsgiMessage:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: AsgiMessage) -> None:
        nonlocal status
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            status = message["status"]
            for name, value in message["headers"]:
                told[name.decode()] = value.decode()
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, send)
    return status, told, bytes(body)


class _Rest:
    """The gateway of a store at rest, as the admin API sees it: it checks, and serves nothing.

    Args:
        registry: Which plugins there are.
        backends: The stored backends by id.
    """

    def __init__(self, registry: Registry, backends: Mapping[str, Backend]) -> None:
        self._registry = registry
        self._backends = backends

    @classmethod
    async def of(cls, store: Store, resting: StoreAtRest) -> _Rest:
        """Make it with the plugins beside a store."""
        registry = resting.registry()
        backends: dict[str, Backend] = {}
        async for record in store.walk("backends"):
            try:
                backends[record.id] = read_backend(msgspec.json.decode(record.document))
            except EntityError:
                continue
        return cls(registry, backends)

    async def wait_applied(self, revision: int, timeout_s: float) -> None:
        """Return at once: no worker serves it."""
        del revision, timeout_s
        await trio.lowlevel.checkpoint()

    def check(self, entity: Document) -> list[Problem]:
        """See `GatewayControl.check`."""
        return check_entity(entity, self._registry, self._backends)

    def registry(self) -> Registry:
        """See `GatewayControl.registry`."""
        return self._registry

    def health(self) -> GatewayHealth:
        """Say that nothing is served."""
        return GatewayHealth(is_started=False, is_ready=False)

    async def metrics(self) -> Mapping[str, Any]:
        """Give none."""
        await trio.lowlevel.checkpoint()
        return {}

    async def route_counts(self, entity: EntityKey) -> Mapping[str, Any]:  # noqa: ARG002 (nothing runs)
        """Give none."""
        await trio.lowlevel.checkpoint()
        return {}
