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
from sim.database import Database
from sim.disk import Disk
from sim.machine import Machine
from sim.member import Member
from sim.network import Network
from sim.people import Administrator, Bystander, Client, Person, Worker
from sim.world import World

# Seconds of work and trouble, and seconds after which everything that is owed must be done.
ACT = 20.0
REST = 120.0

FUNCTIONS = (b"resize", b"mail", b"index")

Plant = Callable[["Story"], None]
Trouble = Callable[["Story"], None]


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
        slowness = random.choice([0.001, 0.01, 0.1])
        self.disk = Disk(world, slowness)
        self.database = Database(world, slowness)
        self.machines = self.new_machines()
        self.machine = self.machines[0]
        self.bystander = Bystander(world, self.machines, self.account, "bystander")
        self.administrator = Administrator(world, self.machines, self.account, "administrator")
        self.clients = [
            Client(world, self.machines, self.account, f"client {number}")
            for number in range(1, random.randint(2, 4))
        ]
        self.workers = [self.new_worker(number) for number in range(1, random.randint(2, 5))]
        self.submissions = random.randint(10, 150)
        self.cancellations = random.choice([0, 0, 5])
        self.keys = [b"", b"", b"-", b"one", b"two", b"three"][: random.randint(1, 6)]
        self.background = random.choice([0.2, 0.5, 1.0])
        self.delayed = random.choice([0.0, 0.0, 0.2])
        self.blank = random.choice([0.0, 0.1])
        self.troubles = [one for one in self.possible_troubles() if random.random() < 0.35]
        if random.random() < 0.4:
            self.keep_policy()
        if plant is not None:
            plant(self)

    def possible_troubles(self) -> tuple[Trouble, ...]:
        """Return the kinds of trouble that there are in such a story."""
        return TROUBLES

    def new_machines(self) -> list[Machine]:
        """Return the one machine of this story."""
        return [Machine(self.world, self.network, self.disk, self.account)]

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
            keeps_failures=True,
            poison=random.choice([0, 2]),
            concurrency=random.choice([0, 1, 2]),
        )
        for machine in self.machines:
            machine.policies.append(policy)
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
            self.machines,
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
        for machine in self.machines:
            machine.start()
        people: list[Person | Worker] = [self.bystander, self.administrator]
        for person in [*self.clients, *self.workers, *people]:
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
        letters = [*self.disk.dead.values(), *self.database.dead.values()]
        self.account.dead = {row[1] for row in letters if isinstance(row[1], bytes)}
        self.account.judge()
        for machine in self.machines:
            if machine.process is None:
                self.account.fail(f"{machine.name} did not start again")
            else:
                self.account.judge_rest(machine.process)

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
        self.disk.is_full = False
        for store in (self.disk, self.database):
            store.is_down = False
            store.chance_of_failure = 0.0
            store.taste.dislikes = b""
            store.hangs_until = min(store.hangs_until, self.world.now)
        self.database.cut_off.clear()
        for machine in self.machines:
            machine.thaw()
            machine.start()
        for worker in self.workers:
            worker.chance_to_hang = 0.0


# Troubles.


def server_dies(story: Story) -> None:
    """A server is killed and started again some time later."""
    machine = story.world.random.choice(story.machines)
    machine.crash()
    story.world.after(story.world.seconds(0, 3), machine.start)


def server_is_stopped(story: Story) -> None:
    """A server is stopped for a while."""
    machine = story.world.random.choice(story.machines)
    machine.freeze()
    story.world.after(story.world.seconds(0, 8), machine.thaw)


def worker_dies(story: Story) -> None:
    """A worker is killed."""
    story.world.random.choice(story.workers).crash()


def line_breaks(story: Story) -> None:
    """Somebody's connection breaks."""
    people: list[Person | Worker] = [*story.clients, *story.workers]
    story.world.random.choice(people).cut()


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
        story.disk.chance_of_failure = story.database.chance_of_failure = 0.0

    story.world.note("the store fails now and then")
    chance = story.world.random.choice([0.1, 0.5, 1.0])
    story.disk.chance_of_failure = story.database.chance_of_failure = chance
    story.world.after(story.world.seconds(0, 4), mend)


def disk_refuses_some(story: Story) -> None:
    """The store does not take some jobs, and may not be able to tell which."""
    random = story.world.random
    first = b"%d" % random.randint(1, 9)
    names = random.choice([True, False])
    story.world.note(f"the store takes no job that begins with {first!r}")
    for store in (story.disk, story.database):
        store.taste.dislikes, store.taste.names = first, names

    def mend() -> None:
        story.disk.taste.dislikes = story.database.taste.dislikes = b""

    story.world.after(story.world.seconds(0, 8), mend)


def disk_hangs(story: Story) -> None:
    """The store does not answer for a while."""
    story.world.note("the store hangs")
    until = story.world.now + story.world.seconds(0, 4)
    story.disk.hangs_until = story.database.hangs_until = until


def clock_is_set(story: Story) -> None:
    """A server's clock is set, forth or back."""
    machine = story.world.random.choice(story.machines)
    story.world.note(f"the clock of {machine.name} is set")
    story.account.clocks_were_set = True
    machine.clock_error = story.world.seconds(-10, 10)


def machine_is_cut_off(story: Story) -> None:
    """A server does not reach the database for a while; everybody else does."""
    machine = story.world.random.choice(story.machines)
    cut_off = story.database.cut_off
    story.world.note(f"{machine.name} does not reach the database")
    story.account.note_fault()
    cut_off.add(machine)
    story.world.after(story.world.seconds(0, 8), lambda: cut_off.discard(machine))


def database_is_down(story: Story) -> None:
    """Nobody reaches the database for a while."""

    def mend() -> None:
        story.database.is_down = False

    story.world.note("the database is down")
    story.database.is_down = True
    story.world.after(story.world.seconds(0, 8), mend)


TROUBLES: tuple[Trouble, ...] = (
    server_dies,
    server_is_stopped,
    worker_dies,
    line_breaks,
    client_leaves,
    disk_fills_up,
    disk_fails,
    disk_hangs,
    clock_is_set,
    disk_refuses_some,
)


SHARED_TROUBLES: tuple[Trouble, ...] = (
    server_dies,
    server_is_stopped,
    worker_dies,
    line_breaks,
    client_leaves,
    disk_fails,
    disk_hangs,
    clock_is_set,
    machine_is_cut_off,
    database_is_down,
    disk_refuses_some,
)


class SharedStory(Story):
    """A story of two or three servers that share a database."""

    def possible_troubles(self) -> tuple[Trouble, ...]:
        return SHARED_TROUBLES

    def new_machines(self) -> list[Machine]:
        names = ("anna", "berta", "carla")[: self.world.random.randint(2, 3)]
        return [
            Member(self.world, self.network, self.database, self.account, name) for name in names
        ]


def tell(seed: int, plant: Plant | None = None, shared: bool = False) -> str:
    """
    Run the story of a seed and return its fingerprint.

    Raises BrokenPromise, with the end of the log and the command that shows it again.
    """
    story = (SharedStory if shared else Story)(seed, plant)
    try:
        story.run()
    except Exception as error:
        lines = "\n".join(story.world.log)
        what = f"{type(error).__name__}: {error}"
        raise BrokenPromise(
            f"seed {seed}: {what}\n{lines}\nseed {seed}: {what}\n"
            f"to see it again: python -m sim --seed {seed}{' --shared' if shared else ''}"
        ) from error
    return story.world.fingerprint()
