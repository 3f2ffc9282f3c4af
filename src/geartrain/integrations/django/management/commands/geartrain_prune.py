"""``manage.py geartrain_prune``: deletes old rows of the job log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from geartrain.integrations.django.models import JobLog


class Command(BaseCommand):
    """Keeps what is not processed, unless told otherwise: it may be wanted again."""

    help = "Delete the jobs of the log that ended well some time ago."

    def add_arguments(self, parser: Any) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than", type=float, default=30.0, metavar="DAYS", help="30 by default"
        )
        parser.add_argument("--failed", action="store_true", help="also those that failed")

    def handle(self, **options: Any) -> None:
        """Delete them."""
        before = timezone.now() - timedelta(days=options["older_than"])
        rows = JobLog.objects.filter(finished_at__lte=before)
        if not options["failed"]:
            rows = rows.filter(processed=True)
        count, _ = rows.delete()
        self.stdout.write(f"{count} jobs were deleted")


__all__ = ["Command"]
