"""BuildMode."""

from oto_trio.plugin_api import Refusal, steps
from oto_trio.plugins.access_control.build_mode import BuildMode
from oto_trio.testing import FakeExchange, play

MESSAGE = "Service under construction"
CAUSE = "errors.service.under.construction"


async def test_every_request_is_refused() -> None:
    assert await play(BuildMode(None), FakeExchange()) == Refusal(503, MESSAGE, CAUSE)


def test_it_is_native() -> None:
    assert BuildMode(None).lower() == (steps.Refuse(503, MESSAGE, CAUSE),)
