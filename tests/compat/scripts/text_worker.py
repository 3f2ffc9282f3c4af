# Takes data for text, as everybody did.
import sys

import gearman

host, function = sys.argv[1:]


def greet(worker, job):
    print('greeting ' + job.data)
    sys.stdout.flush()
    return 'Hello, ' + job.data.title() + '!'


worker = gearman.GearmanWorker([host])
worker.register_task(function, greet)
worker.work()
