"""What the control plane does again and again by itself: one file a job, and the runner of them all.

A job is a `Job` (`runner`): a name, what to do, and when. `ControlPlane` gives its jobs to `run_jobs`,
which runs each in a task of its own.
"""

from oto_trio.control.jobs.runner import Job, run_jobs

__all__ = ["Job", "run_jobs"]
