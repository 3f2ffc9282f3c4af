import sys

from gearman import GearmanClient

host, function = sys.argv[1:]

client = GearmanClient([host])
result = client.submit_job(function, 'ada lovelace').result
print('The answer is: ' + result)
