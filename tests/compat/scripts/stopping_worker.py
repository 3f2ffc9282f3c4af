# Takes its leave when it is told to by a signal, as many did.
import signal
import sys

import gearman

host, function = sys.argv[1:]

worker = gearman.GearmanWorker([host])


def stop(number, frame):
    worker.shutdown()


signal.signal(signal.SIGTERM, stop)
worker.register_task(function, lambda gearman_worker, gearman_job: gearman_job.data)
worker.work()
print('stopped')
