"""The admin API of oto-trio as benches use it: one connection that stays open, one request at a time."""

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from benches.errors import InvalidRunError

KEY: Final = ("admin-bench", "not-a-secret-of-anybody")
"""Id and secret of the key that a bench gives the proxy and uses itself."""

TIMEOUT_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and how long it took from the first octet of the request to the last of the answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


class AdminApi:
    """A connection to an admin API; a context manager that closes it.

    Args:
        port: Its port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._fields = {"Authorization": "Basic " + b64encode(":".join(KEY).encode()).decode()}

    def ask(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """Send a request, whose body is JSON, and read the answer.

        Raises:
            InvalidRunError: there was no answer, or another status than 200 or 201.
        """
        fields = (
            self._fields if body is None else self._fields | {"Content-Type": "application/json"}
        )
        start_s = time.perf_counter()
        try:
            self._connection.request(method, target, body, fields)
            found = self._connection.getresponse()
            text = found.read()
        except (OSError, http.client.HTTPException) as error:
            raise InvalidRunError(f"{method} {target}: {type(error).__name__} {error}") from error
        seconds = time.perf_counter() - start_s
        if found.status not in {200, 201}:
            said = text[:300].decode(errors="replace")
            raise InvalidRunError(f"{method} {target} was answered with {found.status}: {said}")
        return Answer(found.status, dict(found.getheaders()), text, seconds)

    def __enter__(self) -> Self:
        """Return the connection; it opens with the first request."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._connection.close()
