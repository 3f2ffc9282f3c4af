"""SQLite's statements, as ``python -m geartrain.store.compiling`` wrote them down."""

from __future__ import annotations

from typing import Final

from geartrain.store.statements import Statements

HEAD: Final = "0001"
STATEMENTS: Final = Statements(
    add=(
        "INSERT INTO geartrain_jobs (number, handle, function_name, unique_key, workload, "
        "priority, epoch, reducer, submitted, attempts) VALUES "
    ),
    add_row="(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    add_end=" ON CONFLICT (number) DO NOTHING",
    forget="DELETE FROM geartrain_jobs WHERE geartrain_jobs.number IN (",
    mark="?",
    keep_attempts="UPDATE geartrain_jobs SET epoch=?, attempts=? WHERE geartrain_jobs.number = ?",
    forget_refused=(
        "DELETE FROM geartrain_jobs WHERE geartrain_jobs.number = ? AND geartrain_jobs.handle = ?"
    ),
    handle="SELECT geartrain_jobs.handle FROM geartrain_jobs WHERE geartrain_jobs.number = ?",
    replay=(
        "SELECT geartrain_jobs.number, geartrain_jobs.handle, geartrain_jobs.function_name, "
        "geartrain_jobs.unique_key, geartrain_jobs.workload, geartrain_jobs.priority, "
        "geartrain_jobs.epoch, geartrain_jobs.reducer, geartrain_jobs.submitted, "
        "geartrain_jobs.attempts FROM geartrain_jobs ORDER BY geartrain_jobs.number"
    ),
    highest=(
        "SELECT max(geartrain_jobs.number) AS max_1 FROM geartrain_jobs WHERE "
        "geartrain_jobs.number < ?"
    ),
    generation="SELECT geartrain_generation.started FROM geartrain_generation",
    forget_generation="DELETE FROM geartrain_generation",
    keep_generation="INSERT INTO geartrain_generation (started) VALUES (?)",
    create=(
        "CREATE TABLE geartrain_generation ( started BIGINT NOT NULL )",
        (
            "CREATE TABLE geartrain_jobs ( number INTEGER NOT NULL, handle BLOB NOT NULL, "
            "function_name BLOB NOT NULL, unique_key BLOB NOT NULL, workload BLOB NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BLOB NOT NULL, submitted "
            "DOUBLE NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY (number) )"
        ),
        (
            "CREATE TABLE geartrain_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT "
            "geartrain_version_pkc PRIMARY KEY (version_num) )"
        ),
        "INSERT INTO geartrain_version (version_num) VALUES ('0001') RETURNING version_num",
    ),
)
