# Sends its result in pieces.
import sys

import gearman

host, function = sys.argv[1:]


def spell(gearman_worker, gearman_job):
    letters = gearman_job.data.decode('utf-8')
    for index, letter in enumerate(letters):
        gearman_worker.send_job_data(gearman_job, str(letter))
        gearman_worker.send_job_status(gearman_job, index + 1, len(letters))
    gearman_worker.send_job_warning(gearman_job, 'no more letters')
    return None


slow_jobs = []


class PatientWorker(gearman.GearmanWorker):
    # Slow jobs are put aside and ended later, after the poll
    def on_job_execute(self, current_job):
        if current_job.task.endswith('-slow'):
            slow_jobs.append(current_job)
            self.send_job_status(current_job, 1, 3)
            return True
        return super(PatientWorker, self).on_job_execute(current_job)

    def after_poll(self, any_activity):
        if len(slow_jobs) == 2 and not any_activity:
            while slow_jobs:
                self.send_job_complete(slow_jobs.pop(), 'at last')
        return True


worker = PatientWorker([host])
worker.register_task(function + '-slow', spell)
worker.register_task(function, spell)
worker.work(poll_timeout=0.1)
