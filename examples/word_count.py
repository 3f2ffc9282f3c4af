"""
Counts the words of many files, one job a file, in two ways.

The first way the client hands out the files and adds the counts up. The second
way it sends everything as one job, and a worker hands out the parts::

    python examples/word_count.py docs/howto/*.md

The workers run in this process, so that there is nothing else to start but a
server. They could run anywhere: files travel in the workload.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from geartrain import Client, Worker
from geartrain.worker.job import Job

# Between files, where they travel together. Text has no such character.
SEPARATOR = b"\f"

counting = Worker(concurrency=4)
# A worker of its own: it waits for the counts, and must not wait for itself.
splitting = Worker()


@counting.function("count-words")
def count_words(job: Job) -> str:
    """Count the words of one text."""
    words = (word.strip(b".,:;!?()[]{}<>\"'`*_#|-").lower() for word in job.workload.split())
    return json.dumps(Counter(word.decode("utf-8", "replace") for word in words if word))


@splitting.function("split-texts")
def split_texts(job: Job) -> str:
    """Have each text done by the function that the client named as the reducer; add up."""
    texts = job.workload.split(SEPARATOR)
    total: Counter[str] = Counter()
    with Client() as client:
        for number, counts in enumerate(client.map(job.reducer, texts), 1):
            total.update(json.loads(counts))
            job.progress(number, len(texts))
    return json.dumps(total)


def count_by_map(client: Client, texts: Iterable[bytes]) -> Counter[str]:
    """Have each text counted by a job, and add up here."""
    total: Counter[str] = Counter()
    for counts in client.map("count-words", texts):
        total.update(json.loads(counts))
    return total


def count_by_reduce(client: Client, texts: Iterable[bytes]) -> Counter[str]:
    """Have one job do all of it."""
    job = client.submit("split-texts", SEPARATOR.join(texts), reducer="count-words")
    return Counter(json.loads(job.result()))


def main(paths: list[str]) -> None:
    """Count both ways, and show the most frequent words."""
    if not paths:
        sys.exit("usage: word_count.py FILE...")
    texts = [Path(path).read_bytes() for path in paths]
    with counting, splitting, Client() as client:
        started = time.monotonic()
        mapped = count_by_map(client, texts)
        middle = time.monotonic()
        reduced = count_by_reduce(client, texts)
        ended = time.monotonic()
    if mapped != reduced:
        sys.exit("the two ways differ")
    print(f"{mapped.total()} words in {len(texts)} files, {len(mapped)} of them different")
    for word, count in mapped.most_common(5):
        print(f"{count:7} {word}")
    print(f"client.map: {middle - started:.2f} s; one job with a reducer: {ended - middle:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
