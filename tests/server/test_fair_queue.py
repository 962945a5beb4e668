"""The order in which queued tasks are rendered."""

from mp4gen.server.queue.fair_queue import FairQueue


def queue_of(*task_ids: str) -> FairQueue:
    """Return a queue of these tasks; the first letter of an id is its account."""
    queue = FairQueue()
    for task_id in task_ids:
        queue.put(task_id[0], task_id)
    return queue


def take(queue: FairQueue, count: int) -> list[str]:
    return [str(queue.get()) for _ in range(count)]


def test_get_takes_turns_between_accounts() -> None:
    """A bulk run of one account does not delay the others."""
    queue = queue_of("a0", "a1", "a2", "a3", "b0", "c0")
    expected = ["a0", "b0", "c0", "a1", "a2", "a3"]

    assert take(queue, 6) == expected
    assert queue.get() is None


def test_get_takes_turns_with_one_slot() -> None:
    """If no account has a task running, the one that was served least recently is next."""
    queue = queue_of("a0", "a1", "a2", "b0", "b1", "c0")
    expected = ["a0", "b0", "c0", "a1", "b1", "a2"]

    served = []
    for _ in expected:
        served += take(queue, 1)
        queue.task_done(served[-1])

    assert served == expected


def test_get_prefers_the_account_with_fewest_running() -> None:
    """An account with a task running waits behind one without."""
    queue = queue_of("a0", "a1", "a2", "b0", "b1")

    assert take(queue, 3) == ["a0", "b0", "a1"]
    queue.task_done("b0")
    assert take(queue, 2) == ["b1", "a2"]


def test_remove_takes_a_task_out() -> None:
    """A removed task is not taken, and the queue is shorter."""
    queue = queue_of("a1", "a2", "a3")

    assert queue.remove("a2")
    assert not queue.remove("a2")
    assert len(queue) == 2
    assert queue.ahead_of("a3") <= 2
    assert take(queue, 2) == ["a1", "a3"]
    assert len(queue) == 0


def test_get_takes_urgent_tasks_before_the_others_of_their_account() -> None:
    """What a person waits for overtakes the bulk run of the same account, not other accounts."""
    queue = queue_of("a0", "a1", "b0", "b1")
    queue.put("a", "a-click", urgent=True)
    queue.put("a", "a-second-click", urgent=True)

    assert queue.count("a") == 4
    assert [queue.ahead_of(one) for one in ("a-click", "a-second-click", "a0")] == [0, 2, 4]
    assert take(queue, 6) == ["a-click", "b0", "a-second-click", "b1", "a0", "a1"]


def test_put_back_keeps_the_lane_of_a_task() -> None:
    """A task that is tried again goes before the others of its kind."""
    queue = queue_of("a0")
    queue.put("a", "a-click", urgent=True)
    queue.put_back("a", "a-again", urgent=True)
    queue.put_back("a", "a-first")

    assert take(queue, 4) == ["a-again", "a-click", "a-first", "a0"]


def test_put_back_goes_before_the_others_of_its_account() -> None:
    """A task that is tried again keeps its turn, and others are counted behind it."""
    queue = FairQueue()
    for task_id in ("1", "2", "3"):
        queue.put("a", task_id)
    first = queue.get()
    queue.task_done(first)

    queue.put_back("a", first)
    queue.put_back("b", "9")

    assert [queue.ahead_of(task_id) for task_id in ("1", "9")] == [0, 0]
    assert queue.ahead_of("3") > queue.ahead_of("2") > 0
    order = []
    while (task_id := queue.get()) is not None:
        order.append(task_id)
        queue.task_done(task_id)
    assert [task_id for task_id in order if task_id != "9"] == ["1", "2", "3"]


def test_accounts_share_a_thousand_slots() -> None:
    """Accounts with many tasks and with few have the same number of renders at once."""
    queue = FairQueue()
    for number in range(2000):
        queue.put("bulk", f"bulk-{number}")
        queue.put(f"account-{number % 9}", f"{number}")

    first = take(queue, 1000)
    for task_id in first[::3]:
        queue.task_done(task_id)
    then = take(queue, 334)

    running = {*first, *then} - {*first[::3]}
    bulk = sum(task_id.startswith("bulk") for task_id in running)
    assert len(running) == 1000
    assert bulk == 100


def test_account_without_tasks_delays_no_estimate() -> None:
    """It counts neither after its tasks were removed nor after they were rendered."""
    queue = queue_of("a0", "a1", "a2", "a3", "b0", "c0")
    assert [queue.ahead_of(f"a{number}") for number in range(4)] == [0, 3, 5, 5]

    queue.remove("c0")
    assert [queue.ahead_of(f"a{number}") for number in range(4)] == [0, 2, 4, 4]
    take(queue, 2)
    queue.task_done("b0")
    assert [queue.ahead_of(f"a{number}") for number in range(1, 4)] == [0, 1, 2]
    assert (queue.count("a"), queue.count("b")) == (3, 0)


def test_task_that_is_tried_again_is_the_first_of_its_account() -> None:
    """Those behind it count it, also in an account that was idle."""
    queue = queue_of("a1", "a2")
    queue.put_back("a", "a0")
    queue.put_back("b", "b0")
    queue.put("b", "b1")

    assert [queue.ahead_of(name) for name in ("a0", "a1", "a2", "b0", "b1")] == [0, 2, 4, 0, 2]
    queue.task_done("unknown")
    assert take(queue, 5) == ["a0", "b0", "a1", "b1", "a2"]
