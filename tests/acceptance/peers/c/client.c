/* Runs tasks with libgearman and prints what it hears. The words are explained in ../README.md, and
 * there are four more which only this library offers:
 *     reducer=FUNCTION   let FUNCTION's workers partition the work for the reducer
 *     delay=SECONDS      run in the background, and not before so many seconds from now
 *     unique:KEY         on standard input: ask for the status of a unique key
 *     timeout=MS         give up waiting for the server after so long
 */
#include <libgearman/gearman.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "event.h"

static const char *mode, *function;
static const char *workload, *priority = "normal", *unique, *reducer;
static size_t workload_size;
static int times = 1, delay = -1;

static gearman_return_t on_created(gearman_task_st *task)
{
    printf("{\"event\": \"created\", \"handle\": \"%s\"}\n", gearman_task_job_handle(task));
    fflush(stdout);
    return GEARMAN_SUCCESS;
}

static gearman_return_t on_data(gearman_task_st *task)
{
    say_data("data", gearman_task_data(task), gearman_task_data_size(task));
    return GEARMAN_SUCCESS;
}

static gearman_return_t on_warning(gearman_task_st *task)
{
    say_data("warning", gearman_task_data(task), gearman_task_data_size(task));
    return GEARMAN_SUCCESS;
}

static gearman_return_t on_status(gearman_task_st *task)
{
    printf("{\"event\": \"status\", \"numerator\": %u, \"denominator\": %u}\n",
           gearman_task_numerator(task), gearman_task_denominator(task));
    fflush(stdout);
    return GEARMAN_SUCCESS;
}

static gearman_return_t on_complete(gearman_task_st *task)
{
    say_data("complete", gearman_task_data(task), gearman_task_data_size(task));
    return GEARMAN_SUCCESS;
}

static gearman_return_t on_exception(gearman_task_st *task)
{
    say_data("exception", gearman_task_data(task), gearman_task_data_size(task));
    return GEARMAN_SUCCESS;
}

static gearman_return_t on_fail(gearman_task_st *task)
{
    (void) task;
    say("fail");
    return GEARMAN_SUCCESS;
}

static void listen_to(gearman_client_st *client)
{
    gearman_client_set_created_fn(client, on_created);
    gearman_client_set_data_fn(client, on_data);
    gearman_client_set_warning_fn(client, on_warning);
    gearman_client_set_status_fn(client, on_status);
    gearman_client_set_complete_fn(client, on_complete);
    gearman_client_set_exception_fn(client, on_exception);
    gearman_client_set_fail_fn(client, on_fail);
}

typedef gearman_task_st *(*add_task_fn)(gearman_client_st *, gearman_task_st *, void *, const char *,
                                        const char *, const void *, size_t, gearman_return_t *);

static add_task_fn how_to_add(void)
{
    bool background = !strcmp(mode, "background");
    if (!strcmp(priority, "high"))
        return background ? gearman_client_add_task_high_background : gearman_client_add_task_high;
    if (!strcmp(priority, "low"))
        return background ? gearman_client_add_task_low_background : gearman_client_add_task_low;
    return background ? gearman_client_add_task_background : gearman_client_add_task;
}

static void run_tasks(gearman_client_st *client)
{
    listen_to(client);
    for (int i = 0; i < times; i++) {
        gearman_return_t ret;
        how_to_add()(client, NULL, NULL, function, unique, workload, workload_size, &ret);
        if (gearman_failed(ret))
            give_up("add_task", gearman_client_error(client));
    }
    gearman_return_t ret = gearman_client_run_tasks(client);
    if (gearman_failed(ret))
        give_up("run_tasks", gearman_client_error(client));
}

/* gearman_execute submits one task and, unless it is for later, waits for its result. */
static void execute(gearman_client_st *client)
{
    gearman_argument_t argument = gearman_argument_make(0, 0, workload, workload_size);
    gearman_task_attr_t later = gearman_task_attr_init_epoch(time(NULL) + delay,
                                                             GEARMAN_JOB_PRIORITY_NORMAL);
    gearman_task_attr_t *attributes = delay < 0 ? NULL : &later;
    size_t unique_size = unique ? strlen(unique) : 0;
    gearman_task_st *task =
        reducer ? gearman_execute_by_partition(client, function, strlen(function), reducer,
                                               strlen(reducer), unique, unique_size, attributes,
                                               &argument, NULL)
                : gearman_execute(client, function, strlen(function), unique, unique_size,
                                  attributes, &argument, NULL);
    if (!task || gearman_failed(gearman_task_return(task)))
        give_up("execute", task ? gearman_task_error(task) : gearman_client_error(client));
    on_created(task);
    if (delay < 0) {
        gearman_result_st *result = gearman_task_result(task);
        say_data("complete", gearman_result_value(result), gearman_result_size(result));
    }
}

static void answer(bool known, bool running, uint32_t numerator, uint32_t denominator)
{
    printf("{\"event\": \"answer\", \"known\": %s, \"running\": %s, \"numerator\": %u,"
           " \"denominator\": %u}\n",
           known ? "true" : "false", running ? "true" : "false", numerator, denominator);
    fflush(stdout);
}

static void answer_questions(gearman_client_st *client)
{
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "unique:", 7)) {
            gearman_status_t status = gearman_client_unique_status(client, line + 7,
                                                                   strlen(line + 7));
            answer(gearman_status_is_known(status), gearman_status_is_running(status),
                   gearman_status_numerator(status), gearman_status_denominator(status));
        } else {
            bool known, running;
            uint32_t numerator, denominator;
            gearman_return_t ret = gearman_client_job_status(client, line, &known, &running,
                                                             &numerator, &denominator);
            /* Also says how the job fares: GEARMAN_IN_PROGRESS and GEARMAN_JOB_EXISTS are no faults. */
            if (gearman_failed(ret) && ret != GEARMAN_IN_PROGRESS && ret != GEARMAN_JOB_EXISTS)
                give_up("job_status", gearman_client_error(client));
            answer(known, running, numerator, denominator);
        }
    }
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        give_up("fopen", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t) ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    if (fread(data, 1, *size, file) != *size)
        give_up("fread", path);
    fclose(file);
    return data;
}

/* The value of "key=value" when the key is this one, else NULL. */
static const char *value_of(const char *word, const char *key)
{
    size_t size = strlen(key);
    return !strncmp(word, key, size) && word[size] == '=' ? word + size + 1 : NULL;
}

static void read_word(gearman_client_st *client, const char *word)
{
    const char *value;
    if ((value = value_of(word, "workload"))) {
        workload = value;
        workload_size = strlen(value);
    } else if ((value = value_of(word, "file"))) {
        workload = read_file(value, &workload_size);
    } else if ((value = value_of(word, "priority"))) {
        priority = value;
    } else if ((value = value_of(word, "unique"))) {
        unique = value;
    } else if ((value = value_of(word, "times"))) {
        times = atoi(value);
    } else if ((value = value_of(word, "reducer"))) {
        reducer = value;
    } else if ((value = value_of(word, "delay"))) {
        delay = atoi(value);
    } else if ((value = value_of(word, "timeout"))) {
        gearman_client_set_timeout(client, atoi(value));
    } else if ((value = value_of(word, "exceptions"))) {
        if (!gearman_client_set_server_option(client, "exceptions", strlen("exceptions")))
            give_up("set_server_option", gearman_client_error(client));
    }
}

int main(int count, char **words)
{
    if (count < 4)
        give_up("usage", "client PORT run|background FUNCTION [key=value ...]");
    mode = words[2];
    function = words[3];
    gearman_client_st *client = gearman_client_create(NULL);
    gearman_client_add_server(client, "127.0.0.1", (in_port_t) atoi(words[1]));
    /* Without it, a second result under the same handle goes to the task that is already over. */
    gearman_client_add_options(client, GEARMAN_CLIENT_FREE_TASKS);
    for (int i = 4; i < count; i++)
        read_word(client, words[i]);
    if (reducer || delay >= 0)
        execute(client);
    else
        run_tasks(client);
    if (!strcmp(mode, "background"))
        answer_questions(client);
    gearman_client_free(client);
    return 0;
}
