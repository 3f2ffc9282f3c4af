# As in python-gearman 1.x.
import sys

from gearman import GearmanWorker

host, function = sys.argv[1:]


class WorkerHook(object):
    def start(self, current_job):
        print('start %s' % current_job.arg.decode())

    def fail(self, current_job, exc_info):
        print('fail %s' % exc_info[1])

    def complete(self, current_job, result):
        print('complete')


done = []


def upper(job):
    done.append(job.arg)
    if job.arg == b'nothing':
        raise ValueError('nothing to do')
    return job.arg.upper()


def enough(idle, last_job_time):
    return len(done) == 4


worker = GearmanWorker([host])
worker.register_function(function, upper)
worker.work(stop_if=enough, hooks=WorkerHook())
