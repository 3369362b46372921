"""What hostile training code could try with all that its container has: it must get nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.compose.platform import Containers

#: Each: what is tried, and the code, which prints "done" if it worked.
_BROKER = """
import redis
broker = redis.Redis.from_url(open("/run/secrets/redis_train_url").read())
try:
    {call}
    print("done")
except redis.exceptions.NoPermissionError:
    print("refused")
"""
_REACH = """
import socket
try:
    socket.create_connection(("{host}", {port}), timeout=5)
    print("done")
except OSError:
    print("refused")
"""
_WRITE = """
try:
    open("{path}", "w")
    print("done")
except OSError:
    print("refused")
"""
BROKER = {
    "puts a task on airlock's queue": 'broker.lpush("airlock", "x")',
    "takes a task from airlock's queue": 'broker.rpop("airlock")',
    "takes a task of higher priority": 'broker.rpop("airlock\\\\x06\\\\x163")',
    "hands airlock's worker an unacknowledged message": 'broker.hset("unacked-airlock", "x", "y")',
    "lists the keys of the broker": 'broker.keys("*")',
    "walks the keys of the broker": "broker.scan()",
    "sends a command to the other worker": 'broker.publish("/0.celery.pidbox", "x")',
    "reads the broker's accounts": "broker.acl_list()",
    "empties the broker": "broker.flushall()",
}
REACH = {
    "PostgreSQL": ("postgres", 5432),
    "MLflow": ("mlflow", 5000),
    "a host outside": ("192.0.2.1", 443),
}
WRITE = {
    "the pinned data": "/opt/airlock/.airlock/data/x",
    "the image's DAG files": "/opt/airlock/dags/x.py",
    "Airlock's code": "/opt/airlock/include/airlock/x.py",
    "its own DAG files": "/opt/airlock/own-dags/x.py",
}


def results(containers: Containers) -> Iterator[tuple[str, bool]]:
    """Yield what the queue train was refused, and whether it was."""
    works = containers.python("worker-train", _BROKER.format(call='broker.llen("train")'))
    yield "the queue train reads its own queue, so its refusals mean something", "done" in works
    for what, call in BROKER.items():
        yield (
            f"the broker refuses train when it {what}",
            _refused(containers, _BROKER.format(call=call)),
        )
    for what, (host, port) in REACH.items():
        code = _REACH.format(host=host, port=port)
        yield f"train does not reach {what}", _refused(containers, code)
    for what, path in WRITE.items():
        yield f"train cannot write {what}", _refused(containers, _WRITE.format(path=path))
    code = _WRITE.format(path="/opt/airlock/.airlock/handover/x")
    yield "airlock cannot write the hand-over folder", _refused(containers, code, "worker-airlock")
    told = json.loads(
        containers.python("worker-train", "import json, os; print(json.dumps(dict(os.environ)))")
    )
    yield (
        "train is told no address of a database",
        not [v for v in told.values() if "postgresql" in v],
    )


def _refused(containers: Containers, code: str, service: str = "worker-train") -> bool:
    return containers.python(service, code).strip().splitlines()[-1] == "refused"
