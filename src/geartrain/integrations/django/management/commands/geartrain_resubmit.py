"""``manage.py geartrain_resubmit``: submits jobs that are in the log and that no server has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from geartrain.errors import GeartrainError
from geartrain.integrations.django.backend import run_again
from geartrain.integrations.django.framework import TaskResultStatus
from geartrain.integrations.django.models import JobLog


class Command(BaseCommand):
    """For jobs whose server could not be reached when their transaction was committed."""

    help = "Submit the jobs of the log that no server has acknowledged, or that failed."

    def add_arguments(self, parser: Any) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than", type=float, default=60.0, metavar="SECONDS", help="60 by default"
        )
        parser.add_argument(
            "--failed", action="store_true", help="also those that failed, to run them again"
        )

    def handle(self, **options: Any) -> None:
        """Submit them, the oldest first."""
        before = timezone.now() - timedelta(seconds=options["older_than"])
        rows = JobLog.objects.filter(enqueued_at__lte=before, processed=False)
        lost = rows.filter(status=TaskResultStatus.READY, handle="")
        if options["failed"]:
            lost = lost | rows.filter(status=TaskResultStatus.FAILED)
        try:
            count = run_again(lost.order_by("enqueued_at"))
        except GeartrainError as error:
            raise CommandError(f"no more could be submitted: {error}") from error
        self.stdout.write(f"{count} jobs were submitted")


__all__ = ["Command"]
