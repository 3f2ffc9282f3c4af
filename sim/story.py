"""
One story: who is there, what they want, what breaks, and how it must end.

The seed decides which kinds of trouble a story has, not only when they come: a
story with all of them at once would seldom get far enough to meet a rare one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from geartrain.broker.policy import Policy
from sim.account import Account, BrokenPromise, Submission
from sim.disk import Disk
from sim.machine import Machine
from sim.network import Network
from sim.people import Administrator, Bystander, Client, Worker
from sim.world import World

# Seconds of work and trouble, and seconds after which everything that is owed must be done.
ACT = 20.0
REST = 120.0

FUNCTIONS = (b"resize", b"mail", b"index")

Plant = Callable[["Story"], None]


class Story:
    """
    A simulation from its beginning to its end.

    Args:
        seed: Decides everything.
        plant: Puts a defect into it, to see it found.

    """

    def __init__(self, seed: int, plant: Plant | None = None) -> None:
        self.world = world = World(seed)
        random = world.random
        self.account = Account(world)
        self.network = Network(world, random.choice([0.0005, 0.005, 0.05]))
        self.disk = Disk(world, random.choice([0.001, 0.01, 0.1]))
        self.machine = Machine(world, self.network, self.disk, self.account)
        self.bystander = Bystander(world, self.machine, self.account, "bystander")
        self.administrator = Administrator(world, self.machine, self.account, "administrator")
        self.clients = [
            Client(world, self.machine, self.account, f"client {number}")
            for number in range(1, random.randint(2, 4))
        ]
        self.workers = [self.new_worker(number) for number in range(1, random.randint(2, 5))]
        self.submissions = random.randint(10, 150)
        self.cancellations = random.choice([0, 0, 5])
        self.keys = [b"", b"", b"-", b"one", b"two", b"three"][: random.randint(1, 6)]
        self.background = random.choice([0.2, 0.5, 1.0])
        self.delayed = random.choice([0.0, 0.0, 0.2])
        self.blank = random.choice([0.0, 0.1])
        self.troubles = [trouble for trouble in TROUBLES if random.random() < 0.35]
        if random.random() < 0.4:
            self.keep_policy()
        if plant is not None:
            plant(self)

    def keep_policy(self) -> None:
        """Have the server try the jobs of one function again, and not too many at a time."""
        random = self.world.random
        policy = Policy(
            FUNCTIONS[0],
            attempts=random.randint(1, 4),
            first=random.choice([0.1, 1.0]),
            factor=2.0,
            longest=5.0,
            jitter=0.2,
            dead_letters=True,
            poison=random.choice([0, 2]),
            concurrency=random.choice([0, 1, 2]),
        )
        self.machine.policies.append(policy)
        self.account.retried.add(policy.pattern)
        if policy.concurrency:
            self.account.limits[policy.pattern] = policy.concurrency

    def new_worker(self, number: int) -> Worker:
        """Return a worker, the first of which can do everything."""
        random = self.world.random
        known = FUNCTIONS if number == 1 else random.sample(FUNCTIONS, random.randint(1, 3))
        limit = random.choice([0, 0, 3000])
        worker = Worker(
            self.world,
            self.machine,
            self.account,
            f"worker {number}",
            dict.fromkeys(known, limit),
            random.randint(1, 3),
            random.choice([0.01, 0.2, 1.0]),
        )
        worker.chance_to_fail = random.choice([0.0, 0.2])
        worker.chance_to_hang = random.choice([0.0, 0.05])
        return worker

    def run(self) -> None:
        """Let it happen and judge it; raises BrokenPromise."""
        world = self.world
        random = world.random
        self.machine.start()
        for person in [*self.clients, *self.workers, self.bystander, self.administrator]:
            world.after(world.seconds(0, 1), person.connect)
        for number in range(self.submissions):
            world.after(world.seconds(0, ACT), partial(self.submit, number))
        for _ in range(self.cancellations):
            world.after(world.seconds(1, ACT), self.administrator.cancel)
        for trouble in self.troubles:
            for _ in range(random.randint(1, 4)):
                world.after(world.seconds(0, ACT), partial(trouble, self))
        world.run_until(world.now + ACT)
        self.heal()
        world.run_until(world.now + REST)
        self.account.dead = {row[1] for row in self.disk.dead.values() if isinstance(row[1], bytes)}
        self.account.judge()
        if self.machine.process is None:
            self.account.fail("the server did not start again")
        else:
            self.account.judge_rest(self.machine.process)

    def submit(self, number: int) -> None:
        """Let somebody submit something."""
        world = self.world
        random = world.random
        unique = random.choice(self.keys)
        background = world.happens(self.background)
        epoch = 0
        if background and world.happens(self.delayed):
            epoch = int(world.now) + random.randint(0, 10)
        # A NUL and bytes that are no text have to come through like all others. With the key
        # "-" the workload is the key.
        workload = b"photo %d" % random.randint(1, 3) if unique == b"-" else b"%d\0\xff" % number
        if not unique and world.happens(self.blank):
            workload = b""
        priority = 1 if epoch else random.randint(0, 2)
        random.choice(self.clients).submit(
            Submission(
                random.choice(FUNCTIONS), unique, workload, priority, background, epoch, world.now
            )
        )

    def heal(self) -> None:
        """Let everything work again, so that what is owed gets done."""
        self.world.note("all is well again")
        disk = self.disk
        disk.is_full = disk.is_down = False
        disk.chance_of_failure = 0.0
        disk.hangs_until = min(disk.hangs_until, self.world.now)
        self.machine.thaw()
        self.machine.start()
        for worker in self.workers:
            worker.chance_to_hang = 0.0


# Troubles.


def server_dies(story: Story) -> None:
    """The server is killed and started again some time later."""
    story.machine.crash()
    story.world.after(story.world.seconds(0, 3), story.machine.start)


def server_is_stopped(story: Story) -> None:
    """The server is stopped for a while."""
    story.machine.freeze()
    story.world.after(story.world.seconds(0, 5), story.machine.thaw)


def worker_dies(story: Story) -> None:
    """A worker is killed."""
    story.world.random.choice(story.workers).crash()


def line_breaks(story: Story) -> None:
    """Somebody's connection breaks."""
    story.world.random.choice([*story.clients, *story.workers]).cut()


def client_leaves(story: Story) -> None:
    """A client does not wait for what it asked for."""
    story.world.random.choice(story.clients).leave()


def disk_fills_up(story: Story) -> None:
    """Nothing more can be stored for a while."""

    def free() -> None:
        story.disk.is_full = False

    story.world.note("the disk is full")
    story.disk.is_full = True
    story.world.after(story.world.seconds(0, 4), free)


def disk_fails(story: Story) -> None:
    """Some commits fail, and some of those are on disk all the same."""

    def mend() -> None:
        story.disk.chance_of_failure = 0.0

    story.world.note("the disk fails now and then")
    story.disk.chance_of_failure = story.world.random.choice([0.1, 0.5, 1.0])
    story.world.after(story.world.seconds(0, 4), mend)


def disk_hangs(story: Story) -> None:
    """The disk does not answer for a while."""
    story.world.note("the disk hangs")
    story.disk.hangs_until = story.world.now + story.world.seconds(0, 4)


def clock_is_set(story: Story) -> None:
    """The server's clock is set, forth or back."""
    story.world.note("the clock is set")
    story.account.clocks_were_set = True
    story.machine.clock_error = story.world.seconds(-10, 10)


TROUBLES: tuple[Callable[[Story], None], ...] = (
    server_dies,
    server_is_stopped,
    worker_dies,
    line_breaks,
    client_leaves,
    disk_fills_up,
    disk_fails,
    disk_hangs,
    clock_is_set,
)


def tell(seed: int, plant: Plant | None = None) -> str:
    """
    Run the story of a seed and return its fingerprint.

    Raises BrokenPromise, with the end of the log and the command that shows it again.
    """
    story = Story(seed, plant)
    try:
        story.run()
    except Exception as error:
        lines = "\n".join(story.world.log)
        what = f"{type(error).__name__}: {error}"
        raise BrokenPromise(
            f"seed {seed}: {what}\n{lines}\nseed {seed}: {what}\n"
            f"to see it again: python -m sim --seed {seed}"
        ) from error
    return story.world.fingerprint()
