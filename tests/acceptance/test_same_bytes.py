"""
Whole conversations, byte for byte as gearmand has them.

Each is played to gearmand and to geartrain, and everything that anybody heard must be the same but
for the names of the handles. What is meant to differ is in ``test_repaired_defects.py``.
"""

from __future__ import annotations

import re

import pytest

from tests.acceptance.conftest import JobServers
from tests.acceptance.dialogue import Dialogue

DIALOGUES = {
    "a foreground job from submission to result": """
        worker CAN_DO F
        worker GRAB_JOB
        worker PRE_SLEEP
        client SUBMIT_JOB F|F-key|test
        worker GRAB_JOB
        worker WORK_STATUS $1|1|2
        client GET_STATUS $1
        worker WORK_DATA $1|some
        worker WORK_DATA $1|
        worker WORK_WARNING $1|careful
        worker WORK_COMPLETE $1|done|with|nulls
        client GET_STATUS $1
        worker GRAB_JOB
    """,
    "the three ways to grab": """
        worker CAN_DO F
        client SUBMIT_JOB_BG F|F-key|one
        client SUBMIT_JOB_BG F||two
        client SUBMIT_JOB_BG F|F-key-3|three
        client SUBMIT_JOB_BG F||four
        worker GRAB_JOB
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB_ALL
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB_ALL
    """,
    "priorities within a function": """
        client SUBMIT_JOB_LOW_BG F||low 1
        client SUBMIT_JOB_BG F||normal 1
        client SUBMIT_JOB_HIGH_BG F||high 1
        client SUBMIT_JOB_LOW F||low 2
        client SUBMIT_JOB F||normal 2
        client SUBMIT_JOB_HIGH F||high 2
        worker CAN_DO F
        worker GRAB_JOB
        worker GRAB_JOB
        worker GRAB_JOB
        worker GRAB_JOB
        worker GRAB_JOB
        worker GRAB_JOB
        worker GRAB_JOB
    """,
    "a job that fails": """
        worker CAN_DO F
        client SUBMIT_JOB F||x
        worker GRAB_JOB
        worker WORK_FAIL $1
        worker WORK_FAIL $1
        worker WORK_COMPLETE $1|late
        client GET_STATUS $1
    """,
    "an exception to a client that asked for it": """
        client OPTION_REQ exceptions
        worker CAN_DO F
        client SUBMIT_JOB F||x
        worker GRAB_JOB
        worker WORK_EXCEPTION $1|it|broke
        client GET_STATUS $1
    """,
    "options": """
        client OPTION_REQ exceptions
        client OPTION_REQ EXCEPTIONS
        client OPTION_REQ nothing
        client OPTION_REQ
        worker CAN_DO F
        worker OPTION_REQ exceptions
    """,
    "many clients share one job": """
        first SUBMIT_JOB F|F-key|x
        second SUBMIT_JOB F|F-key|y
        first SUBMIT_JOB_HIGH F|F-key|z
        third SUBMIT_JOB_BG F|F-key|z
        fourth GET_STATUS_UNIQUE F-key
        worker CAN_DO F
        worker GRAB_JOB_UNIQ
        worker WORK_DATA $1|some
        worker WORK_STATUS $1|1|2
        fourth GET_STATUS_UNIQUE F-key
        fourth GET_STATUS $1
        worker WORK_COMPLETE $1|done
        fourth GET_STATUS_UNIQUE F-key
        second SUBMIT_JOB F|F-key|again
    """,
    "the workload is the key": """
        client SUBMIT_JOB F|-|same
        client SUBMIT_JOB F|-|same
        client SUBMIT_JOB F|-|other
        client SUBMIT_JOB F|-|
        client SUBMIT_JOB F|-|
        client GET_STATUS_UNIQUE -
        worker CAN_DO F
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB_UNIQ
        worker GRAB_JOB_UNIQ
    """,
    "a unique key belongs to a function": """
        client SUBMIT_JOB_BG F|F-key|x
        client SUBMIT_JOB_BG F-2|F-key|x
        client SUBMIT_JOB_BG F|F-key|x
    """,
    "a client joins a running job that everybody had left": """
        worker CAN_DO F
        first SUBMIT_JOB F|F-key|x
        worker GRAB_JOB
        first.
        second SUBMIT_JOB F|F-key|y
        worker WORK_DATA $1|some
        worker WORK_COMPLETE $1|done
    """,
    "nobody hears of a background job": """
        worker CAN_DO F
        client SUBMIT_JOB_BG F||x
        worker GRAB_JOB
        worker WORK_DATA $1|some
        worker WORK_WARNING $1|careful
        worker WORK_STATUS $1|1|4
        client GET_STATUS $1
        worker WORK_COMPLETE $1|done
        client GET_STATUS $1
    """,
    "sleeping and waking": """
        worker CAN_DO F
        worker PRE_SLEEP
        client SUBMIT_JOB_BG F||1
        client SUBMIT_JOB_BG F||2
        worker PRE_SLEEP
        worker PRE_SLEEP
        worker GRAB_JOB
        worker GRAB_JOB
        worker GRAB_JOB
        worker PRE_SLEEP
        client SUBMIT_JOB_BG F||3
        worker GRAB_JOB
    """,
    "a worker gives a job back by forgetting how": """
        worker CAN_DO F
        client SUBMIT_JOB F||x
        worker GRAB_JOB
        worker CANT_DO F
        worker WORK_COMPLETE $1|late
        worker GRAB_JOB
        worker CAN_DO F
        worker GRAB_JOB
        worker RESET_ABILITIES
        worker WORK_COMPLETE $1|late
        worker GRAB_JOB
        client GET_STATUS $1
    """,
    "a worker leaves and another takes its job": """
        first CAN_DO F
        second CAN_DO F
        second PRE_SLEEP
        client SUBMIT_JOB F|F-key|x
        first GRAB_JOB
        first WORK_STATUS $1|3|4
        first.
        second GRAB_JOB_UNIQ
        client GET_STATUS $1
        second WORK_COMPLETE $1|done
    """,
    "a job is nobody else's": """
        worker CAN_DO F
        client SUBMIT_JOB F||x
        worker GRAB_JOB
        thief WORK_STATUS $1|1|2
        thief WORK_DATA $1|x
        thief WORK_WARNING $1|x
        thief WORK_COMPLETE $1|x
        thief WORK_FAIL $1
        thief WORK_EXCEPTION $1|x
        worker WORK_COMPLETE $1|done
    """,
    "a job nobody knows": """
        anybody WORK_STATUS H:none:1|1|2
        anybody WORK_DATA H:none:1|x
        anybody WORK_WARNING H:none:1|x
        anybody WORK_COMPLETE H:none:1|x
        anybody WORK_FAIL H:none:1
        anybody WORK_EXCEPTION H:none:1|x
        anybody GET_STATUS H:none:1
        anybody GET_STATUS
        anybody GET_STATUS_UNIQUE nothing
        anybody GET_STATUS_UNIQUE
    """,
    "a reduce job": """
        worker CAN_DO F
        client SUBMIT_REDUCE_JOB F|F-key|reducer||data
        worker GRAB_JOB_ALL
        worker WORK_COMPLETE $1|
        client SUBMIT_REDUCE_JOB_BACKGROUND F|F-key-2|reducer|aggregate|data
        client SUBMIT_REDUCE_JOB F|F-key-3|reducer|aggregate|data
        worker GRAB_JOB
        worker GRAB_JOB_UNIQ
    """,
    "delayed jobs": """
        client SUBMIT_JOB_EPOCH F||0|now
        client SUBMIT_JOB_EPOCH F|F-key|4000000000|much later
        client SUBMIT_JOB_EPOCH F|F-key|4100000000|much later
        worker CAN_DO F
        worker GRAB_JOB
        worker GRAB_JOB
        client GET_STATUS $2
        worker PRE_SLEEP
    """,
    "a queue that is full": """
        admin "create function F
        admin "maxqueue F 2
        client SUBMIT_JOB_BG F|1|x
        client SUBMIT_JOB_BG F|2|x
        client SUBMIT_JOB_BG F|3|x
        client SUBMIT_JOB F||x
        client SUBMIT_JOB_BG F|1|x
        admin "maxqueue F 5 3 1
        client SUBMIT_JOB_LOW_BG F||x
        client SUBMIT_JOB_BG F||x
        client SUBMIT_JOB_HIGH_BG F||x
        client SUBMIT_JOB_BG F||x
        admin "maxqueue F
        client SUBMIT_JOB_BG F||x
    """,
    "a cancelled job": """
        first SUBMIT_JOB F|F-key|x
        second SUBMIT_JOB F|F-key|x
        admin "cancel job $1
        worker CAN_DO F
        worker GRAB_JOB
    """,
    "names and sizes": """
        worker CAN_DO F and a blank
        client SUBMIT_JOB_BG F and a blank||x
        worker GRAB_JOB
        client SUBMIT_JOB_BG F|012345678901234567890123456789012345678901234567890123456789012|x
        client SUBMIT_JOB_BG F|01234567890123456789012345678901234567890123456789012345678901234|x
        worker CAN_DO
        client SUBMIT_JOB_BG ||nameless
        worker GRAB_JOB
    """,
    "packets that only a server sends": """
        anybody UNUSED
        anybody NOOP
        anybody JOB_CREATED H:none:1
        anybody NO_JOB
        anybody ECHO_RES x
        anybody ALL_YOURS
        anybody OPTION_RES x
        anybody ERROR code|text
        anybody JOB_ASSIGN H:none:1|f|x
        anybody STATUS_RES H:none:1|1|1|1|1
    """,
    "text beside packets": """
        anybody "show
        anybody "show nothing
        anybody "show unique
        anybody "cancel
        anybody "cancel job
        anybody "cancel job H:none:1
        anybody "cancel the job
        anybody "cancel job a b
        anybody "create
        anybody "create function
        anybody "CREATE function F
        anybody "create something F
        anybody "drop
        anybody "drop function
        anybody "drop function F
        anybody "drop function F
        anybody "drop something F
        anybody "maxqueue
        anybody "maxqueue F-unknown 3
        anybody "nonsense
        anybody "nonsense and more of it
        anybody "
    """,
    "a function somebody uses is not dropped": """
        worker CAN_DO F
        admin "drop function F
        worker CANT_DO F
        admin "drop function F
    """,
}


@pytest.mark.parametrize("script", DIALOGUES.values(), ids=DIALOGUES.keys())
def test_both_servers_say_the_same(job_servers: JobServers, function: str, script: str) -> None:
    heard = {}
    for name in ("gearmand", "geartrain"):
        server = job_servers.take(name)
        heard[name] = Dialogue(server.port).play(re.sub(r"\bF\b", function, script))
        job_servers.check(server)
    assert heard["geartrain"] == heard["gearmand"]
