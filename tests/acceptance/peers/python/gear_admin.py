"""
Asks everything that gear can ask in words, and prints the answers.

    gear_admin.py PORT HANDLE-TO-CANCEL
"""

from __future__ import annotations

import json
import sys

import gear

port, handle = sys.argv[1:]
client = gear.Client()
client.addServer("127.0.0.1", int(port))
client.waitForServer()
connection = client.getConnection()

REQUESTS = {
    "version": gear.VersionAdminRequest(),
    "status": gear.StatusAdminRequest(),
    "workers": gear.WorkersAdminRequest(),
    "jobs": gear.ShowJobsAdminRequest(),
    "unique jobs": gear.ShowUniqueJobsAdminRequest(),
    "cancel": gear.CancelJobAdminRequest(handle.encode()),
}
for name, request in REQUESTS.items():
    connection.sendAdminRequest(request, timeout=5)
    print(json.dumps({"event": name, "answer": request.response.decode()}), flush=True)
client.shutdown()
