"""GlobalMaintenanceMode."""

from oto_trio.plugin_api import Refusal, steps
from oto_trio.plugins.access_control.global_maintenance_mode import GlobalMaintenanceMode
from oto_trio.testing import FakeExchange, play


async def test_every_request_gets_the_maintenance_page() -> None:
    plugin = GlobalMaintenanceMode(None)
    refusal = Refusal(503, "Service in maintenance mode", "errors.service.in.maintenance")
    assert await play(plugin, FakeExchange()) == refusal
    assert plugin.lower() == (steps.Refuse(refusal.status, refusal.message, refusal.cause),)
