/* Does jobs with libgearman and prints what it is given. The words are explained in ../README.md, and
 * there is one more behaviour which only this library offers:
 *     split=FUNCTION     cuts the workload at spaces, has every word done by the reducer which the
 *                        client named, and returns the results joined with "+"
 */
#include <libgearman/gearman.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "event.h"

static void say_job(gearman_job_st *job)
{
    printf("{\"event\": \"job\", \"function\": \"%s\", \"handle\": \"%s\", \"unique\": \"%s\"",
           gearman_job_function_name(job), gearman_job_handle(job), gearman_job_unique(job));
    print_hex("workload", gearman_job_workload(job), gearman_job_workload_size(job));
    printf("}\n");
    fflush(stdout);
}

/* A result is freed by the library, so each is a copy. */
static void *copy(const void *data, size_t size, size_t *result_size)
{
    char *result = malloc(size + 1);
    memcpy(result, data, size);
    *result_size = size;
    return result;
}

static void *reverse(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    const char *workload = gearman_job_workload(job);
    *size = gearman_job_workload_size(job);
    char *result = malloc(*size + 1);
    for (size_t i = 0; i < *size; i++)
        result[i] = workload[*size - 1 - i];
    *ret = GEARMAN_SUCCESS;
    return result;
}

static void *echo(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    *ret = GEARMAN_SUCCESS;
    return copy(gearman_job_workload(job), gearman_job_workload_size(job), size);
}

static void *story(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    gearman_job_send_data(job, "one", 3);
    gearman_job_send_data(job, "two", 3);
    gearman_job_send_warning(job, "careful", 7);
    gearman_job_send_status(job, 1, 2);
    *ret = GEARMAN_SUCCESS;
    return copy("end", 3, size);
}

static void *fail(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    *size = 0;
    *ret = GEARMAN_WORK_FAIL;
    return NULL;
}

static void *throw(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    gearman_job_send_exception(job, "it broke", 8);
    *size = 0;
    *ret = GEARMAN_WORK_EXCEPTION;
    return NULL;
}

static void *empty(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    *size = 0;
    *ret = GEARMAN_SUCCESS;
    return NULL;
}

static void *slow(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    say("done");
    *ret = GEARMAN_SUCCESS;
    return copy(gearman_job_workload(job), gearman_job_workload_size(job), size);
}

static void *hang(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void) context;
    say_job(job);
    gearman_job_send_status(job, 1, 2);
    while (pause() < 0)
        continue;
    *size = 0;
    *ret = GEARMAN_WORK_FAIL;
    return NULL;
}

static const struct {
    const char *name;
    gearman_worker_fn *run;
} behaviours[] = {
    {"reverse", reverse}, {"echo", echo},   {"story", story}, {"fail", fail},
    {"throw", throw},     {"empty", empty}, {"slow", slow},   {"hang", hang},
};

static gearman_return_t split(gearman_job_st *job, void *context)
{
    (void) context;
    say_job(job);
    const char *rest = gearman_job_workload(job);
    const char *end = rest + gearman_job_workload_size(job);
    while (rest < end) {
        const char *space = memchr(rest, ' ', (size_t) (end - rest));
        const char *stop = space ? space : end;
        gearman_job_send_data(job, rest, (size_t) (stop - rest));
        rest = stop + 1;
    }
    return GEARMAN_SUCCESS;
}

static gearman_return_t join(gearman_aggregator_st *aggregator, gearman_task_st *task,
                             gearman_result_st *result)
{
    (void) aggregator;
    char joined[1024] = "";
    for (; task; task = gearman_next(task)) {
        gearman_result_st *part = gearman_task_result(task);
        size_t used = strlen(joined);
        snprintf(joined + used, sizeof joined - used, "%s%.*s", used ? "+" : "",
                 (int) gearman_result_size(part), gearman_result_value(part));
    }
    return gearman_result_store_value(result, joined, strlen(joined));
}

static void add_function(gearman_worker_st *worker, const char *behaviour, const char *function,
                         unsigned timeout)
{
    for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++)
        if (!strcmp(behaviours[i].name, behaviour)) {
            gearman_worker_add_function(worker, function, timeout, behaviours[i].run, NULL);
            return;
        }
    if (strcmp(behaviour, "split"))
        give_up("no such behaviour", behaviour);
    gearman_worker_define_function(worker, function, strlen(function),
                                   gearman_function_create_partition(split, join), timeout, NULL);
}

int main(int count, char **words)
{
    if (count < 3)
        give_up("usage", "worker PORT BEHAVIOUR=FUNCTION ... [timeout=MILLISECONDS] [id=NAME]");
    unsigned timeout = 0;
    for (int i = 2; i < count; i++)
        if (!strncmp(words[i], "timeout=", 8))
            timeout = (unsigned) atoi(words[i] + 8);
    gearman_worker_st *worker = gearman_worker_create(NULL);
    gearman_worker_add_server(worker, "127.0.0.1", (in_port_t) atoi(words[1]));
    for (int i = 2; i < count; i++)
        if (!strncmp(words[i], "id=", 3))
            gearman_worker_set_identifier(worker, words[i] + 3, strlen(words[i] + 3));
    for (int i = 2; i < count; i++) {
        char *function = strchr(words[i], '=');
        *function++ = '\0';
        if (strcmp(words[i], "timeout") && strcmp(words[i], "id"))
            add_function(worker, words[i], function, timeout);
    }
    /* A job that failed or raised makes work() say so, and the worker goes on. */
    for (;;) {
        gearman_return_t ret = gearman_worker_work(worker);
        if (gearman_failed(ret) && ret != GEARMAN_WORK_FAIL && ret != GEARMAN_WORK_EXCEPTION)
            give_up("work", gearman_worker_error(worker));
    }
}
