"""Settings of a small shop that has jobs done."""

from __future__ import annotations

import os

import django

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Quick rather than safe: there is nothing to guess.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3"),
        "OPTIONS": {"timeout": 20},
        "TEST": {"NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3")},
    }
}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "geartrain.integrations.django",
    "shop",
]
if django.VERSION < (6,):
    INSTALLED_APPS.append("django_tasks")
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
TASKS = {
    "default": {
        "BACKEND": "geartrain.integrations.django.backend.GeartrainBackend",
        "QUEUES": ["default", "mail"],
    },
    "unlogged": {
        "BACKEND": "geartrain.integrations.django.backend.GeartrainBackend",
        "OPTIONS": {"log": False},
    },
}
GEARTRAIN = {
    "SERVERS": [os.environ.get("SHOP_SERVER", "127.0.0.1:4730")],
    # Servers that are not there are to be noticed at once.
    "CLIENT_OPTIONS": {"patience": 0.1},
    "POLICIES": {"shop.tasks.hesitate": {"retries": 2, "backoff": "exp(10ms, 100ms)"}},
}
