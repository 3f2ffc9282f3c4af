/*
 * What the load generator's files share: the run that was asked for, the ledger
 * of its jobs, connections, and what a protocol has to do.
 */

#ifndef LOAD_H
#define LOAD_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_NAME 64 /* function names and unique keys, in bytes */
#define ROOM_FOR_FUNCTION (MAX_NAME + 16)

enum mode { FOREGROUND, SUBMIT, DRAIN, BOTH, IDLE };

struct protocol;

/* What the command line asked for. */
struct settings {
    enum mode mode;
    const struct protocol *protocol;
    const char *host, *port, *path;
    const char *function;
    uint32_t functions, clients, workers, idle, outstanding, jobs, first;
    uint32_t connecting; /* connections being opened at a time, 0 for all at once */
    uint32_t server_pid;
    uint32_t size;
    bool unique;
    double seconds, timeout;
};

extern struct settings set;

/* Errors end the run: a figure from a faulty run is worth nothing. */
__attribute__((noreturn, format(printf, 1, 2)))
void die(const char *format, ...);

/* The ledger: what is known of every job. */

struct job {
    uint64_t time;   /* when it was submitted; once answered, how long that took (ns) */
    uint64_t handle; /* hash of the name that the server gave it */
    uint32_t client; /* the connection that submitted it */
    bool acked, run, answered;
};

struct counts {
    uint32_t submitted, acked, run, answered;
    uint32_t grabbing; /* workers whose last word about a job has no answer yet */
    uint32_t noops;    /* wake-ups received */
    uint32_t no_jobs;  /* of these and of the grabs after a job, how many found nothing */
};

extern struct job *ledger;
extern struct counts count;
extern uint64_t now; /* nanoseconds */

void mark(uint32_t done); /* keeps the moments when the first and the last tenth divide */
uint64_t hash(const char *bytes, size_t length);

/* What a job looks like is a function of its number, so that nothing has to be remembered. */

size_t put_function(char *at, uint32_t number);
size_t put_unique(char *at, uint32_t number);
void put_workload(char *at, uint32_t number);

/* The job a workload belongs to, if it is whole. */
struct job *job_of_workload(const char *workload, size_t size, uint32_t *number);

/* Connections. */

struct buffer {
    char *bytes;
    size_t length, room;
};

enum role { CLIENT, WORKER, SILENT };
enum phase { CLOSED, CONNECTING, PROVING, READY };

struct connection {
    int fd;
    enum role role;
    enum phase phase;
    struct buffer rest; /* the beginning of an answer whose end has not arrived */
    struct buffer out;  /* what is to be written, of which the first `written` bytes are sent */
    size_t written;
    bool full; /* the socket took less than we had: waiting for EPOLLOUT */

    /* Clients: jobs in the order submitted, for they are acknowledged in that order. */
    uint32_t *unacked, unacked_first, unacked_count;
    uint32_t outstanding;

    bool grabbing, asleep; /* workers */
};

extern const char *const ROLES[];

uint32_t number_of(const struct connection *c);
char *reserve(struct buffer *buffer, size_t more);

void proved(struct connection *c);                    /* the server has heard all so far */
void submitted(struct connection *c, uint32_t index); /* is being sent */
struct job *acknowledged(struct connection *c);       /* the oldest one without an answer */
void assigned(struct connection *c);                  /* a job came to a worker */

/* How a server is spoken to. */
struct protocol {
    const char *name;
    /* Write what opens a connection, and in the end something that is answered: `proved`. */
    void (*introduce)(struct connection *c);
    void (*submit)(struct connection *c, uint32_t index);
    void (*grab)(struct connection *c);
    /* Carry out the whole answers among `length` bytes, and return how many bytes they had. */
    size_t (*receive)(struct connection *c, const char *bytes, size_t length);
};

extern const struct protocol GEARMAN, BEANSTALK;

#endif
