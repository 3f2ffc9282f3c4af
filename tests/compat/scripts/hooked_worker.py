# Overrides every hook, and leaves when it was told to.
import sys

import gearman

host, function = sys.argv[1:]


class HookedWorker(gearman.GearmanWorker):
    leaving = False

    def on_job_execute(self, current_job):
        print('execute %s' % current_job.unique)
        return super(HookedWorker, self).on_job_execute(current_job)

    def on_job_exception(self, current_job, exc_info):
        print('exception %s' % exc_info[0].__name__)
        return super(HookedWorker, self).on_job_exception(current_job, exc_info)

    def on_job_complete(self, current_job, job_result):
        print('complete %r' % job_result)
        return super(HookedWorker, self).send_job_complete(current_job, job_result)

    def after_job(self):
        print('after job')
        return True

    def after_poll(self, any_activity):
        # False ends the work
        return not self.leaving


def divide(gearman_worker, gearman_job):
    dividend, divisor = gearman_job.data.split(b'/')
    return str(int(dividend) // int(divisor))


def leave(gearman_worker, gearman_job):
    gearman_worker.leaving = True
    return None


def wrong(gearman_worker, gearman_job):
    return reversed(gearman_job.data)


def careful(gearman_worker, gearman_job):
    gearman_worker.send_job_exception(gearman_job, 'out of paper')


worker = HookedWorker([host])
worker.register_task(function, divide)
worker.register_task(function + '-wrong', wrong)
worker.register_task(function.encode() + b'-careful', careful)
worker.register_task(function + '-gone', divide)
worker.register_task(function + '-leave', leave)
worker.unregister_task(function + '-gone')
worker.work(poll_timeout=5.0)
print('left')
