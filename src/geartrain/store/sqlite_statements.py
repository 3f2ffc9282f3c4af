"""SQLite's statements, as ``python -m geartrain.store.compiling`` wrote them down."""

from __future__ import annotations

from typing import Final

from geartrain.store.statements import Statements

HEAD: Final = "0002"
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
    bury=(
        "INSERT INTO geartrain_dead_letters (number, handle, function_name, unique_key, "
        "workload, priority, epoch, reducer, submitted, attempts, reason, died) VALUES (?, ?,"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO NOTHING"
    ),
    unbury="DELETE FROM geartrain_dead_letters WHERE geartrain_dead_letters.number = ?",
    letter=(
        "SELECT geartrain_dead_letters.number, geartrain_dead_letters.handle, "
        "geartrain_dead_letters.function_name, geartrain_dead_letters.unique_key, "
        "geartrain_dead_letters.workload, geartrain_dead_letters.priority, "
        "geartrain_dead_letters.epoch, geartrain_dead_letters.reducer, "
        "geartrain_dead_letters.submitted, geartrain_dead_letters.attempts, "
        "geartrain_dead_letters.reason, geartrain_dead_letters.died FROM "
        "geartrain_dead_letters WHERE geartrain_dead_letters.handle = ?"
    ),
    letters=(
        "SELECT geartrain_dead_letters.number, geartrain_dead_letters.handle, "
        "geartrain_dead_letters.function_name, geartrain_dead_letters.unique_key, "
        "geartrain_dead_letters.workload, geartrain_dead_letters.priority, "
        "geartrain_dead_letters.epoch, geartrain_dead_letters.reducer, "
        "geartrain_dead_letters.submitted, geartrain_dead_letters.attempts, "
        "geartrain_dead_letters.reason, geartrain_dead_letters.died FROM "
        "geartrain_dead_letters WHERE geartrain_dead_letters.number > ? ORDER BY "
        "geartrain_dead_letters.number LIMIT ? OFFSET 0"
    ),
    keep=(
        "INSERT INTO geartrain_results (handle, number, function_name, outcome, data, ended, "
        "expires) VALUES "
    ),
    keep_row="(?, ?, ?, ?, ?, ?, ?)",
    keep_end=(
        " ON CONFLICT (handle) DO UPDATE SET number = excluded.number, function_name = "
        "excluded.function_name, outcome = excluded.outcome, data = excluded.data, ended = "
        "excluded.ended, expires = excluded.expires"
    ),
    result=(
        "SELECT geartrain_results.handle, geartrain_results.number, "
        "geartrain_results.function_name, geartrain_results.outcome, geartrain_results.data, "
        "geartrain_results.ended, geartrain_results.expires FROM geartrain_results WHERE "
        "geartrain_results.handle = ?"
    ),
    results=(
        "SELECT geartrain_results.handle, geartrain_results.number, "
        "geartrain_results.function_name, geartrain_results.outcome, geartrain_results.data, "
        "geartrain_results.ended, geartrain_results.expires FROM geartrain_results WHERE "
        "geartrain_results.handle > ? ORDER BY geartrain_results.handle LIMIT ? OFFSET 0"
    ),
    forget_results="DELETE FROM geartrain_results WHERE geartrain_results.expires <= ?",
    highest=(
        "SELECT max(geartrain_jobs.number) AS max_1 FROM geartrain_jobs WHERE "
        "geartrain_jobs.number < ?"
    ),
    generation="SELECT geartrain_generation.started FROM geartrain_generation",
    forget_generation="DELETE FROM geartrain_generation",
    keep_generation="INSERT INTO geartrain_generation (started) VALUES (?)",
    create=(
        (
            "CREATE TABLE geartrain_dead_letters ( number INTEGER NOT NULL, handle BLOB NOT NULL,"
            " function_name BLOB NOT NULL, unique_key BLOB NOT NULL, workload BLOB NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BLOB NOT NULL, submitted "
            "DOUBLE NOT NULL, attempts INTEGER NOT NULL, reason BLOB NOT NULL, died DOUBLE NOT "
            "NULL, PRIMARY KEY (number) )"
        ),
        "CREATE TABLE geartrain_generation ( started BIGINT NOT NULL )",
        (
            "CREATE TABLE geartrain_jobs ( number INTEGER NOT NULL, handle BLOB NOT NULL, "
            "function_name BLOB NOT NULL, unique_key BLOB NOT NULL, workload BLOB NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BLOB NOT NULL, submitted "
            "DOUBLE NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY (number) )"
        ),
        (
            "CREATE TABLE geartrain_results ( handle BLOB NOT NULL, number BIGINT NOT NULL, "
            "function_name BLOB NOT NULL, outcome SMALLINT NOT NULL, data BLOB NOT NULL, ended "
            "DOUBLE NOT NULL, expires DOUBLE NOT NULL, PRIMARY KEY (handle) )"
        ),
        (
            "CREATE TABLE geartrain_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT "
            "geartrain_version_pkc PRIMARY KEY (version_num) )"
        ),
        "CREATE INDEX geartrain_dead_letters_handle ON geartrain_dead_letters (handle)",
        "CREATE INDEX geartrain_results_expires ON geartrain_results (expires)",
        "INSERT INTO geartrain_version (version_num) VALUES ('0002') RETURNING version_num",
    ),
)
