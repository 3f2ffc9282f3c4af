import sys

import gearman
from gearman.constants import JOB_UNKNOWN

host, function = sys.argv[1:]


def report(job_request):
    if job_request.complete:
        print('%s: %s %r' % (job_request.job.task == function, job_request.state, job_request.result))
    elif job_request.timed_out:
        print('job %s timed out' % job_request.job.unique)
    elif job_request.state == JOB_UNKNOWN:
        print('job %s lost its connection' % job_request.job.unique)


gm_client = gearman.GearmanClient([host])

# A plain call that waits for its result
report(gm_client.submit_job(function, 'Hello World!'))

# High priority, in the background
request = gm_client.submit_job(function, 'unseen', priority=gearman.PRIORITY_HIGH, background=True)
report(request)
print('handle: %s' % request.job.handle[:2])

# Several at once
jobs = [dict(task=function, data='one'), dict(task=function, data='two', unique='two'),
        dict(task=function, data=b'\x00\xff', priority=gearman.PRIORITY_LOW)]
for request in gm_client.submit_multiple_jobs(jobs, poll_timeout=10.0):
    report(request)

# Work while they are done, and collect the results afterwards
requests = gm_client.submit_multiple_jobs(jobs, wait_until_complete=False)
assert all(request.job.handle for request in requests)
for request in gm_client.wait_until_jobs_completed(requests, poll_timeout=10.0):
    report(request)
gm_client.shutdown()
