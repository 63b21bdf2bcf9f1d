"""Audit events and alerts of what the control plane does, in Otoroshi's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.telemetry.events.identity import Event, Instance, Snowflakes

__all__ = ["Audit"]


class Audit:
    """Makes the events of the control plane.

    Args:
        instance: Where this gateway stands.
        ids: Makes the events' ids.
        unix_ms: Tells Unix time in milliseconds.
    """

    def __init__(self, instance: Instance, ids: Snowflakes, unix_ms: Callable[[], int]) -> None:
        self._instance = instance
        self._ids = ids
        self._unix_ms = unix_ms

    def new_id(self) -> str:
        """Make an id, for a request to the admin API."""
        return self._ids.next()

    def admin_api(
        self,
        action: str,
        message: str,
        *,
        caller: str,
        metadata: dict[str, Any],
        client_id: str | None = None,
        user: tuple[str, str] | None = None,
    ) -> Event:
        """Make the audit event of a request to the admin API.

        Args:
            action: What was done, such as `CREATE_ROUTE`.
            message: The same in words.
            caller: Address of who asked.
            metadata: What else is to be known, such as the entity's id; no secret.
            client_id: The key that was used; None when there was none. It is `apiKey`, and the `user` too, which
                Otoroshi leaves null for plain keys: who reads an audit wants a name.
            user: Name and email address of who acts with rights of their own; None for a plain key.
        """
        who: dict[str, str | None] | None = None
        if user is not None:
            who = {"name": user[0], "email": user[1], "type": "USER"}
        elif client_id is not None:
            who = {"name": client_id, "email": None, "type": "APIKEY"}
        return {
            **self._begun("AuditEvent"),
            "audit": "AdminApiEvent",
            "user": who,
            "apiKey": client_id and {"clientId": client_id},
            "action": action,
            "from": caller,
            "message": message,
            "metadata": metadata,
        }

    def alert(self, name: str, fields: dict[str, Any]) -> Event:
        """Make an alert of the gateway itself, such as `CertExpiredAlert`.

        Args:
            name: Otoroshi's name of the alert.
            fields: What it tells; no secret.
        """
        return {**fields, **self._begun("AlertEvent"), "alert": name}

    def _begun(self, kind: str) -> Event:
        return {
            "@id": self._ids.next(),
            "@timestamp": self._unix_ms(),
            "@type": kind,
            "@product": "otoroshi",
            "@serviceId": "--",
            "@service": "Otoroshi",
            "@env": self._instance.env,
        }
