"""python-inline: what one user plugin with a `def` hook adds."""

from typing import ClassVar

from typing_extensions import override

from benches.job import Job
from benches.scenarios.scenario import ClosedLoop, Conditions


class PythonInline(ClosedLoop):
    """The plain traffic; the peers run plain, so ratios are to their plain cost."""

    name: ClassVar[str] = "python-inline"
    summary: ClassVar[str] = "plain with one Python plugin (`def`) in oto-trio's plan"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, plugin="inline")
