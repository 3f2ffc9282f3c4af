import sys

import gearman
from gearman.errors import GearmanError, ServerUnavailable

host, function, dead = sys.argv[1:]

gm_client = gearman.GearmanClient([host])
waiting = gm_client.submit_job(function + '-nobody', '', unique='left-alone', background=True)

gm_admin_client = gearman.GearmanAdminClient([host])
status = dict((row['task'], row) for row in gm_admin_client.get_status())
print('status: %(queued)d %(running)d %(workers)d' % status[function])
print('status: %(queued)d %(running)d %(workers)d' % status[function + '-nobody'])
for worker in gm_admin_client.get_workers():
    if function in worker['tasks']:
        print('worker: %(ip)s %(client_id)s' % worker)
        assert int(worker['file_descriptor']) > 0
print('version: %s' % gm_admin_client.get_version()[0].isdigit())
print('ping: %s' % (0 < gm_admin_client.ping_server() < 5))
print('pid: %d' % gm_admin_client.get_pid())
print('maxqueue: %s' % gm_admin_client.send_maxqueue(function + '-nobody', 1))
refused = gm_client.submit_job(function + '-nobody', '', background=True)
print('refused: %s %s' % (refused.state, refused.exception.split(':')[0]))
print('jobs: %s' % (waiting.job.handle in [row['handle'] for row in gm_admin_client.get_jobs()]))
print('unique: %s' % ({'unique': 'left-alone'} in gm_admin_client.get_unique_jobs()))
print('cancel: %s' % gm_admin_client.cancel_job(waiting.job.handle))
try:
    gm_admin_client.cancel_job('H:nobody:99')
except GearmanError as error:
    print('cancel: %s' % error.__class__.__name__)

for connect in (lambda: gearman.GearmanAdminClient([dead]).get_status(),
                lambda: gearman.GearmanClient([dead]).submit_job(function, ''),
                lambda: gearman.GearmanWorker([dead]).work()):
    try:
        connect()
    except ServerUnavailable as error:
        print('unavailable: %s' % ('Found no valid connections' in str(error)))

# The second one answers
print(gearman.GearmanClient([dead, host]).submit_job(function, 'live').result)
