"""What a run teaches: the task, and the views of pictures that it is taught about."""

from dataclasses import dataclass

from client.train.building import build_task
from client.train.fresh import open_fresh
from client.train.job import Job
from client.train.tasks import Task
from client.train.views import Views, choose_views

__all__ = ["Lesson", "open_lesson"]


@dataclass(frozen=True)
class Lesson:
    """A task and the views that its rows belong to."""

    task: Task
    views: Views


def open_lesson(job: Job) -> Lesson:
    """The job's method over bought vectors, or over a local teacher's word on every view.

    Raises MissingVectors and TrainingError.
    """
    if job.config.fresh_views:
        oracle = open_fresh(job.config, job.fold, job.teacher)
        return Lesson(oracle, oracle)
    views = choose_views(job.fold, job.config.method)
    return Lesson(build_task(job.config, job.fold, job.teacher), views)
