/*
 * A load generator for job servers, light enough never to be the limit.
 *
 * One process and one epoll loop play all the clients and all the workers of a
 * measurement. Connections are opened and proved with a question before the
 * clock starts, each wake-up of a connection costs one read and at most one
 * write, and nothing is sorted or printed while the clock runs.
 *
 * It checks while it measures: every job carries its number and a pattern made
 * from it, so a job that is lost, run twice, mixed up with another or answered
 * to the wrong client ends the run with a message and exit status 1.
 *
 * Here are the loop, the checks and the report. What is said on the wire is in
 * gearman.c and beanstalk.c. Starting servers, repeating runs and comparing is
 * the work of the Python files beside it.
 *
 *     cc -O2 -o load load.c gearman.c beanstalk.c
 *     ./load foreground --port 4730 --clients 8 --workers 8 --jobs 1000
 *
 * The figures come out as one line of JSON.
 */

#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NUMBER 8   /* hexadecimal digits of a job's number, first in its workload */
#define PATTERN 64 /* the rest of it repeats a pattern, from byte number % PATTERN on */
#define READ_ROOM (1 << 18)
#define EVENTS 256

static const char *const MODES[] = {"foreground", "submit", "drain", "both", "idle"};

struct settings set = {
    .protocol = &GEARMAN,
    .host = "127.0.0.1",
    .port = "4730",
    .function = "bench",
    .functions = 1,
    .outstanding = 1,
    /* Half of gearmand's listen backlog: opening is not what these runs measure. */
    .connecting = 16,
    .size = 64,
    .timeout = 120,
};

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* `bytes` made larger, or for NULL `room` new bytes of zero. */
static void *grown(void *bytes, size_t room)
{
    bytes = bytes == NULL ? calloc(room, 1) : realloc(bytes, room);
    if (bytes == NULL)
        die("out of memory");
    return bytes;
}

static uint64_t clock_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

struct job *ledger;
struct counts count;

/* Start and end of the clock, and the moments when the first and the last tenth divide. */
uint64_t now;
static uint64_t started, stopped, tenth, ninetenths;

void mark(uint32_t done)
{
    if (done == set.jobs / 10)
        tenth = now;
    if (done == set.jobs - set.jobs / 10)
        ninetenths = now;
}

/* What a job looks like. */

static char *pattern; /* PATTERN bytes repeated, long enough for a workload from any start */

static void make_pattern(void)
{
    pattern = grown(NULL, set.size + PATTERN);
    for (size_t i = 0; i < set.size + PATTERN; i++)
        pattern[i] = (char)(i % PATTERN * 37); /* binary, and every PATTERN bytes a NUL */
}

static const char DIGITS[] = "0123456789abcdef";

static void put_number(char *at, uint32_t number)
{
    for (int i = NUMBER - 1; i >= 0; i--, number >>= 4)
        at[i] = DIGITS[number & 15];
}

static bool get_number(const char *at, uint32_t *number)
{
    *number = 0;
    for (int i = 0; i < NUMBER; i++) {
        const char *digit = at[i] ? strchr(DIGITS, at[i]) : NULL;
        if (digit == NULL)
            return false;
        *number = *number << 4 | (uint32_t)(digit - DIGITS);
    }
    return true;
}

void put_workload(char *at, uint32_t number)
{
    put_number(at, number);
    memcpy(at + NUMBER, pattern + number % PATTERN, set.size - NUMBER);
}

struct job *job_of_workload(const char *workload, size_t size, uint32_t *number)
{
    if (size != set.size || !get_number(workload, number))
        die("a workload of %zu bytes came back that no job of this run has", size);
    if (*number - set.first >= set.jobs)
        die("job %" PRIu32 " is not of this run: was the queue empty before it?", *number);
    if (memcmp(workload + NUMBER, pattern + *number % PATTERN, set.size - NUMBER) != 0)
        die("the workload of job %" PRIu32 " was changed on the way", *number);
    return &ledger[*number - set.first];
}

size_t put_function(char *at, uint32_t number)
{
    if (set.functions == 1)
        return (size_t)sprintf(at, "%s", set.function);
    return (size_t)sprintf(at, "%s-%" PRIu32, set.function, number % set.functions);
}

size_t put_unique(char *at, uint32_t number)
{
    if (!set.unique)
        return 0;
    memcpy(at, "key-", 4);
    put_number(at + 4, number);
    return 4 + NUMBER;
}

uint64_t hash(const char *bytes, size_t length)
{
    uint64_t value = 14695981039346656037ull; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)bytes[i]) * 1099511628211ull;
    return value;
}

/* Connections. */

const char *const ROLES[] = {"client", "worker", "silent connection"};

static struct connection *connections;
static uint32_t total, opened, ready, reopened;
static int epoll;
static struct sockaddr_storage address;
static socklen_t address_length;

uint32_t number_of(const struct connection *c)
{
    return (uint32_t)(c - connections);
}

char *reserve(struct buffer *buffer, size_t more)
{
    if (buffer->length + more > buffer->room) {
        buffer->room = 2 * (buffer->length + more);
        buffer->bytes = grown(buffer->bytes, buffer->room);
    }
    buffer->length += more;
    return buffer->bytes + buffer->length - more;
}

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void lost(struct connection *c, const char *reason);

static void flush(struct connection *c)
{
    while (c->written < c->out.length) {
        ssize_t sent = send(c->fd, c->out.bytes + c->written, c->out.length - c->written,
                            MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (!c->full)
                watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->full = true;
            return;
        }
        if (sent < 0) {
            lost(c, strerror(errno));
            return;
        }
        c->written += (size_t)sent;
    }
    c->written = c->out.length = 0;
    if (c->full)
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->full = false;
}

/* Opening connections. */

static void open_connection(struct connection *c)
{
    int one = 1;
    c->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    if (address.ss_family != AF_UNIX)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int result = connect(c->fd, (struct sockaddr *)&address, address_length);
    if (result != 0 && errno == EAGAIN) { /* a unix socket's backlog is full */
        close(c->fd);
        return;
    }
    if (result != 0 && errno != EINPROGRESS)
        die("cannot connect: %s", strerror(errno));
    c->phase = CONNECTING;
    opened++;
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void connected(struct connection *c)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
        lost(c, strerror(error));
    } else {
        c->phase = PROVING;
        c->full = false;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        set.protocol->introduce(c);
        flush(c);
    }
}

/* A flooded listener may drop a connection; before it is proved that is only worth a count. */
static void lost(struct connection *c, const char *reason)
{
    if (c->phase == READY || set.mode != IDLE)
        die("the server closed a connection: %s", reason);
    close(c->fd);
    if (c->grabbing)
        count.grabbing--;
    c->grabbing = c->asleep = false;
    c->phase = CLOSED;
    c->rest.length = c->out.length = c->written = 0;
    opened--;
    reopened++;
}

/* Connections are opened in order; only lost ones leave gaps, and are found by starting over. */
static void open_more(void)
{
    static uint32_t next;
    uint32_t limit = set.connecting ? set.connecting : total;
    for (uint32_t tried = 0; tried < total && opened < total && opened - ready < limit; tried++) {
        struct connection *c = &connections[next];
        if (c->phase == CLOSED)
            open_connection(c);
        if (c->phase == CLOSED)
            return;
        next = (next + 1) % total;
    }
}

void proved(struct connection *c)
{
    if (c->phase == PROVING)
        ready++;
    else if (set.mode != IDLE) /* a worker woken at once asks twice */
        die("an answer came that nobody asked for");
    c->phase = READY;
}

/* What a protocol reports of a job. */

void submitted(struct connection *c, uint32_t index)
{
    ledger[index].time = now;
    ledger[index].client = number_of(c);
    c->unacked[(c->unacked_first + c->unacked_count++) % set.outstanding] = index;
    c->outstanding++;
}

struct job *acknowledged(struct connection *c)
{
    if (c->unacked_count == 0)
        die("an acknowledgement came without a submission");
    struct job *job = &ledger[c->unacked[c->unacked_first]];
    c->unacked_first = (c->unacked_first + 1) % set.outstanding;
    c->unacked_count--;
    job->acked = true;
    count.acked++;
    if (set.mode != FOREGROUND) {
        job->time = now - job->time;
        c->outstanding--;
        mark(count.acked);
    }
    return job;
}

void assigned(struct connection *c)
{
    if (c->phase != READY && set.mode != IDLE)
        die("a job was waiting before the run began");
    count.run++;
    if (set.mode == DRAIN)
        mark(count.run);
}

static void submit_more(struct connection *c)
{
    while (c->outstanding < set.outstanding && count.submitted < set.jobs)
        set.protocol->submit(c, count.submitted++);
}

/* The loop. */

static char incoming[READ_ROOM]; /* shared: what a connection leaves of it is copied to its rest */

/* Have what arrived carried out, and keep the beginning of an answer. */
static void cut(struct connection *c, const char *bytes, size_t length)
{
    size_t used = set.protocol->receive(c, bytes, length), left = length - used;
    struct buffer *rest = &c->rest;
    if (bytes == rest->bytes) {
        memmove(rest->bytes, rest->bytes + used, left);
        rest->length = left;
    } else if (left > 0) {
        memcpy(reserve(rest, left), bytes + used, left);
    }
}

static void receive(struct connection *c)
{
    struct buffer *rest = &c->rest;
    size_t kept = rest->length;
    char *at = incoming;
    if (kept > 0) { /* the end of a large workload goes to its beginning at once */
        at = reserve(rest, READ_ROOM);
        rest->length = kept;
    }
    ssize_t got = recv(c->fd, at, READ_ROOM, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        lost(c, got < 0 ? strerror(errno) : "end of stream");
        return;
    }
    now = clock_ns();
    cut(c, at - kept, kept + (size_t)got);
    if (c->role == CLIENT && started != 0)
        submit_more(c);
    if (c->out.length > 0 && !c->full)
        flush(c);
}

static uint64_t deadline;
static bool released; /* idle: standard input was closed */

static void check_deadline(void)
{
    now = clock_ns();
    if (now > deadline)
        die("not done after %.0f s: %" PRIu32 " of %" PRIu32 " connections ready, of %" PRIu32
            " jobs %" PRIu32 " submitted, %" PRIu32 " acknowledged, %" PRIu32 " run, %" PRIu32
            " answered", set.timeout, ready, total, set.jobs, count.submitted, count.acked,
            count.run, count.answered);
}

/* One pass: everything that arrived is carried out, each connection written once. */
static void pass(void)
{
    struct epoll_event events[EVENTS];
    int arrived = epoll_wait(epoll, events, EVENTS, 20);
    for (int i = 0; i < arrived; i++) {
        struct connection *c = events[i].data.ptr;
        if (c == NULL) {
            char ignored[64];
            released = read(STDIN_FILENO, ignored, sizeof ignored) <= 0;
            continue;
        }
        if (c->phase == CONNECTING)
            connected(c);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(c);
        if (c->phase >= PROVING && events[i].events & EPOLLOUT)
            flush(c);
    }
    check_deadline();
}

static void open_all(void)
{
    while (ready < total) {
        open_more();
        pass();
    }
}

/* Everything is answered, and every worker that finished a job has been heard by the server. */
static bool done(void)
{
    if (set.mode == FOREGROUND)
        return count.answered == set.jobs;
    if (set.mode == SUBMIT)
        return count.acked == set.jobs;
    return count.acked == count.submitted && count.run == set.jobs && count.grabbing == 0;
}

static void begin(void)
{
    for (uint32_t i = 0; i < total; i++) {
        struct connection *c = &connections[i];
        if (c->role == WORKER && set.mode == DRAIN)
            set.protocol->grab(c);
        if (c->role == CLIENT)
            submit_more(c);
        flush(c);
    }
}

/* CPU times, in seconds. */

static double own_cpu(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* utime + stime of the server's process, all threads included (proc(5), fields 14 and 15). */
static double server_cpu(void)
{
    char path[64], line[1024];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", set.server_pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        die("cannot read %s: %s", path, strerror(errno));
    fclose(file);
    const char *after_name = strrchr(line, ')');
    if (after_name == NULL ||
        sscanf(after_name + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user,
               &system) != 2)
        die("cannot understand %s", path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* The report. */

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static double percentile(const uint64_t *sorted, double share)
{
    uint32_t index = (uint32_t)(share * set.jobs);
    return (double)sorted[index < set.jobs ? index : set.jobs - 1] / 1000;
}

static void print_latencies(uint64_t *values)
{
    for (uint32_t i = 0; i < set.jobs; i++)
        values[i] = ledger[i].time;
    qsort(values, set.jobs, sizeof *values, by_value);
    printf(", \"p50_us\": %.1f, \"p95_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f",
           percentile(values, 0.50), percentile(values, 0.95), percentile(values, 0.99),
           percentile(values, 1.0));
}

static void check_handles(uint64_t *values)
{
    for (uint32_t i = 0; i < set.jobs; i++)
        values[i] = ledger[i].handle;
    qsort(values, set.jobs, sizeof *values, by_value);
    for (uint32_t i = 1; i < set.jobs; i++)
        if (values[i] == values[i - 1])
            die("two jobs were given the same handle");
}

static void report(double own, double server)
{
    double seconds = (double)(stopped - started) / 1e9;
    uint64_t *values = grown(NULL, set.jobs * sizeof *values);
    if (set.mode != DRAIN)
        check_handles(values);
    printf("{\"mode\": \"%s\", \"jobs\": %" PRIu32 ", \"seconds\": %.6f, \"rate\": %.1f",
           MODES[set.mode], set.jobs, seconds, set.jobs / seconds);
    if (set.mode != DRAIN)
        print_latencies(values);
    if (set.jobs >= 10 && set.mode != BOTH) {
        double part = set.jobs / 10;
        printf(", \"first_tenth_rate\": %.1f, \"last_tenth_rate\": %.1f",
               part * 1e9 / (double)(tenth - started + 1),
               part * 1e9 / (double)(stopped - ninetenths + 1));
    }
    if (set.server_pid != 0)
        printf(", \"server_cpu_us\": %.3f", server * 1e6 / set.jobs);
    printf(", \"generator_cpu_us\": %.3f, \"generator_busy\": %.3f, \"noops\": %" PRIu32
           ", \"no_jobs\": %" PRIu32 "}\n",
           own * 1e6 / set.jobs, own / seconds, count.noops, count.no_jobs);
    free(values);
}

static void measure(void)
{
    open_all();
    double own = own_cpu(), server = set.server_pid ? server_cpu() : 0;
    started = now = clock_ns();
    begin();
    while (!done())
        pass();
    stopped = now;
    own = own_cpu() - own;
    server = set.server_pid ? server_cpu() - server : 0;
    /* Leave no worker in the middle of a grab, and hear every late ERROR. */
    while (count.grabbing > 0)
        pass();
    report(own, server);
}

static void hold(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (set.seconds == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        die("idle holds until its standard input closes: give it a pipe, or --seconds");
    uint64_t begun = clock_ns();
    open_all();
    printf("{\"mode\": \"idle\", \"connections\": %" PRIu32 ", \"seconds\": %.6f, "
           "\"reopened\": %" PRIu32 "}\n", total, (double)(now - begun) / 1e9, reopened);
    fflush(stdout);
    uint64_t until = set.seconds > 0 ? now + (uint64_t)(set.seconds * 1e9) : UINT64_MAX;
    while (!released && now < until)
        pass();
}

/* The command line. */

enum kind { WHOLE, SECONDS, TEXT, UNIQUE, PROTOCOL };

static const struct {
    const char *name;
    enum kind kind;
    void *value;
    const char *help;
} OPTIONS[] = {
    {"protocol", PROTOCOL, &set.protocol, "gearman or beanstalk (gearman)"},
    {"host", TEXT, &set.host, "the server's address (127.0.0.1)"},
    {"port", TEXT, &set.port, "and its port (4730)"},
    {"unix", TEXT, &set.path, "a unix socket instead"},
    {"clients", WHOLE, &set.clients, "client connections"},
    {"workers", WHOLE, &set.workers, "worker connections; in idle they sleep"},
    {"idle", WHOLE, &set.idle, "silent connections (idle)"},
    {"outstanding", WHOLE, &set.outstanding, "submissions without an answer, per client (1)"},
    {"jobs", WHOLE, &set.jobs, "jobs in all"},
    {"first", WHOLE, &set.first, "number of the first job (0): tells runs on one queue apart"},
    {"size", WHOLE, &set.size, "bytes of a workload (64)"},
    {"unique", UNIQUE, &set.unique, "unique keys: none or distinct (none)"},
    {"function", TEXT, &set.function, "function, or the start of its name (bench)"},
    {"functions", WHOLE, &set.functions, "spread the jobs over so many functions (1)"},
    {"connecting", WHOLE, &set.connecting, "connections being opened at a time, 0 for all (16)"},
    {"server-pid", WHOLE, &set.server_pid, "report this process's CPU time while the clock runs"},
    {"seconds", SECONDS, &set.seconds, "idle: hold so long instead of reading standard input"},
    {"timeout", SECONDS, &set.timeout, "give up after so many seconds (120)"},
};
#define OPTION_COUNT (sizeof OPTIONS / sizeof OPTIONS[0])

static void usage(FILE *to)
{
    fputs("usage: load MODE [--option value ...]\n\n"
          "  foreground    clients submit, workers answer, clients check the answers\n"
          "  submit        clients submit background jobs, nobody works\n"
          "  drain         workers do the jobs that submit left\n"
          "  both          clients submit background jobs while workers do them\n"
          "  idle          open connections and hold them until standard input closes\n\n",
          to);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        fprintf(to, "  --%-12s %s\n", OPTIONS[i].name, OPTIONS[i].help);
}

static uint32_t whole(const char *name, const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > INT32_MAX)
        die("--%s takes a whole number, not %s", name, text);
    return (uint32_t)value;
}

static double duration(const char *name, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value < 1e6))
        die("--%s takes a number of seconds, not %s", name, text);
    return value;
}

static bool distinct(const char *name, const char *text)
{
    if (strcmp(text, "none") != 0 && strcmp(text, "distinct") != 0)
        die("--%s is none or distinct, not %s", name, text);
    return strcmp(text, "distinct") == 0;
}

static const struct protocol *protocol(const char *text)
{
    if (strcmp(text, GEARMAN.name) != 0 && strcmp(text, BEANSTALK.name) != 0)
        die("--protocol is gearman or beanstalk, not %s", text);
    return strcmp(text, GEARMAN.name) == 0 ? &GEARMAN : &BEANSTALK;
}

static void read_option(size_t i, const char *text)
{
    const char *name = OPTIONS[i].name;
    if (OPTIONS[i].kind == WHOLE)
        *(uint32_t *)OPTIONS[i].value = whole(name, text);
    else if (OPTIONS[i].kind == SECONDS)
        *(double *)OPTIONS[i].value = duration(name, text);
    else if (OPTIONS[i].kind == TEXT)
        *(const char **)OPTIONS[i].value = text;
    else if (OPTIONS[i].kind == PROTOCOL)
        *(const struct protocol **)OPTIONS[i].value = protocol(text);
    else
        *(bool *)OPTIONS[i].value = distinct(name, text);
}

static void read_options(char **words)
{
    for (; *words != NULL; words += 2) {
        size_t i = 0;
        while (i < OPTION_COUNT &&
               (strncmp(*words, "--", 2) != 0 || strcmp(*words + 2, OPTIONS[i].name) != 0))
            i++;
        if (i == OPTION_COUNT)
            die("no option %s: see load --help", *words);
        if (words[1] == NULL)
            die("%s takes a value", *words);
        read_option(i, words[1]);
    }
}

static void read_mode(const char *word)
{
    bool help = word != NULL && strcmp(word, "--help") == 0;
    for (int i = 0; i <= IDLE; i++)
        if (word != NULL && strcmp(word, MODES[i]) == 0) {
            set.mode = (enum mode)i;
            return;
        }
    usage(help ? stdout : stderr);
    exit(help ? 0 : 1);
}

/* A run that lacks a role would only wait for its deadline. */
static void check_settings(void)
{
    bool submits = set.mode == FOREGROUND || set.mode == SUBMIT || set.mode == BOTH;
    bool works = set.mode == FOREGROUND || set.mode == DRAIN || set.mode == BOTH;
    if (set.mode == IDLE && (set.clients > 0 || set.jobs > 0 || set.idle + set.workers == 0))
        die("idle takes --idle, --workers or both, no --clients and no --jobs");
    if (set.mode != IDLE && (submits != (set.clients > 0) || works != (set.workers > 0)))
        die("%s takes %s --clients and %s --workers", MODES[set.mode], submits ? "some" : "no",
            works ? "some" : "no");
    if (set.mode != IDLE && (set.jobs == 0 || set.idle > 0))
        die("%s takes some --jobs and no --idle", MODES[set.mode]);
    if (set.size < NUMBER || set.size > 1u << 30)
        die("--size is at least %d bytes and at most 1 GiB", NUMBER);
    if (set.outstanding == 0 || set.functions == 0)
        die("--outstanding and --functions are at least 1");
    if (set.protocol == &BEANSTALK && (set.mode == FOREGROUND || set.unique || set.functions > 1))
        die("beanstalk has no results, no unique keys and no functions");
    if (strlen(set.function) > MAX_NAME - 1 || *set.function == '\0')
        die("--function takes 1 to %d bytes", MAX_NAME - 1);
}

static void find_address(void)
{
    if (set.path != NULL) {
        struct sockaddr_un *local = (struct sockaddr_un *)&address;
        if (strlen(set.path) >= sizeof local->sun_path)
            die("--unix: this path is too long for a socket");
        local->sun_family = AF_UNIX;
        strcpy(local->sun_path, set.path);
        address_length = sizeof *local;
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(set.host, set.port, &hints, &found);
    if (error != 0)
        die("%s port %s: %s", set.host, set.port, gai_strerror(error));
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    address_length = found->ai_addrlen;
    freeaddrinfo(found);
}

static void prepare(void)
{
    struct rlimit files;
    total = set.clients + set.workers + set.idle;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (total + 16 > files.rlim_cur)
        die("%" PRIu32 " connections need more open files: raise ulimit -n", total);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    ledger = grown(NULL, (set.jobs + 1) * sizeof *ledger);
    make_pattern();
    connections = grown(NULL, total * sizeof *connections);
    for (uint32_t i = 0; i < total; i++) {
        struct connection *c = &connections[i];
        c->role = i < set.clients ? CLIENT : i < set.clients + set.workers ? WORKER : SILENT;
        if (c->role == CLIENT)
            c->unacked = grown(NULL, set.outstanding * sizeof *c->unacked);
    }
}

int main(int argc, char **argv)
{
    read_mode(argc > 1 ? argv[1] : NULL);
    read_options(argv + 2);
    check_settings();
    find_address();
    prepare();
    deadline = clock_ns() + (uint64_t)(set.timeout * 1e9);
    if (set.mode == IDLE)
        hold();
    else
        measure();
    return 0;
}
