"""SQLite's statements, as ``python -m geartrain.store.compiling`` wrote them down."""

from __future__ import annotations

from typing import Final

from geartrain.store.statements import Statements

HEAD: Final = "0003"
STATEMENTS: Final = Statements(
    add=(
        "INSERT INTO geartrain_jobs (number, handle, function_name, unique_key, workload, "
        "priority, epoch, reducer, submitted, attempts) VALUES "
    ),
    add_row="(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    add_end=" ON CONFLICT (number) DO NOTHING",
    forget="DELETE FROM geartrain_jobs WHERE geartrain_jobs.number IN (",
    mark="?",
    forget_run="DELETE FROM geartrain_jobs WHERE geartrain_jobs.number BETWEEN ? AND ?",
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
            "CREATE TABLE geartrain_agents ( name VARCHAR(100) NOT NULL, tags TEXT NOT NULL, "
            "expires DOUBLE NOT NULL, since DOUBLE NOT NULL, table_revision BIGINT NOT NULL, "
            "version TEXT NOT NULL, PRIMARY KEY (name) )"
        ),
        (
            "CREATE TABLE geartrain_alerts ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, rule "
            "VARCHAR(64) NOT NULL, subject VARCHAR(200) NOT NULL, group_name TEXT NOT NULL, "
            "message TEXT NOT NULL, firing BOOLEAN NOT NULL, count BIGINT NOT NULL, since DOUBLE "
            "NOT NULL, last DOUBLE NOT NULL, said BIGINT NOT NULL, said_at DOUBLE NOT NULL, "
            "messages BIGINT NOT NULL, due DOUBLE NOT NULL, changes TEXT NOT NULL, "
            "acknowledged_by TEXT NOT NULL, CONSTRAINT geartrain_alerts_key UNIQUE (rule, "
            "subject) )"
        ),
        (
            "CREATE TABLE geartrain_audit ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, at "
            "DOUBLE NOT NULL, who TEXT NOT NULL, action VARCHAR(64) NOT NULL, subject TEXT NOT "
            "NULL, old_value TEXT NOT NULL, new_value TEXT NOT NULL )"
        ),
        (
            "CREATE TABLE geartrain_dead_letters ( number INTEGER NOT NULL, handle BLOB NOT NULL,"
            " function_name BLOB NOT NULL, unique_key BLOB NOT NULL, workload BLOB NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BLOB NOT NULL, submitted "
            "DOUBLE NOT NULL, attempts INTEGER NOT NULL, reason BLOB NOT NULL, died DOUBLE NOT "
            "NULL, PRIMARY KEY (number) )"
        ),
        (
            "CREATE TABLE geartrain_fires ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "
            "schedule BIGINT NOT NULL, generation INTEGER NOT NULL, nominal BIGINT NOT NULL, "
            "target VARCHAR(100) NOT NULL, previous BIGINT NOT NULL, due DOUBLE NOT NULL, state "
            "VARCHAR(16) NOT NULL, origin VARCHAR(16) NOT NULL, reason TEXT NOT NULL, count "
            "BIGINT NOT NULL, attempt INTEGER NOT NULL, owner VARCHAR(100) NOT NULL, epoch BIGINT"
            " NOT NULL, handle TEXT NOT NULL, server TEXT NOT NULL, created DOUBLE NOT NULL, "
            "submitted DOUBLE NOT NULL, started DOUBLE NOT NULL, ended DOUBLE NOT NULL, result "
            "BLOB NOT NULL, stage SMALLINT, batch BIGINT NOT NULL, CONSTRAINT geartrain_fires_key"
            " UNIQUE (schedule, generation, nominal, target) )"
        ),
        "CREATE TABLE geartrain_generation ( started BIGINT NOT NULL )",
        (
            "CREATE TABLE geartrain_instances ( name VARCHAR(100) NOT NULL, epoch BIGINT NOT "
            "NULL, host TEXT NOT NULL, expires DOUBLE NOT NULL, skew DOUBLE NOT NULL, tzdata "
            "VARCHAR(100) NOT NULL, started DOUBLE NOT NULL, writes BIGINT NOT NULL, PRIMARY KEY "
            "(name) )"
        ),
        (
            "CREATE TABLE geartrain_jobs ( number INTEGER NOT NULL, handle BLOB NOT NULL, "
            "function_name BLOB NOT NULL, unique_key BLOB NOT NULL, workload BLOB NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BLOB NOT NULL, submitted "
            "DOUBLE NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY (number) )"
        ),
        (
            "CREATE TABLE geartrain_messages ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "
            "channel TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, created DOUBLE NOT "
            "NULL, due DOUBLE NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, sent "
            "DOUBLE NOT NULL, owner VARCHAR(100) NOT NULL, epoch BIGINT NOT NULL )"
        ),
        (
            "CREATE TABLE geartrain_results ( handle BLOB NOT NULL, number BIGINT NOT NULL, "
            "function_name BLOB NOT NULL, outcome SMALLINT NOT NULL, data BLOB NOT NULL, ended "
            "DOUBLE NOT NULL, expires DOUBLE NOT NULL, PRIMARY KEY (handle) )"
        ),
        (
            "CREATE TABLE geartrain_schedule_revision ( one SMALLINT NOT NULL, number BIGINT NOT "
            "NULL, PRIMARY KEY (one) )"
        ),
        (
            "CREATE TABLE geartrain_schedules ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "
            "name VARCHAR(100) NOT NULL, definition TEXT NOT NULL, kind VARCHAR(16) NOT NULL, "
            "expression TEXT NOT NULL, timezone VARCHAR(100) NOT NULL, function TEXT NOT NULL, "
            "target VARCHAR(100) NOT NULL, source TEXT NOT NULL, generation INTEGER NOT NULL, "
            "revision BIGINT NOT NULL, enabled BOOLEAN NOT NULL, next_fire BIGINT NOT NULL, "
            "last_nominal BIGINT NOT NULL, since BIGINT NOT NULL, runs BIGINT NOT NULL, failures "
            "INTEGER NOT NULL, paused_at DOUBLE NOT NULL, paused_by TEXT NOT NULL, paused_why "
            "TEXT NOT NULL, paused_until DOUBLE NOT NULL, wake DOUBLE, CONSTRAINT "
            "geartrain_schedules_name UNIQUE (name) )"
        ),
        (
            "CREATE TABLE geartrain_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT "
            "geartrain_version_pkc PRIMARY KEY (version_num) )"
        ),
        "CREATE INDEX geartrain_alerts_due ON geartrain_alerts (due)",
        "CREATE INDEX geartrain_dead_letters_handle ON geartrain_dead_letters (handle)",
        (
            "CREATE INDEX geartrain_fires_open ON geartrain_fires (stage, schedule) WHERE stage "
            "IS NOT NULL"
        ),
        (
            "CREATE INDEX geartrain_fires_owner ON geartrain_fires (owner, state, due) WHERE "
            "stage IS NOT NULL"
        ),
        "CREATE INDEX geartrain_messages_due ON geartrain_messages (sent, due)",
        "CREATE INDEX geartrain_results_expires ON geartrain_results (expires)",
        "CREATE INDEX geartrain_schedules_kind ON geartrain_schedules (kind)",
        (
            "CREATE INDEX geartrain_schedules_wake ON geartrain_schedules (wake) WHERE wake IS "
            "NOT NULL"
        ),
        "INSERT INTO geartrain_version (version_num) VALUES ('0003') RETURNING version_num",
    ),
)
