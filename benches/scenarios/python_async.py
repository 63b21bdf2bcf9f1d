"""python-async: what one user plugin with a `async def` hook adds."""

from typing import ClassVar

from typing_extensions import override

from benches.job import Job
from benches.scenarios.scenario import ClosedLoop, Conditions


class PythonAsync(ClosedLoop):
    """The plain traffic; the peers run plain, so ratios are to their plain cost."""

    name: ClassVar[str] = "python-async"
    summary: ClassVar[str] = "plain with one Python plugin (`async def`) in oto-trio's plan"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, plugin="async")
