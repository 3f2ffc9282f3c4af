"""PostgreSQL's statements, as ``python -m geartrain.store.compiling`` wrote them down."""

from __future__ import annotations

from typing import Final

from geartrain.store.statements import Statements

HEAD: Final = "0003"
STATEMENTS: Final = Statements(
    add=(
        "INSERT INTO geartrain_jobs (number, handle, function_name, unique_key, workload, "
        "priority, epoch, reducer, submitted, attempts, coalesce_key) VALUES "
    ),
    add_row=(
        "(%s::BIGINT, %s, %s, %s, %s, %s::SMALLINT, %s::BIGINT, %s, %s, %s::INTEGER, "
        "NULLIF(%s, ''))"
    ),
    add_end=" ON CONFLICT DO NOTHING",
    forget="DELETE FROM geartrain_jobs WHERE geartrain_jobs.number IN (",
    mark="%s::BIGINT",
    forget_run=(
        "DELETE FROM geartrain_jobs WHERE geartrain_jobs.number BETWEEN %s::BIGINT AND %s::BIGINT"
    ),
    keep_attempts=(
        "UPDATE geartrain_jobs SET epoch=%s::BIGINT, attempts=%s::INTEGER WHERE "
        "geartrain_jobs.number = %s::BIGINT"
    ),
    forget_refused=(
        "DELETE FROM geartrain_jobs WHERE geartrain_jobs.number = %s::BIGINT AND "
        "geartrain_jobs.handle = %s"
    ),
    handle=(
        "SELECT geartrain_jobs.handle FROM geartrain_jobs WHERE geartrain_jobs.number = %s::BIGINT"
    ),
    replay=(
        "SELECT geartrain_jobs.number, geartrain_jobs.handle, geartrain_jobs.function_name, "
        "geartrain_jobs.unique_key, geartrain_jobs.workload, geartrain_jobs.priority, "
        "geartrain_jobs.epoch, geartrain_jobs.reducer, geartrain_jobs.submitted, "
        "geartrain_jobs.attempts FROM geartrain_jobs ORDER BY geartrain_jobs.number"
    ),
    bury=(
        "INSERT INTO geartrain_dead_letters (number, handle, function_name, unique_key, "
        "workload, priority, epoch, reducer, submitted, attempts, reason, died) VALUES "
        "(%s::BIGINT, %s, %s, %s, %s, %s::SMALLINT, %s::BIGINT, %s, %s, %s::INTEGER, %s, %s) "
        "ON CONFLICT DO NOTHING"
    ),
    unbury="DELETE FROM geartrain_dead_letters WHERE geartrain_dead_letters.number = %s::BIGINT",
    letter=(
        "SELECT geartrain_dead_letters.number, geartrain_dead_letters.handle, "
        "geartrain_dead_letters.function_name, geartrain_dead_letters.unique_key, "
        "geartrain_dead_letters.workload, geartrain_dead_letters.priority, "
        "geartrain_dead_letters.epoch, geartrain_dead_letters.reducer, "
        "geartrain_dead_letters.submitted, geartrain_dead_letters.attempts, "
        "geartrain_dead_letters.reason, geartrain_dead_letters.died FROM "
        "geartrain_dead_letters WHERE geartrain_dead_letters.handle = %s"
    ),
    letters=(
        "SELECT geartrain_dead_letters.number, geartrain_dead_letters.handle, "
        "geartrain_dead_letters.function_name, geartrain_dead_letters.unique_key, "
        "geartrain_dead_letters.workload, geartrain_dead_letters.priority, "
        "geartrain_dead_letters.epoch, geartrain_dead_letters.reducer, "
        "geartrain_dead_letters.submitted, geartrain_dead_letters.attempts, "
        "geartrain_dead_letters.reason, geartrain_dead_letters.died FROM "
        "geartrain_dead_letters WHERE geartrain_dead_letters.number > %s::BIGINT ORDER BY "
        "geartrain_dead_letters.number LIMIT %s OFFSET 0"
    ),
    keep=(
        "INSERT INTO geartrain_results (handle, number, function_name, outcome, data, ended, "
        "expires) VALUES "
    ),
    keep_row="(%s, %s::BIGINT, %s, %s::SMALLINT, %s, %s, %s)",
    keep_end=(
        " ON CONFLICT (handle) DO UPDATE SET number = excluded.number, function_name = "
        "excluded.function_name, outcome = excluded.outcome, data = excluded.data, ended = "
        "excluded.ended, expires = excluded.expires"
    ),
    result=(
        "SELECT geartrain_results.handle, geartrain_results.number, "
        "geartrain_results.function_name, geartrain_results.outcome, geartrain_results.data, "
        "geartrain_results.ended, geartrain_results.expires FROM geartrain_results WHERE "
        "geartrain_results.handle = %s"
    ),
    results=(
        "SELECT geartrain_results.handle, geartrain_results.number, "
        "geartrain_results.function_name, geartrain_results.outcome, geartrain_results.data, "
        "geartrain_results.ended, geartrain_results.expires FROM geartrain_results WHERE "
        "geartrain_results.handle > %s ORDER BY geartrain_results.handle LIMIT %s OFFSET 0"
    ),
    forget_results="DELETE FROM geartrain_results WHERE geartrain_results.expires <= %s",
    highest=(
        "SELECT max(geartrain_jobs.number) AS max_1 FROM geartrain_jobs WHERE "
        "geartrain_jobs.number < %s::BIGINT"
    ),
    generation="SELECT geartrain_generation.started FROM geartrain_generation",
    forget_generation="DELETE FROM geartrain_generation",
    keep_generation="INSERT INTO geartrain_generation (started) VALUES (%s::BIGINT)",
    create=(
        (
            'CREATE TABLE geartrain_agents ( name VARCHAR(100) COLLATE "C" NOT NULL, tags TEXT '
            "NOT NULL, expires DOUBLE PRECISION NOT NULL, since DOUBLE PRECISION NOT NULL, "
            "table_revision BIGINT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (name) )"
        ),
        (
            'CREATE TABLE geartrain_alerts ( id BIGSERIAL NOT NULL, rule VARCHAR(64) COLLATE "C" '
            "NOT NULL, subject VARCHAR(200) NOT NULL, group_name TEXT NOT NULL, message TEXT NOT "
            "NULL, firing BOOLEAN NOT NULL, count BIGINT NOT NULL, since DOUBLE PRECISION NOT "
            "NULL, last DOUBLE PRECISION NOT NULL, said BIGINT NOT NULL, said_at DOUBLE PRECISION"
            " NOT NULL, messages BIGINT NOT NULL, due DOUBLE PRECISION NOT NULL, changes TEXT NOT"
            " NULL, acknowledged_by TEXT NOT NULL, PRIMARY KEY (id), CONSTRAINT "
            "geartrain_alerts_key UNIQUE (rule, subject) )"
        ),
        (
            "CREATE TABLE geartrain_audit ( id BIGSERIAL NOT NULL, at DOUBLE PRECISION NOT NULL, "
            'who TEXT NOT NULL, action VARCHAR(64) COLLATE "C" NOT NULL, subject TEXT NOT NULL, '
            "old_value TEXT NOT NULL, new_value TEXT NOT NULL, PRIMARY KEY (id) )"
        ),
        (
            "CREATE TABLE geartrain_dead_letters ( number BIGINT NOT NULL, handle BYTEA NOT NULL,"
            " function_name BYTEA NOT NULL, unique_key BYTEA NOT NULL, workload BYTEA NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BYTEA NOT NULL, submitted"
            " DOUBLE PRECISION NOT NULL, attempts INTEGER NOT NULL, reason BYTEA NOT NULL, died "
            "DOUBLE PRECISION NOT NULL, PRIMARY KEY (number) )"
        ),
        (
            "CREATE TABLE geartrain_fires ( id BIGSERIAL NOT NULL, schedule BIGINT NOT NULL, "
            "generation INTEGER NOT NULL, nominal BIGINT NOT NULL, target VARCHAR(100) COLLATE "
            '"C" NOT NULL, previous BIGINT NOT NULL, due DOUBLE PRECISION NOT NULL, state '
            'VARCHAR(16) COLLATE "C" NOT NULL, origin VARCHAR(16) COLLATE "C" NOT NULL, reason '
            "TEXT NOT NULL, count BIGINT NOT NULL, attempt INTEGER NOT NULL, owner VARCHAR(100) "
            'COLLATE "C" NOT NULL, epoch BIGINT NOT NULL, handle TEXT NOT NULL, server TEXT NOT '
            "NULL, created DOUBLE PRECISION NOT NULL, submitted DOUBLE PRECISION NOT NULL, "
            "started DOUBLE PRECISION NOT NULL, ended DOUBLE PRECISION NOT NULL, result BYTEA NOT"
            " NULL, stage SMALLINT, batch BIGINT NOT NULL, PRIMARY KEY (id), CONSTRAINT "
            "geartrain_fires_key UNIQUE (schedule, generation, nominal, target) )"
        ),
        (
            'CREATE TABLE geartrain_instances ( name VARCHAR(100) COLLATE "C" NOT NULL, epoch '
            "BIGINT NOT NULL, host TEXT NOT NULL, expires DOUBLE PRECISION NOT NULL, skew DOUBLE "
            'PRECISION NOT NULL, tzdata VARCHAR(100) COLLATE "C" NOT NULL, started DOUBLE '
            "PRECISION NOT NULL, writes BIGINT NOT NULL, PRIMARY KEY (name) )"
        ),
        (
            "CREATE TABLE geartrain_jobs ( number BIGINT NOT NULL, handle BYTEA NOT NULL, "
            "function_name BYTEA NOT NULL, unique_key BYTEA NOT NULL, workload BYTEA NOT NULL, "
            "priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, reducer BYTEA NOT NULL, submitted"
            " DOUBLE PRECISION NOT NULL, attempts INTEGER NOT NULL, coalesce_key BYTEA, joined "
            "BIGINT DEFAULT 0 NOT NULL, PRIMARY KEY (number) )"
        ),
        (
            "CREATE TABLE geartrain_messages ( id BIGSERIAL NOT NULL, channel TEXT NOT NULL, "
            "title TEXT NOT NULL, body TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, due "
            "DOUBLE PRECISION NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, sent "
            'DOUBLE PRECISION NOT NULL, owner VARCHAR(100) COLLATE "C" NOT NULL, epoch BIGINT NOT'
            " NULL, PRIMARY KEY (id) )"
        ),
        (
            "CREATE TABLE geartrain_results ( handle BYTEA NOT NULL, number BIGINT NOT NULL, "
            "function_name BYTEA NOT NULL, outcome SMALLINT NOT NULL, data BYTEA NOT NULL, ended "
            "DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL, PRIMARY KEY (handle) )"
        ),
        (
            "CREATE TABLE geartrain_schedule_revision ( one SMALLINT NOT NULL, number BIGINT NOT "
            "NULL, PRIMARY KEY (one) )"
        ),
        (
            "CREATE TABLE geartrain_schedules ( id BIGSERIAL NOT NULL, name VARCHAR(100) COLLATE "
            '"C" NOT NULL, definition TEXT NOT NULL, kind VARCHAR(16) COLLATE "C" NOT NULL, '
            'expression TEXT NOT NULL, timezone VARCHAR(100) COLLATE "C" NOT NULL, function TEXT '
            'NOT NULL, target VARCHAR(100) COLLATE "C" NOT NULL, source TEXT NOT NULL, generation'
            " INTEGER NOT NULL, revision BIGINT NOT NULL, enabled BOOLEAN NOT NULL, next_fire "
            "BIGINT NOT NULL, last_nominal BIGINT NOT NULL, since BIGINT NOT NULL, runs BIGINT "
            "NOT NULL, failures INTEGER NOT NULL, paused_at DOUBLE PRECISION NOT NULL, paused_by "
            "TEXT NOT NULL, paused_why TEXT NOT NULL, paused_until DOUBLE PRECISION NOT NULL, "
            "wake DOUBLE PRECISION, PRIMARY KEY (id), CONSTRAINT geartrain_schedules_name UNIQUE "
            "(name) )"
        ),
        (
            "CREATE TABLE geartrain_servers ( generation BIGINT NOT NULL, name BYTEA NOT NULL, "
            "address BYTEA NOT NULL, prefix BYTEA NOT NULL, expires DOUBLE PRECISION NOT NULL, "
            "taken_by BIGINT NOT NULL, renewals BIGINT NOT NULL, PRIMARY KEY (generation) )"
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
        (
            "CREATE UNIQUE INDEX geartrain_coalesce ON geartrain_jobs (coalesce_key) WHERE "
            "coalesce_key IS NOT NULL"
        ),
        "CREATE INDEX geartrain_messages_due ON geartrain_messages (sent, due)",
        "CREATE INDEX geartrain_results_expires ON geartrain_results (expires)",
        "CREATE INDEX geartrain_schedules_kind ON geartrain_schedules (kind)",
        (
            "CREATE INDEX geartrain_schedules_wake ON geartrain_schedules (wake) WHERE wake IS "
            "NOT NULL"
        ),
        (
            "INSERT INTO geartrain_version (version_num) VALUES ('0003') RETURNING "
            "geartrain_version.version_num"
        ),
    ),
)
