# As in python-gearman 1.x.
import sys

from gearman import GearmanClient
from gearman.task import Task, Taskset

host, function = sys.argv[1:]

client = GearmanClient([host])
print(client.do_task(Task(function, 'foo')))

tasks = Taskset([Task(func=function, arg='bar', on_complete=lambda result: print('hook %r' % result)),
                 Task(func=function, arg='baz', high_priority=True)])
print(client.do_taskset(tasks))
for task in tasks.values():
    assert task.result == task.arg.upper() and task.is_finished

try:
    client.do_task(Task(function, 'nothing'))
except client.TaskFailed as error:
    print('failed')
print(client.dispatch_background_task(function + '-nobody', 'later')[:2])
