"""The job log in Django's admin: to look at, and to run jobs again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages

from geartrain.errors import GeartrainError
from geartrain.integrations.django.backend import run_again
from geartrain.integrations.django.models import JobLog


@admin.register(JobLog)
class JobLogAdmin(admin.ModelAdmin):
    """Nothing can be changed; deleting a row keeps a job that waits from being run."""

    list_display = (
        "task_path",
        "status",
        "processed",
        "queue_name",
        "attempts",
        "enqueued_at",
        "finished_at",
    )
    list_filter = ("processed", "status", "queue_name", "task_path")
    search_fields = ("=id", "task_path", "handle")
    date_hierarchy = "enqueued_at"
    actions = ("run_again",)

    def has_add_permission(self, request: Any) -> bool:
        """Return False: jobs are enqueued by the program."""
        return False

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        """Return all fields."""
        return [field.name for field in JobLog._meta.fields]

    @admin.action(description="Run the selected jobs again", permissions=["change"])
    def run_again(self, request: Any, queryset: Any) -> None:
        """Submit the selected rows once more."""
        try:
            count = run_again(queryset)
        except GeartrainError as error:
            self.message_user(request, f"No more could be submitted: {error}", messages.ERROR)
            return
        self.message_user(request, f"{count} jobs were submitted.", messages.SUCCESS)


__all__ = ["JobLogAdmin"]
