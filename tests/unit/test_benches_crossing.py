"""The crossing bench runs on the real engine and answers every request it counts."""

import pytest

from benches import crossing
from oto_trio.plugin_api import Response


async def test_every_kind_of_crossing_is_measured() -> None:
    costs = await crossing.measure(batches=1, repeats=1)
    assert list(costs) == ["request answered in Python", "surface", "inline", "headers", "async"]
    assert 0 < costs["request answered in Python"] < 100_000


async def test_an_answer_that_is_not_the_hooks_stops_the_bench() -> None:
    table = crossing.Table()
    table.add("transform_request", inline=crossing.nothing)
    table.add("call_backend", inline=lambda exchange: Response(404, (), b""))
    wrong = pytest.RaisesExc(RuntimeError, match=r"unexpected answer b'HTTP/1\.1 404")
    with pytest.RaisesGroup(wrong):
        await crossing.cost_us(table, batches=1, repeats=1, bare=False)


@pytest.mark.parametrize("argv", [["--batches", "0"], ["--repeats", "0"], ["--batches", "x"]])
def test_numbers_below_one_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        crossing.main(argv)
    assert leaving.value.code == 2
    assert argv[0] in capsys.readouterr().err
