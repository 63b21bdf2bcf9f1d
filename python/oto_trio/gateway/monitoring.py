"""The monitoring pages that workers serve under `/.well-known/otoroshi/monitoring/`, on any host.

`health`, `live`, `ready` and `startup` are answered by the worker itself, from what the supervisor
told it; `metrics` shows the whole gateway, so it is asked from the supervisor.

The page documents are pure functions: the control plane's own listener shows the same ones.

Source: Otoroshi's health controller; the access key is read from the query only, as there.
"""

import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

import msgspec
import trio

from oto_trio.gateway.engine import SuspendedExchange
from oto_trio.gateway.frames import AskMetricsPage, ControlHealth, MetricsPage, UpFrame
from oto_trio.gateway.link import LinkClosedError, Outbox
from oto_trio.gateway.metrics import Page
from oto_trio.plugin_api.answers import Response
from oto_trio.plugin_api.exchange import Exchange

__all__ = ["PREFIX", "Monitoring", "health_page", "is_key_accepted", "probe_page"]

PREFIX: Final = "/.well-known/otoroshi/monitoring/"

PAGE_TIMEOUT_S: Final = 2.0
"""How long the supervisor may take to make the metrics page: it waits 1 s for the workers."""

_JSON: Final = "application/json"
_UNAUTHORIZED: Final = Page(401, _JSON, b'{"error":"unauthorized"}')
_NOT_FOUND: Final = Page(404, _JSON, b'{"error":"resource not found"}')
_NO_METRICS: Final = Page(503, _JSON, b'{"error":"metrics not available"}')


def health_page(*, store_is_healthy: bool, is_started: bool, serving: bool = True) -> Page:
    """Make the `health` page.

    Args:
        store_is_healthy: Whether the store answers.
        is_started: Whether the first start-up has completed.
        serving: Whether exchanges are served.

    Returns:
        200 when everything is well, else 503.
    """
    is_healthy = store_is_healthy and serving and is_started
    initialized = {"initialized": True, "status": "loaded"}
    document = {
        "otoroshi": "healthy" if is_healthy else "unhealthy",
        "datastore": "healthy" if store_is_healthy else "unreachable",
        "proxy": {"initialized": is_started, "status": "healthy" if serving else "down"},
        "storage": {"initialized": True, "status": "healthy" if store_is_healthy else "down"},
        "eventstore": {"initialized": False, "status": "unknown"},
        "certificates": initialized,
        "scripts": initialized,
    }
    return Page(200 if is_healthy else 503, _JSON, msgspec.json.encode(document))


def probe_page(name: str, *, is_up: bool) -> Page:
    """Make the `live`, `ready` or `startup` page; 503 when the answer is no."""
    key = {"live": "live", "ready": "ready", "startup": "started"}[name]
    return Page(200 if is_up else 503, _JSON, msgspec.json.encode({key: is_up}))


def is_key_accepted(query: str, access_key: str | None) -> bool:
    """Tell whether a query has the access key, as `access_key` or `X-Access-Key`.

    Args:
        query: The request's query, without `?`.
        access_key: The key that is asked for; None when the page is open.
    """
    if access_key is None:
        return True
    asked = parse_qs(query)
    given = (asked.get("access_key") or asked.get("X-Access-Key") or [""])[0]
    return secrets.compare_digest(given.encode(), access_key.encode())


class Monitoring:
    """Answers monitoring requests in a worker.

    Args:
        outbox: Where questions to the supervisor go.
        respond: Answers an exchange.
        nursery: Owns the tasks that wait for the supervisor.
        health_access_key: Key the probes ask for; None leaves them open.
        metrics_access_key: Key the metrics page asks for; None takes the key of the probes.
    """

    def __init__(
        self,
        outbox: Outbox[UpFrame],
        respond: Callable[[Exchange, Response], None],
        nursery: trio.Nursery,
        *,
        health_access_key: str | None,
        metrics_access_key: str | None,
    ) -> None:
        self.control = ControlHealth(store_is_healthy=True, is_started=False)
        """What the control plane said of itself last."""
        self.is_draining = False
        """Whether the worker drains: it is alive then, but not ready for more."""
        self._outbox = outbox
        self._respond = respond
        self._nursery = nursery
        self._health_access_key = health_access_key
        self._metrics_access_key = metrics_access_key or health_access_key
        self._token = 0
        self._waiting: dict[int, _Question] = {}

    def answer(self, exchange: SuspendedExchange) -> None:
        """Answer an exchange for a monitoring page, now or in a task. Never blocks."""
        name = exchange.request.path.removeprefix(PREFIX).strip("/")
        query = exchange.request.query
        key = self._metrics_access_key if name == "metrics" else self._health_access_key
        if not is_key_accepted(query, key):
            self._show(exchange, _UNAUTHORIZED)
        elif name == "metrics":
            self._nursery.start_soon(self._show_metrics, exchange, query)
        else:
            self._show(exchange, self._page(name))

    def take(self, page: MetricsPage) -> None:
        """Take the supervisor's answer; one that nobody waits for any more is dropped."""
        question = self._waiting.get(page.token)
        if question is not None:
            question.page = Page(page.status, page.content_type, page.body)
            question.answered.set()

    def _page(self, name: str) -> Page:
        """Make one of the pages that need nobody else."""
        if name == "health":
            return health_page(
                store_is_healthy=self.control.store_is_healthy,
                is_started=self.control.is_started,
                serving=not self.is_draining,
            )
        if name == "live":
            return probe_page(name, is_up=True)
        if name == "ready":
            return probe_page(name, is_up=self.control.is_started and not self.is_draining)
        if name == "startup":
            return probe_page(name, is_up=self.control.is_started)
        return _NOT_FOUND

    async def _show_metrics(self, exchange: SuspendedExchange, query: str) -> None:
        """Ask the supervisor for the metrics of the whole gateway, and show them."""
        self._token += 1
        token = self._token
        question = self._waiting[token] = _Question()
        try:
            with trio.move_on_after(PAGE_TIMEOUT_S):
                accept = exchange.request.headers.get("accept") or ""
                await self._outbox.put(AskMetricsPage(token, query, accept))
                await question.answered.wait()
        except LinkClosedError:
            pass  # the supervisor is gone and this worker about to drain: 503 below
        finally:
            del self._waiting[token]
        self._show(exchange, question.page)

    def _show(self, exchange: SuspendedExchange, page: Page) -> None:
        """Answer an exchange with a page."""
        state = exchange.request.headers.get("otoroshi-state") or "--"
        headers = (("Content-Type", page.content_type), ("Otoroshi-State-Resp", state))
        self._respond(exchange, Response(page.status, headers, page.body))


class _Question:
    """A page that was asked from the supervisor."""

    __slots__ = ("answered", "page")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.page = _NO_METRICS
