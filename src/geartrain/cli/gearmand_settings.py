"""
From gearmand's options to the server's settings.

Nothing is opened here. Where an option asks for what this version has not got,
the server is not started without it: that would be a queue that is not kept, or
a connection that is not encrypted, and nobody would know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from geartrain.cli.gearmand_options import HTTP_PORT, PORT, Options
from geartrain.errors import UsageError
from geartrain.server.configuration import check
from geartrain.server.settings import Settings

__all__ = ["missing", "settings_of", "source_of"]

INSTEAD: Final = "use -q libsqlite3 --libsqlite3-db FILE"
BUILTIN: Final = "builtin"
SQLITE: Final = "libsqlite3"
REDIS_PORT: Final = 6379
REDIS_PREFIX: Final = "_gear_"
MEMCACHED_PREFIX: Final = "gear_"
# gearmand compares queue types without regard to case; some had other names at times.
REDIS: Final = ("redis", "libhiredis")
MEMCACHED: Final = "libmemcached"
MYSQL: Final = "mysql"
MYSQL_PORT: Final = 3306
POSTGRES: Final = ("postgres", "libpq")
# gearmand's tables, by kind of queue: the option that names one, and what it is called otherwise.
TABLES: Final = {
    SQLITE: ("libsqlite3-table", "gearman_queue"),
    MYSQL: ("mysql-table", "gearman_queue"),
    **dict.fromkeys(POSTGRES, ("libpq-table", "queue")),
}
GONE: Final = {
    "drizzle": "Drizzle",
    "libdrizzle": "Drizzle",
    "libtokyocabinet": "Tokyo Cabinet",
    "tokyocabinet": "Tokyo Cabinet",
}


def settings_of(options: Options, environ: Mapping[str, str]) -> Settings:
    """
    Return the settings that the options ask for; adds to their remarks.

    Args:
        options: What was given.
        environ: The environment; GEARMAND_PORT is read.

    Raises:
        UsageError: Options that no server can be started with.

    """
    listen = options.text("listen")
    host = f"[{listen}]" if ":" in listen else listen
    settings = Settings(
        listen=[f"{host}:{port_of(options, environ)}"],
        store=store_of(options),
        store_table=table_of(options),
        compat=options.text("compat", "2.0"),
        round_robin=options.has("round-robin"),
        job_retries=retries_of(options),
        exceptions=options.has("exceptions"),
        handle_prefix=options.text("job-handle-prefix"),
        # gearmand stops at once.
        grace=0.0,
    )
    if options.has("backlog"):
        settings.backlog = max(1, options.number("backlog", 0))
    for name in ("keepalive_idle", "keepalive_interval", "keepalive_count"):
        value = options.number(name.replace("_", "-"), -1)
        if value >= 0:
            setattr(settings, name, value)
    protocol = options.text("protocol")
    if protocol == "http":
        settings.http_listen = [f"{host}:{options.number('http-port', HTTP_PORT)}"]
    elif protocol:
        raise UsageError(f"-r {protocol} is no protocol: there is -r http")
    check(settings)
    remark_on(options)
    return settings


def port_of(options: Options, environ: Mapping[str, str]) -> int:
    """Return the port; what GEARMAND_PORT says counts where no option does."""
    found = environ.get("GEARMAND_PORT", "")
    if options.has("port") or not found:
        return options.number("port", PORT)
    if found.isdecimal() and int(found) <= 65535:
        return int(found)
    # Kubernetes sets it to tcp://10.0.0.1:4730 for a service called gearmand.
    options.remarks.append(f"GEARMAND_PORT={found!r} is no port, so the port is {PORT}")
    return PORT


def retries_of(options: Options) -> int:
    """Return how often a job may come back; to gearmand 1.1, 0 was any number of times."""
    retries = options.number("job-retries", -1)
    if retries == 0 and options.text("compat") == "1.1":
        return -1
    if retries == 0:
        options.remarks.append(
            "--job-retries 0 is one attempt, as in gearmand 2.0; for any number, as in 1.1, say -1"
        )
    return retries


def store_of(options: Options) -> str:
    """Return the URL of the queue store; ``memory:`` for one that ``missing`` refuses."""
    kind = options.text("queue-type", BUILTIN).lower()
    if kind == SQLITE:
        path = options.text("libsqlite3-db")
        if not path:
            raise UsageError("-q libsqlite3 needs --libsqlite3-db FILE")
        return f"sqlite:///{path}"
    if kind in REDIS:
        return redis_url(options, f"{redis_prefix(options)}geartrain")
    if kind == MEMCACHED:
        return memcached_url(options)
    if kind == MYSQL:
        return mysql_url(options)
    if kind in POSTGRES:
        return postgresql_url(options)
    if kind != BUILTIN and kind not in GONE:
        raise UsageError(f"-q {kind} is no queue type: {INSTEAD}, or -q builtin to keep no jobs")
    return "memory:"


def source_of(options: Options) -> tuple[str, str, str] | None:
    """
    Return kind, URL and table of the queue that a gearmand with these options would go on with.

    None where there is none to look for; SQLite's store looks for its own.
    """
    kind = options.text("queue-type", BUILTIN).lower()
    if kind in REDIS:
        return "redis", redis_url(options, redis_prefix(options)), ""
    if kind == MYSQL:
        return "mysql", mysql_url(options), table_of(options)
    if kind in POSTGRES:
        return "postgres", postgresql_url(options), table_of(options)
    return None


def table_of(options: Options) -> str:
    """Return the name of gearmand's table."""
    kind = options.text("queue-type", BUILTIN).lower()
    option, otherwise = TABLES.get(kind, TABLES[SQLITE])
    return options.text(option, otherwise)


def mysql_url(options: Options) -> str:
    """Return the URL of the database of MySQL that the options name; raises UsageError."""
    database = options.text("mysql-db")
    if not database:
        raise UsageError("-q mysql needs --mysql-db DATABASE")
    host = options.text("mysql-host", "localhost")
    host = f"[{host}]" if ":" in host else quote(host, safe="")
    user = quote(options.text("mysql-user"), safe="")
    password = quote(options.text("mysql-password"), safe="")
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    port = options.number("mysql-port", MYSQL_PORT)
    return f"mysql://{who}{host}:{port}/{quote(database, safe='')}"


def postgresql_url(options: Options) -> str:
    """Return the URL of the database of PostgreSQL that the options name; raises UsageError."""
    given = options.text("libpq-conninfo")
    if given.startswith(("postgresql://", "postgres://")):
        return given
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ModuleNotFoundError:
        raise UsageError("-q postgres needs a library: pip install 'psycopg[binary]'") from None
    try:
        found = conninfo_to_dict(given)
    except psycopg.Error:
        # Its message would repeat what may be a password.
        raise UsageError(
            "--libpq-conninfo is not understood: say host=HOST dbname=DATABASE user=USER"
        ) from None
    return f"postgresql://?{urlencode(sorted(found.items()), quote_via=quote)}"


def redis_prefix(options: Options) -> str:
    """Return what gearmand's keys begin with."""
    return options.text("redis-prefix", REDIS_PREFIX)


def redis_url(options: Options, prefix: str) -> str:
    """Return the URL of a queue in the Redis that the options name."""
    host = options.text("redis-server", "127.0.0.1")
    host = f"[{host}]" if ":" in host else host
    password = options.text("redis-password")
    user = f":{quote(password, safe='')}@" if password else ""
    port = options.number("redis-port", REDIS_PORT)
    return f"redis://{user}{host}:{port}/0?prefix={quote(prefix, safe='')}"


def memcached_url(options: Options) -> str:
    """Return the URL of the queue in the memcached that the options name; raises UsageError."""
    servers = options.text("libmemcached-servers", "127.0.0.1").removeprefix("--SERVER=")
    if "," in servers or " " in servers.strip():
        raise UsageError(
            "--libmemcached-servers names more than one server, and a part of a queue is no queue:"
            " name one"
        )
    prefix = options.text("libmemcached-prefix", MEMCACHED_PREFIX)
    return f"memcached://{servers.strip()}?prefix={quote(f'{prefix}geartrain', safe='')}"


def missing(options: Options) -> str:
    """Return why the server can't do what gearmand would, or nothing."""
    if options.has("ssl"):
        return (
            "--ssl is not available in this version, and connections would not be encrypted;"
            " put a TLS proxy in front of the server and leave --ssl out"
        )
    kind = options.text("queue-type", BUILTIN)
    name = GONE.get(kind.lower())
    if name is not None:
        return f"-q {kind}: {name} is not available; {INSTEAD}"
    return ""


def remark_on(options: Options) -> None:
    """Remark on options that do not do what somebody may count on."""
    for name in ("ssl-ca-file", "ssl-certificate", "ssl-key"):
        if options.has(name):
            options.remarks.append(f"--{name} has no meaning without --ssl: nothing is encrypted")
    if options.has("libsqlite3-db") and options.text("queue-type", BUILTIN).lower() != SQLITE:
        options.remarks.append("--libsqlite3-db has no meaning without -q libsqlite3")
