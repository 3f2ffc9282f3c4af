"""
A Flask application that has its slow work done by workers.

Start a server, a worker and the application, each in a terminal of its own::

    geartrain serve
    geartrain worker examples.flask_app:tasks
    flask --app examples.flask_app run

and ask it::

    curl -d 'text=to be or not to be' http://127.0.0.1:5000/words
    curl -d 'text=to be or not to be' http://127.0.0.1:5000/reports
"""

from __future__ import annotations

import uuid
from collections import Counter

from flask import Flask, jsonify, request, url_for
from flask.typing import ResponseReturnValue

from geartrain import App, TaskHandle, current_job
from geartrain.errors import ConnectionFailed, JobTimeout

# Servers are those of GEARMAN_SERVERS, or one on this machine.
tasks = App()
# Reports that were asked for, by key. In real life in a database, since a handle can be
# pickled, and since there are several processes.
reports: dict[str, TaskHandle[str]] = {}


@tasks.task
def count_words(text: str) -> dict[str, int]:
    """Count words; quick enough to be waited for."""
    return dict(Counter(text.split()))


@tasks.task(retries=3, retention="1h")
def write_report(text: str) -> str:
    """Write a report, and say how far it is."""
    words = text.split()
    for number, _ in enumerate(words, 1):
        current_job().progress(number, len(words))
    return f"{len(words)} words, {len(set(words))} of them different"


def create_app() -> Flask:
    """Return the application. Each process of a web server makes its own."""
    web = Flask(__name__)

    @web.post("/words")
    def words() -> ResponseReturnValue:
        return jsonify(count_words.options(timeout=5.0).call(request.form["text"]))

    @web.post("/reports")
    def order_report() -> ResponseReturnValue:
        # Returns once the server has the job on disk.
        handle = write_report.delay(request.form["text"])
        key = uuid.uuid4().hex
        reports[key] = handle
        return jsonify(report=url_for("report", key=key)), 202

    @web.get("/reports/<key>")
    def report(key: str) -> ResponseReturnValue:
        if key not in reports:
            return jsonify(error="there is no such report"), 404
        status = reports[key].status()
        if status.known:
            return jsonify(done=status.numerator, of=status.denominator), 202
        return jsonify(report=reports[key].result(timeout=5.0))

    @web.errorhandler(ConnectionFailed)
    def no_server(error: ConnectionFailed) -> ResponseReturnValue:
        return jsonify(error=str(error)), 503

    @web.errorhandler(JobTimeout)
    def no_worker(error: JobTimeout) -> ResponseReturnValue:
        return jsonify(error="no worker has time at the moment"), 503

    return web
