"""The Django application: the job log and the commands."""

from __future__ import annotations

from django.apps import AppConfig


class GeartrainConfig(AppConfig):
    """Tables are called ``geartrain_...``, whatever the module is."""

    name = "geartrain.integrations.django"
    label = "geartrain"
    verbose_name = "Geartrain"
    default_auto_field = "django.db.models.BigAutoField"


__all__ = ["GeartrainConfig"]
