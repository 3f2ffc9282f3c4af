/*
 * The protocol of beanstalkd: lines of text, workloads between them.
 *
 * A worker reserves a job, deletes it, and reserves the next; a reserve is
 * answered when there is a job. There are no results and no unique keys.
 */

#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINE 224 /* of an answer, and of a command */
#define SECONDS_TO_RUN 3600 /* a reserved job goes back into the queue when these are over */

static void put(struct connection *c, const char *text, size_t length)
{
    memcpy(reserve(&c->out, length), text, length);
}

static void submit(struct connection *c, uint32_t index)
{
    char line[MAX_LINE];
    int length = sprintf(line, "put 0 0 %d %" PRIu32 "\r\n", SECONDS_TO_RUN, set.size);
    put(c, line, (size_t)length);
    put_workload(reserve(&c->out, set.size), set.first + index);
    put(c, "\r\n", 2);
    submitted(c, index);
}

static void grab(struct connection *c)
{
    put(c, "reserve\r\n", 9);
}

static void introduce(struct connection *c)
{
    put(c, "list-tube-used\r\n", 16);
    if (c->role == WORKER && set.mode != DRAIN)
        grab(c);
}

static void reserved(struct connection *c, const char *id, const char *workload, size_t size)
{
    uint32_t number;
    struct job *job = job_of_workload(workload, size, &number);
    if (job->run)
        die("job %" PRIu32 " was reserved twice", number);
    job->run = true;
    assigned(c);
    char line[MAX_LINE];
    put(c, line, (size_t)sprintf(line, "delete %.*s\r\n", (int)strcspn(id, " "), id));
    count.grabbing++; /* until DELETED */
    grab(c);
}

static void carry_out(struct connection *c, const char *line, size_t length)
{
    if (length > 9 && memcmp(line, "INSERTED ", 9) == 0 && c->role == CLIENT)
        acknowledged(c)->handle = hash(line, length);
    else if (length == 7 && memcmp(line, "DELETED", 7) == 0 && c->role == WORKER)
        count.grabbing--;
    else if (length > 6 && memcmp(line, "USING ", 6) == 0)
        proved(c);
    else
        die("the server answered a %s %.*s", ROLES[c->role], (int)length, line);
}

/* Carry out the first answer, if it is whole; returns its length, or 0. */
static size_t receive_one(struct connection *c, const char *bytes, size_t length)
{
    const char *end = memmem(bytes, length, "\r\n", 2);
    if (end == NULL) {
        if (length > MAX_LINE)
            die("the server sent a line without an end");
        return 0;
    }
    size_t line = (size_t)(end - bytes);
    if (line < 9 || memcmp(bytes, "RESERVED ", 9) != 0) {
        carry_out(c, bytes, line);
        return line + 2;
    }
    const char *size_at = memchr(bytes + 9, ' ', line - 9);
    if (size_at == NULL || c->role != WORKER)
        die("the server answered a %s %.*s", ROLES[c->role], (int)line, bytes);
    size_t size = strtoul(size_at + 1, NULL, 10);
    if (size != set.size)
        die("the server sent a workload of %zu bytes", size);
    if (length < line + 2 + size + 2)
        return 0;
    reserved(c, bytes + 9, bytes + line + 2, size);
    return line + 2 + size + 2;
}

static size_t receive(struct connection *c, const char *bytes, size_t length)
{
    size_t at = 0, more;
    while (at < length && (more = receive_one(c, bytes + at, length - at)) > 0)
        at += more;
    return at;
}

const struct protocol BEANSTALK = {"beanstalk", introduce, submit, grab, receive};
