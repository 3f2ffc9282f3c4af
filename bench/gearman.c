/*
 * The Gearman protocol: packets.
 *
 * Workers grab with GRAB_JOB_UNIQ until NO_JOB, say PRE_SLEEP, and grab again
 * when a NOOP wakes them.
 */

#include "load.h"
#include <arpa/inet.h>
#include <string.h>

/* Packet types, by the names of the protocol. */
enum {
    CAN_DO = 1, PRE_SLEEP = 4, NOOP = 6, SUBMIT_JOB = 7, JOB_CREATED = 8, NO_JOB = 10,
    WORK_COMPLETE = 13, ECHO_REQ = 16, ECHO_RES = 17, SUBMIT_JOB_BG = 18,
    ERROR = 19, GRAB_JOB_UNIQ = 30, JOB_ASSIGN_UNIQ = 31,
};

#define HEADER 12 /* "\0REQ" or "\0RES", type, size */

static void put32(char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
}

static uint32_t get32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

/* Add a packet to what will be written; its arguments go where the result points. */
static char *packet(struct connection *c, uint32_t type, size_t size)
{
    char *at = reserve(&c->out, HEADER + size);
    memcpy(at, "\0REQ", 4);
    put32(at + 4, type);
    put32(at + 8, (uint32_t)size);
    return at + HEADER;
}

/* The client's side. */

static void submit(struct connection *c, uint32_t index)
{
    uint32_t number = set.first + index;
    char function[ROOM_FOR_FUNCTION], unique[MAX_NAME];
    size_t function_length = put_function(function, number);
    size_t unique_length = put_unique(unique, number);
    char *at = packet(c, set.mode == FOREGROUND ? SUBMIT_JOB : SUBMIT_JOB_BG,
                      function_length + 1 + unique_length + 1 + set.size);
    memcpy(at, function, function_length);
    at += function_length;
    *at++ = '\0';
    memcpy(at, unique, unique_length);
    at += unique_length;
    *at++ = '\0';
    put_workload(at, number);
    submitted(c, index);
}

static void job_created(struct connection *c, const char *body, size_t size)
{
    if (size < 3 || memcmp(body, "H:", 2) != 0)
        die("a JOB_CREATED carries no handle");
    acknowledged(c)->handle = hash(body, size);
}

static void job_answered(struct connection *c, const char *body, size_t size)
{
    const char *end = memchr(body, '\0', size);
    if (end == NULL || set.mode != FOREGROUND)
        die("a WORK_COMPLETE came that nobody asked for");
    size_t handle = (size_t)(end - body);
    uint32_t number;
    struct job *job = job_of_workload(end + 1, size - handle - 1, &number);
    if (job->client != number_of(c) || !job->acked || job->handle != hash(body, handle))
        die("the answer to job %" PRIu32 " has another job's handle or client", number);
    if (job->answered)
        die("job %" PRIu32 " was answered twice", number);
    job->answered = true;
    job->time = now - job->time;
    c->outstanding--;
    mark(++count.answered);
}

/* The worker's side. */

static void grab(struct connection *c)
{
    packet(c, GRAB_JOB_UNIQ, 0);
    c->grabbing = true;
    c->asleep = false;
    count.grabbing++;
}

static void grab_answered(struct connection *c)
{
    if (!c->grabbing)
        die("a worker was answered that did not grab");
    c->grabbing = false;
    count.grabbing--;
}

static void check_assigned(const char *function, const char *unique, const char *workload,
                           size_t size)
{
    uint32_t number;
    struct job *job = job_of_workload(workload, size, &number);
    char expected[ROOM_FOR_FUNCTION];
    expected[put_function(expected, number)] = '\0';
    if (strcmp(function, expected) != 0)
        die("job %" PRIu32 " was assigned for %s instead of %s", number, function, expected);
    expected[put_unique(expected, number)] = '\0';
    if (strcmp(unique, expected) != 0)
        die("job %" PRIu32 " was assigned with the unique key %s", number, unique);
    if (job->run)
        die("job %" PRIu32 " was assigned twice", number);
    job->run = true;
}

static void job_assigned(struct connection *c, const char *body, size_t size)
{
    const char *part[3], *at = body, *end = body + size;
    for (int i = 0; i < 3; i++) {
        part[i] = at;
        at = memchr(at, '\0', (size_t)(end - at));
        if (at == NULL)
            die("a JOB_ASSIGN_UNIQ has fewer than four arguments");
        at++;
    }
    grab_answered(c);
    assigned(c);
    if (set.mode != IDLE)
        check_assigned(part[1], part[2], at, (size_t)(end - at));

    size_t handle = (size_t)(part[1] - part[0]); /* with its NUL */
    char *result = packet(c, WORK_COMPLETE, handle + (size_t)(end - at));
    memcpy(result, body, handle);
    memcpy(result + handle, at, (size_t)(end - at));
    grab(c);
}

static void fall_asleep(struct connection *c)
{
    grab_answered(c);
    packet(c, PRE_SLEEP, 0);
    c->asleep = true;
    if (c->phase == PROVING)
        packet(c, ECHO_REQ, 0); /* answered after PRE_SLEEP has been carried out */
    else
        count.no_jobs++;
}

static void woken(struct connection *c)
{
    count.noops++;
    if (c->asleep) /* a second NOOP may have crossed our grab */
        grab(c);
}

static void introduce(struct connection *c)
{
    for (uint32_t i = 0; c->role == WORKER && i < set.functions; i++) {
        char function[ROOM_FOR_FUNCTION];
        size_t length = put_function(function, i);
        memcpy(packet(c, CAN_DO, length), function, length);
    }
    /* Draining starts with the clock; all other workers begin asleep. */
    if (c->role == WORKER && set.mode != DRAIN)
        grab(c);
    else
        packet(c, ECHO_REQ, 0);
}

/* Both. */

static void refused(const char *body, size_t size)
{
    const char *end = memchr(body, '\0', size);
    die("the server answered ERROR %.*s", (int)(end == NULL ? size : (size_t)(end - body)), body);
}

static void carry_out(struct connection *c, uint32_t type, const char *body, size_t size)
{
    if (type == JOB_CREATED && c->role == CLIENT)
        job_created(c, body, size);
    else if (type == WORK_COMPLETE && c->role == CLIENT)
        job_answered(c, body, size);
    else if (type == JOB_ASSIGN_UNIQ && c->role == WORKER)
        job_assigned(c, body, size);
    else if (type == NO_JOB && c->role == WORKER)
        fall_asleep(c);
    else if (type == NOOP && c->role == WORKER)
        woken(c);
    else if (type == ECHO_RES)
        proved(c);
    else if (type == ERROR)
        refused(body, size);
    else
        die("a %s received a packet of type %" PRIu32, ROLES[c->role], type);
}

static size_t receive(struct connection *c, const char *bytes, size_t length)
{
    size_t at = 0;
    while (length - at >= HEADER) {
        const char *header = bytes + at;
        size_t size = get32(header + 8);
        if (memcmp(header, "\0RES", 4) != 0)
            die("the server sent something that is not a packet");
        if (size > (size_t)set.size + 4096 && set.mode != IDLE)
            die("the server sent a packet of %zu bytes", size);
        if (length - at - HEADER < size)
            break;
        carry_out(c, get32(header + 4), header + HEADER, size);
        at += HEADER + size;
    }
    return at;
}

const struct protocol GEARMAN = {"gearman", introduce, submit, grab, receive};
