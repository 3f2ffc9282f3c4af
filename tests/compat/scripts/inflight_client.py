import sys
import time

import gearman

host, function = sys.argv[1:]

gm_client = gearman.GearmanClient([host])
request = gm_client.submit_job(function, 'gear')
print('%s %r %r' % (request.state, list(request.data_updates), list(request.warning_updates)))
print('%(numerator)d of %(denominator)d, running: %(running)s' % request.status)
print('old names: %r %s' % (list(request.status_updates), request.server_status == request.status))

# Two slow ones, looked at while they are under way
slow = gm_client.submit_job(function + '-slow', 'x', wait_until_complete=False)
gm_client.wait_until_jobs_completed([slow], poll_timeout=0.1)
while not slow.status:
    gm_client.wait_until_jobs_completed([slow], poll_timeout=0.1)
print('timed out: %s' % slow.timed_out)
gm_client.get_job_status(slow)
print('known: %(known)s, running: %(running)s, %(numerator)s of %(denominator)s' % slow.status)
assert abs(slow.status['time_received'] - time.time()) < 5
assert slow.status['handle'] == slow.job.handle

other = gm_client.submit_job(function + '-slow', 'y', wait_until_complete=False)
finished = gm_client.submit_multiple_requests([slow, other], poll_timeout=10.0)
print(' '.join('%s %r' % (one.state, one.result) for one in finished))

gm_client.get_job_statuses([slow])
print('known: %(known)s' % slow.status)

# From its handle alone
job = gearman.job.GearmanJob(None, 'H:nobody:99', None, None, None)
unknown = gm_client.get_job_status(gearman.job.GearmanJobRequest(job))
print('known: %(known)s' % unknown.status)
