"""MySQL's statements, as ``python -m geartrain.store.compiling`` wrote them down."""

from __future__ import annotations

from typing import Final

from geartrain.store.statements import Statements

HEAD: Final = "0003"
STATEMENTS: Final = Statements(
    add=(
        "INSERT INTO geartrain_jobs (number, handle, function_name, unique_key, workload, "
        "priority, epoch, reducer, submitted, attempts, coalesce_key) VALUES "
    ),
    add_row="(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, NULLIF(%s, ''))",
    add_end=" ON DUPLICATE KEY UPDATE number = geartrain_jobs.number",
    forget="DELETE FROM geartrain_jobs WHERE geartrain_jobs.number IN (",
    mark="%s",
    forget_run="DELETE FROM geartrain_jobs WHERE geartrain_jobs.number BETWEEN %s AND %s",
    keep_attempts=(
        "UPDATE geartrain_jobs SET epoch=%s, attempts=%s WHERE geartrain_jobs.number = %s"
    ),
    forget_refused=(
        "DELETE FROM geartrain_jobs WHERE geartrain_jobs.number = %s AND geartrain_jobs.handle = %s"
    ),
    handle="SELECT geartrain_jobs.handle FROM geartrain_jobs WHERE geartrain_jobs.number = %s",
    replay=(
        "SELECT geartrain_jobs.number, geartrain_jobs.handle, geartrain_jobs.function_name, "
        "geartrain_jobs.unique_key, geartrain_jobs.workload, geartrain_jobs.priority, "
        "geartrain_jobs.epoch, geartrain_jobs.reducer, geartrain_jobs.submitted, "
        "geartrain_jobs.attempts FROM geartrain_jobs ORDER BY geartrain_jobs.number"
    ),
    bury=(
        "INSERT INTO geartrain_dead_letters (number, handle, function_name, unique_key, "
        "workload, priority, epoch, reducer, submitted, attempts, reason, died) VALUES (%s, "
        "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE number = "
        "geartrain_dead_letters.number"
    ),
    unbury="DELETE FROM geartrain_dead_letters WHERE geartrain_dead_letters.number = %s",
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
        "geartrain_dead_letters WHERE geartrain_dead_letters.number > %s ORDER BY "
        "geartrain_dead_letters.number LIMIT 0, %s"
    ),
    keep=(
        "INSERT INTO geartrain_results (handle, number, function_name, outcome, data, ended, "
        "expires) VALUES "
    ),
    keep_row="(%s, %s, %s, %s, %s, %s, %s)",
    keep_end=(
        " ON DUPLICATE KEY UPDATE number = VALUES(number), function_name = "
        "VALUES(function_name), outcome = VALUES(outcome), data = VALUES(data), ended = "
        "VALUES(ended), expires = VALUES(expires)"
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
        "geartrain_results.handle > %s ORDER BY geartrain_results.handle LIMIT 0, %s"
    ),
    forget_results="DELETE FROM geartrain_results WHERE geartrain_results.expires <= %s",
    highest=(
        "SELECT max(geartrain_jobs.number) AS max_1 FROM geartrain_jobs WHERE "
        "geartrain_jobs.number < %s"
    ),
    generation="SELECT geartrain_generation.started FROM geartrain_generation",
    forget_generation="DELETE FROM geartrain_generation",
    keep_generation="INSERT INTO geartrain_generation (started) VALUES (%s)",
    create=(
        (
            "CREATE TABLE geartrain_agents ( name VARCHAR(100) CHARACTER SET ascii COLLATE "
            "ascii_bin NOT NULL, tags MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT "
            "NULL, expires DOUBLE NOT NULL, since DOUBLE NOT NULL, table_revision BIGINT NOT "
            "NULL, version MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, PRIMARY"
            " KEY (name) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_alerts ( id BIGINT NOT NULL AUTO_INCREMENT, rule VARCHAR(64) "
            "CHARACTER SET ascii COLLATE ascii_bin NOT NULL, subject VARCHAR(200) CHARACTER SET "
            "utf8mb4 COLLATE utf8mb4_bin NOT NULL, group_name MEDIUMTEXT CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin NOT NULL, message MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE "
            "utf8mb4_bin NOT NULL, firing BOOL NOT NULL, count BIGINT NOT NULL, since DOUBLE NOT "
            "NULL, last DOUBLE NOT NULL, said BIGINT NOT NULL, said_at DOUBLE NOT NULL, messages "
            "BIGINT NOT NULL, due DOUBLE NOT NULL, changes MEDIUMTEXT CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin NOT NULL, acknowledged_by MEDIUMTEXT CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin NOT NULL, PRIMARY KEY (id), CONSTRAINT geartrain_alerts_key "
            "UNIQUE (rule, subject) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_audit ( id BIGINT NOT NULL AUTO_INCREMENT, at DOUBLE NOT "
            "NULL, who MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, action "
            "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, subject MEDIUMTEXT "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, old_value MEDIUMTEXT CHARACTER "
            "SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, new_value MEDIUMTEXT CHARACTER SET utf8mb4"
            " COLLATE utf8mb4_bin NOT NULL, PRIMARY KEY (id) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_dead_letters ( number BIGINT NOT NULL, handle VARBINARY(63) "
            "NOT NULL, function_name BLOB(16777215) NOT NULL, unique_key BLOB(16777215) NOT NULL,"
            " workload BLOB(4294967295) NOT NULL, priority SMALLINT NOT NULL, epoch BIGINT NOT "
            "NULL, reducer BLOB(16777215) NOT NULL, submitted DOUBLE NOT NULL, attempts INTEGER "
            "NOT NULL, reason BLOB(16777215) NOT NULL, died DOUBLE NOT NULL, PRIMARY KEY (number)"
            " )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_fires ( id BIGINT NOT NULL AUTO_INCREMENT, schedule BIGINT "
            "NOT NULL, generation INTEGER NOT NULL, nominal BIGINT NOT NULL, target VARCHAR(100) "
            "CHARACTER SET ascii COLLATE ascii_bin NOT NULL, previous BIGINT NOT NULL, due DOUBLE"
            " NOT NULL, state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, origin "
            "VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, reason MEDIUMTEXT "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, count BIGINT NOT NULL, attempt "
            "INTEGER NOT NULL, owner VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
            " epoch BIGINT NOT NULL, handle MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin "
            "NOT NULL, server MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, "
            "created DOUBLE NOT NULL, submitted DOUBLE NOT NULL, started DOUBLE NOT NULL, ended "
            "DOUBLE NOT NULL, result BLOB(16777215) NOT NULL, stage SMALLINT, batch BIGINT NOT "
            "NULL, PRIMARY KEY (id), CONSTRAINT geartrain_fires_key UNIQUE (schedule, generation,"
            " nominal, target) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_instances ( name VARCHAR(100) CHARACTER SET ascii COLLATE "
            "ascii_bin NOT NULL, epoch BIGINT NOT NULL, host MEDIUMTEXT CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin NOT NULL, expires DOUBLE NOT NULL, skew DOUBLE NOT NULL, tzdata "
            "VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, started DOUBLE NOT "
            "NULL, writes BIGINT NOT NULL, PRIMARY KEY (name) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_jobs ( number BIGINT NOT NULL, handle VARBINARY(63) NOT NULL,"
            " function_name BLOB(16777215) NOT NULL, unique_key BLOB(16777215) NOT NULL, workload"
            " BLOB(4294967295) NOT NULL, priority SMALLINT NOT NULL, epoch BIGINT NOT NULL, "
            "reducer BLOB(16777215) NOT NULL, submitted DOUBLE NOT NULL, attempts INTEGER NOT "
            "NULL, coalesce_key VARBINARY(20), joined BIGINT NOT NULL DEFAULT 0, PRIMARY KEY "
            "(number) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_messages ( id BIGINT NOT NULL AUTO_INCREMENT, channel "
            "MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, title MEDIUMTEXT "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, body MEDIUMTEXT CHARACTER SET "
            "utf8mb4 COLLATE utf8mb4_bin NOT NULL, created DOUBLE NOT NULL, due DOUBLE NOT NULL, "
            "attempts INTEGER NOT NULL, error MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE "
            "utf8mb4_bin NOT NULL, sent DOUBLE NOT NULL, owner VARCHAR(100) CHARACTER SET ascii "
            "COLLATE ascii_bin NOT NULL, epoch BIGINT NOT NULL, PRIMARY KEY (id) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_results ( handle VARBINARY(63) NOT NULL, number BIGINT NOT "
            "NULL, function_name BLOB(16777215) NOT NULL, outcome SMALLINT NOT NULL, data "
            "BLOB(4294967295) NOT NULL, ended DOUBLE NOT NULL, expires DOUBLE NOT NULL, PRIMARY "
            "KEY (handle) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_schedule_revision ( one SMALLINT NOT NULL, number BIGINT NOT "
            "NULL, PRIMARY KEY (one) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_schedules ( id BIGINT NOT NULL AUTO_INCREMENT, name "
            "VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, definition MEDIUMTEXT "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, kind VARCHAR(16) CHARACTER SET "
            "ascii COLLATE ascii_bin NOT NULL, expression MEDIUMTEXT CHARACTER SET utf8mb4 "
            "COLLATE utf8mb4_bin NOT NULL, timezone VARCHAR(100) CHARACTER SET ascii COLLATE "
            "ascii_bin NOT NULL, `function` MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin "
            "NOT NULL, target VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, source"
            " MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, generation INTEGER "
            "NOT NULL, revision BIGINT NOT NULL, enabled BOOL NOT NULL, next_fire BIGINT NOT "
            "NULL, last_nominal BIGINT NOT NULL, since BIGINT NOT NULL, runs BIGINT NOT NULL, "
            "failures INTEGER NOT NULL, paused_at DOUBLE NOT NULL, paused_by MEDIUMTEXT CHARACTER"
            " SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, paused_why MEDIUMTEXT CHARACTER SET "
            "utf8mb4 COLLATE utf8mb4_bin NOT NULL, paused_until DOUBLE NOT NULL, wake DOUBLE, "
            "PRIMARY KEY (id), CONSTRAINT geartrain_schedules_name UNIQUE (name) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_servers ( generation BIGINT NOT NULL, name VARBINARY(255) NOT"
            " NULL, address VARBINARY(255) NOT NULL, prefix VARBINARY(63) NOT NULL, expires "
            "DOUBLE NOT NULL, taken_by BIGINT NOT NULL, renewals BIGINT NOT NULL, PRIMARY KEY "
            "(generation) )ENGINE=InnoDB"
        ),
        (
            "CREATE TABLE geartrain_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT "
            "geartrain_version_pkc PRIMARY KEY (version_num) )"
        ),
        "CREATE INDEX geartrain_alerts_due ON geartrain_alerts (due)",
        "CREATE INDEX geartrain_dead_letters_handle ON geartrain_dead_letters (handle)",
        "CREATE INDEX geartrain_fires_open ON geartrain_fires (stage, schedule)",
        "CREATE INDEX geartrain_fires_owner ON geartrain_fires (owner, state, due)",
        "CREATE UNIQUE INDEX geartrain_coalesce ON geartrain_jobs (coalesce_key)",
        "CREATE INDEX geartrain_messages_due ON geartrain_messages (sent, due)",
        "CREATE INDEX geartrain_results_expires ON geartrain_results (expires)",
        "CREATE INDEX geartrain_schedules_kind ON geartrain_schedules (kind)",
        "CREATE INDEX geartrain_schedules_wake ON geartrain_schedules (wake)",
        "INSERT INTO geartrain_version (version_num) VALUES ('0003')",
    ),
)
