import sys

import gearman

host, function = sys.argv[1:]

gm_client = gearman.GearmanClient([host])


def show(request):
    print('%s %r %r' % (request.state, request.result, request.exception))


show(gm_client.submit_job(function, '84/2', unique='good'))
show(gm_client.submit_job(function, '84/0', unique='bad'))
show(gm_client.submit_job(function + '-wrong', 'abc', unique='wrong'))
show(gm_client.submit_job(function + '-careful', 'abc', unique='careful'))

# Nobody does this one any more
request = gm_client.submit_job(function + '-gone', '84/2', wait_until_complete=False)
gm_client.wait_until_jobs_completed([request], poll_timeout=0.1)
print('timed out: %s, complete: %s, state: %s' % (request.timed_out, request.complete, request.state))

show(gm_client.submit_job(function + '-leave', '', unique='leave'))
