"""Orders."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Concat


class Order(models.Model):
    """One order; workers write what they did with it."""

    customer = models.CharField(max_length=100)
    notes = models.TextField(default="")

    class Meta:
        app_label = "shop"

    def note(self, text: str) -> None:
        """Add a line to the notes; several workers may do so at once."""
        line = models.Value(text + "\n")
        Order.objects.filter(pk=self.pk).update(notes=Concat("notes", line))
        self.refresh_from_db()
