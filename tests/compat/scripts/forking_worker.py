# One worker, made before the fork, works in two processes.
import os
import sys

import gearman

host, function = sys.argv[1:]

worker = gearman.GearmanWorker([host])
worker.register_task(function, lambda gearman_worker, gearman_job: str(os.getpid()))


def leave(gearman_worker, gearman_job):
    gearman_worker.shutdown()
    return str(os.getpid())


worker.register_task(function + '-leave', leave)

child = os.fork()
worker.work()
if child:
    os.waitpid(child, 0)
    print('both have left')
