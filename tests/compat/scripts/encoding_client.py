import json
import pickle
import sys

import gearman

host, function, encoding = sys.argv[1:]


class PickleDataEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object):
        return pickle.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string):
        return pickle.loads(decodable_string)


class JSONDataEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object):
        return json.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string):
        return json.loads(decodable_string)


class ObjectClient(gearman.GearmanClient):
    data_encoder = {'json': JSONDataEncoder, 'pickle': PickleDataEncoder}[encoding]


gm_client = ObjectClient([host])
for prices in [1, 2, 3], [], 'all', [4.5]:
    request = gm_client.submit_job(function, {'prices': prices})
    print('%s %r' % (request.state, request.result))
try:
    gm_client.submit_job(function, {'prices': lambda: 1})
except TypeError:
    print('such data has no form')
