"""What Alembic runs to migrate: on the connection it was given, in that transaction."""

from __future__ import annotations

from alembic import context

from geartrain.store.tables import metadata, version

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=version.name,
    # SQLite can't alter most of a table; Alembic copies it instead.
    render_as_batch=True,
)
context.run_migrations()
