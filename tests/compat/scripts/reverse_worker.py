# Reverses strings until it is killed. The function's name is an argument, so that tests don't meet.
import sys

import gearman

host, function = sys.argv[1:]

gm_worker = gearman.GearmanWorker([host])


def task_listener_reverse(gearman_worker, gearman_job):
    return gearman_job.data[::-1]


# set_client_id is optional
gm_worker.set_client_id('string-reverser')
gm_worker.register_task(function, task_listener_reverse)

gm_worker.work()
