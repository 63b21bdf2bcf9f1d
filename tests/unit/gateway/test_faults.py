"""What is a hook's fault, and what must pass."""

import pytest
import trio
import trio.testing

from oto_trio.gateway.faults import LOG_INTERVAL_S, FaultLog, split_fault


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), BaseException("a panic")])
def test_whatever_a_hook_raises_is_its_fault(error: BaseException) -> None:
    assert split_fault(error) == (None, error)


def test_an_interrupt_passes() -> None:
    error = KeyboardInterrupt()
    assert split_fault(error) == (error, None)


def test_a_group_is_split() -> None:
    interrupt, fault = KeyboardInterrupt(), ValueError()
    group = BaseExceptionGroup("both", [interrupt, ExceptionGroup("inner", [fault])])
    passing, wrong = split_fault(group)
    assert isinstance(passing, BaseExceptionGroup)
    assert passing.exceptions == (interrupt,)
    assert isinstance(wrong, ExceptionGroup)
    assert repr(fault) in repr(wrong)
    only_faults = ExceptionGroup("faults", [fault])
    assert split_fault(only_faults)[0] is None


async def test_cancellation_passes() -> None:
    parts: list[tuple[BaseException | None, BaseException | None]] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            parts += [split_fault(error), (error, None)]
            raise
    assert len(parts) == 2
    assert parts[0] == parts[1]


async def test_each_hook_is_logged_once_an_interval(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    faults = FaultLog(trio.current_time)
    for _ in range(3):
        faults.log("cp:a", "access", ValueError("one"))
        faults.log("cp:a", "done", ValueError("two"))
    assert [record.getMessage() for record in caplog.records] == [
        "plugin cp:a failed in access",
        "plugin cp:a failed in done",
    ]
    await trio.sleep(LOG_INTERVAL_S)
    faults.log("cp:a", "access", ValueError("one"))
    assert caplog.records[-1].getMessage() == (
        "plugin cp:a failed in access (and 2 times since it was last logged)"
    )
    assert faults.count == 7
