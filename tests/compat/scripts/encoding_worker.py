# Python objects in and out; does something between polls.
import json
import pickle
import sys

import gearman

host, function, encoding = sys.argv[1:]


class JSONDataEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object):
        return json.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string):
        return json.loads(decodable_string)


class PickleDataEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object):
        return pickle.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string):
        return pickle.loads(decodable_string)


class ObjectWorker(gearman.GearmanWorker):
    data_encoder = {'json': JSONDataEncoder, 'pickle': PickleDataEncoder}[encoding]
    polls = 0

    def after_poll(self, any_activity):
        self.polls += 1
        return True


def total(gearman_worker, gearman_job):
    order = gearman_job.data
    if not order['prices']:
        return None
    if order['prices'] == 'all':
        return object  # pickle can, JSON can't
    return {'total': sum(order['prices']), 'polled': gearman_worker.polls > 0}


worker = ObjectWorker([host])
worker.register_task(function, total)
worker.work(poll_timeout=0.1)
