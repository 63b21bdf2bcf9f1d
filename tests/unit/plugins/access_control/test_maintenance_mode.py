"""MaintenanceMode."""

from oto_trio.plugin_api import Refusal, steps
from oto_trio.plugins.access_control.maintenance_mode import MaintenanceMode
from oto_trio.testing import FakeExchange, play

MESSAGE = "Service in maintenance mode"
CAUSE = "errors.service.in.maintenance"


async def test_every_request_is_refused() -> None:
    assert await play(MaintenanceMode(None), FakeExchange()) == Refusal(503, MESSAGE, CAUSE)


def test_it_is_native() -> None:
    assert MaintenanceMode(None).lower() == (steps.Refuse(503, MESSAGE, CAUSE),)
