"""
Compiles the mapper's statements from the tables, for one database.

``python -m geartrain.store.compiling`` writes them down in ``sqlite_statements.py`` and its
like, because importing SQLAlchemy takes 0.3 s and 27 MB, more than all else a server needs to
start. A test keeps these files equal to what this one compiles.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Dialect,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement, Insert

from geartrain.store import tables
from geartrain.store.rows import COLUMNS
from geartrain.store.shared_tables import shared_jobs, shared_metadata
from geartrain.store.statements import Statements
from geartrain.store.tables import dead_letters, generation, results, version

__all__ = ["DIALECTS", "compile_statements"]

# The newest of migrations/versions.
HEAD = "0003"


# With their drivers' styles of parameters. MariaDB's own dialect differs in nothing that is used.
DIALECTS: Final[dict[str, Dialect]] = {
    "SQLite": sqlite.dialect(paramstyle="qmark"),
    "PostgreSQL": postgresql.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
    "MySQL": mysql.dialect(paramstyle="format"),
}


def compile_statements(dialect: Dialect) -> Statements:
    """
    Return the statements for a database; those that servers share have tables of their own.

    Args:
        dialect: With the driver's positional style of parameters.

    """

    def text(statement: ClauseElement) -> str:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        return " ".join(str(compiled).split())

    jobs, metadata = tables.jobs, tables.metadata
    if dialect.name != "sqlite":
        jobs, metadata = shared_jobs, shared_metadata
    number = jobs.c.number
    # A job is added before anybody can have joined it.
    given: dict[str, BindParameter[Any]] = {
        column.name: bindparam(column.name) for column in jobs.c if column.name != "joined"
    }
    add, row, add_end = parted(text(add_statement(dialect, jobs).values(given)), " VALUES ")
    if dialect.name != "sqlite":
        # The last column is NULL for an empty value: NULL itself would be a parameter of another
        # type, and a statement with such a one another to prepare.
        row = row.removesuffix("%s)") + "NULLIF(%s, ''))"
    keep, keep_row, keep_end = parted(text(keep_statement(dialect)), " VALUES ")
    forget, mark, _ = parted(text(delete(jobs).where(number.in_([0]))), " IN ")
    return Statements(
        add=add,
        add_row=row,
        add_end=add_end,
        forget=forget + "(",
        mark=mark[1:-1],
        forget_run=text(delete(jobs).where(number.between(bindparam("first"), bindparam("last")))),
        keep_attempts=text(
            update(jobs)
            .values({jobs.c.attempts: bindparam("kept"), jobs.c.epoch: bindparam("due")})
            .where(number == bindparam("job"))
        ),
        forget_refused=text(
            delete(jobs).where(number == bindparam("job"), jobs.c.handle == bindparam("name"))
        ),
        handle=text(select(jobs.c.handle).where(number == bindparam("job"))),
        replay=text(select(*list(jobs.c)[: len(COLUMNS)]).order_by(number)),
        bury=text(add_statement(dialect, dead_letters)),
        unbury=text(delete(dead_letters).where(dead_letters.c.number == bindparam("job"))),
        letter=text(select(dead_letters).where(dead_letters.c.handle == bindparam("name"))),
        letters=text(
            select(dead_letters)
            .where(dead_letters.c.number > bindparam("after"))
            .order_by(dead_letters.c.number)
            .limit(bindparam("most"))
            # Else SQLite's has a parameter for it.
            .offset(literal_column("0"))
        ),
        keep=keep,
        keep_row=keep_row,
        keep_end=keep_end,
        result=text(select(results).where(results.c.handle == bindparam("name"))),
        results=text(
            select(results)
            .where(results.c.handle > bindparam("after"))
            .order_by(results.c.handle)
            .limit(bindparam("most"))
            .offset(literal_column("0"))
        ),
        forget_results=text(delete(results).where(results.c.expires <= bindparam("now"))),
        highest=text(select(func.max(number)).where(number < bindparam("end"))),
        generation=text(select(generation.c.started)),
        forget_generation=text(delete(generation)),
        keep_generation=text(insert(generation).values(started=bindparam("started"))),
        create=(
            *(text(CreateTable(table)) for table in metadata.sorted_tables),
            *(
                text(CreateIndex(index))
                for table in metadata.sorted_tables
                for index in sorted(table.indexes, key=str)
            ),
            text(insert(version).values(version_num=literal_column(f"'{HEAD}'"))),
        ),
    )


def add_statement(dialect: Dialect, table: Table) -> Insert:
    """Return the insert of one row that leaves a row alone which has its number already."""
    if dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=[table.c.number])
    if dialect.name == "postgresql":
        # Whichever index it is: a job may also meet another's unique key.
        return postgresql.insert(table).on_conflict_do_nothing()
    # INSERT IGNORE would also ignore a workload that is cut off.
    return mysql.insert(table).on_duplicate_key_update(number=table.c.number)


def keep_statement(dialect: Dialect) -> Insert:
    """Return the insert of one result that replaces the one its handle has already."""
    names = [column.name for column in results.columns if not column.primary_key]
    if dialect.name == "mysql":
        one = mysql.insert(results)
        return one.on_duplicate_key_update({name: one.inserted[name] for name in names})
    insert_into = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    two = insert_into(results)
    return two.on_conflict_do_update(
        index_elements=[results.c.handle], set_={name: two.excluded[name] for name in names}
    )


def parted(text: str, keyword: str) -> tuple[str, str, str]:
    """Return what comes before the brackets behind a keyword, the brackets, and the rest."""
    start, _, rest = text.partition(f"{keyword}(")
    values, closed, end = rest.partition(")")
    assert closed, f"no brackets behind {keyword!r} in {text!r}"
    return start + keyword, f"({values})", end


def written(name: str, statements: Statements) -> str:
    """Return the source of a module that holds the statements."""
    lines = [
        f'"""{name}\'s statements, as ``python -m geartrain.store.compiling`` wrote them down."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final",
        "",
        "from geartrain.store.statements import Statements",
        "",
        f'HEAD: Final = "{HEAD}"',
        "STATEMENTS: Final = Statements(",
    ]
    for name, value in vars(statements).items():
        if isinstance(value, tuple):
            lines += [f"    {name}=(", *(f"{quoted(text, 88)}," for text in value), "    ),"]
        else:
            lines.append(f"    {name}={quoted(value, 92 - len(name))},")
    return "\n".join([*lines, ")", ""])


def quoted(text: str, room: int) -> str:
    """Return a string literal; in brackets and on several lines where it is too long for one."""
    mark = "'" if '"' in text else '"'
    if len(text) <= room:
        return f"{mark}{text}{mark}"
    lines = wrap(text, 84, drop_whitespace=False)
    return "(\n        " + "\n        ".join(f"{mark}{line}{mark}" for line in lines) + ")"


if __name__ == "__main__":
    for name, dialect in DIALECTS.items():
        here = Path(__file__).with_name(f"{name.lower()}_statements.py")
        here.write_text(written(name, compile_statements(dialect)))
