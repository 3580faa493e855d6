"""Turns: one person's many requests and another's first; one key's and its owner's browser."""

from appliance.inference.fair_queue import FairQueue, Ticket


def served(queue: FairQueue) -> str:
    """Everybody by turn, as the queue serves them one after the other."""
    names = ""
    while order := queue.order():
        assert queue.is_next(order[0])
        assert [queue.place(ticket) for ticket in order] == list(range(1, len(order) + 1))
        queue.serve(order[0])
        names += order[0].who
    return names


def joined(names: str) -> tuple[FairQueue, list[Ticket]]:
    queue = FairQueue()
    return queue, [queue.join(name) for name in names]


def test_one_person_is_served_in_the_order_of_asking() -> None:
    queue, tickets = joined("aaa")
    assert queue.order() == tickets


def test_people_take_turns_however_many_requests_one_has() -> None:
    queue, _ = joined("aaaabbc")
    assert served(queue) == "abcabaa"


def test_who_comes_new_waits_one_turn_of_each_other_at_most() -> None:
    queue, _ = joined("aaaaaaaaaaaaaaaa")
    assert queue.place(queue.join("b")) == 2


def test_who_was_just_served_is_last_of_the_round() -> None:
    queue, tickets = joined("abc")
    queue.serve(tickets[0])
    queue.join("a")
    assert served(queue) == "bca"


def test_asking_again_and_again_gets_nobody_ahead() -> None:
    queue, _ = joined("ab")
    names = ""
    for _ in range(6):
        ticket = queue.order()[0]
        queue.serve(ticket)
        names += ticket.who
        queue.join("a" if ticket.who == "a" else "b")
    assert names == "ababab"


def test_who_leaves_gives_up_that_request_and_no_turn() -> None:
    queue, tickets = joined("aab")
    queue.leave(tickets[0])
    assert tickets[0] not in queue
    assert tickets[1] in queue
    assert served(queue) == "ab"
    queue.leave(tickets[0])
    assert len(queue) == 0


def test_who_was_served_in_vain_is_next_again() -> None:
    queue, tickets = joined("aabb")
    queue.serve(tickets[0])
    queue.put_back(tickets[0])
    assert queue.order() == [tickets[0], tickets[2], tickets[1], tickets[3]]
    queue, tickets = joined("ab")
    queue.serve(tickets[0])
    queue.put_back(tickets[0])
    assert queue.order() == tickets


def test_there_is_an_end_for_one_person_and_for_all() -> None:
    queue = FairQueue(longest=3, longest_of_one=2)
    for name in "aa":
        assert not queue.is_full_for(name)
        queue.join(name)
    assert queue.is_full_for("a")
    assert not queue.is_full_for("b")
    queue.join("b")
    assert queue.is_full_for("c")


def test_what_needs_no_place_costs_its_owner_no_turn() -> None:
    queue, _ = joined("aab")
    ticket = queue.join("a", aside=True)
    queue.serve(ticket)
    assert ticket not in queue
    assert served(queue) == "aba"


def by_clients(names: str) -> FairQueue:
    """Requests like "a1 a2 b": a person's letter, and the client of theirs that asks."""
    queue = FairQueue()
    for name in names.split():
        queue.join(name[0], name[1:])
    return queue


def served_clients(queue: FairQueue) -> str:
    names = []
    while order := queue.order():
        assert queue.is_next(order[0])
        assert [queue.place(ticket) for ticket in order] == list(range(1, len(order) + 1))
        queue.serve(order[0])
        names.append(order[0].who + order[0].client)
    return " ".join(names)


def test_a_keys_backlog_keeps_neither_the_browser_nor_another_key_of_its_owner_waiting() -> None:
    assert served_clients(by_clients("a1 a1 a1 a1 a a2")) == "a1 a a2 a1 a1 a1"


def test_many_keys_get_a_person_no_more_turns() -> None:
    assert served_clients(by_clients("a1 a2 a3 a4 b b")) == "a1 b a2 b a3 a4"
    assert served_clients(by_clients("a1 a1 b1 a2 b2 b1")) == "a1 b1 a2 b2 a1 b1"


def test_a_client_served_in_vain_is_next_again_before_its_owners_others() -> None:
    queue = by_clients("a1 a2 b")
    ticket = queue.order()[0]
    queue.serve(ticket)
    queue.put_back(ticket)
    assert served_clients(queue) == "a1 b a2"


def test_a_client_that_leaves_is_forgotten_and_its_owners_others_wait_on() -> None:
    queue = by_clients("a1 a2")
    ticket = queue.order()[0]
    queue.leave(ticket)
    queue.leave(ticket)
    assert ticket not in queue
    assert served_clients(queue) == "a2"
    assert len(queue) == 0


def test_no_key_fills_its_owners_part_of_the_queue() -> None:
    queue = FairQueue(longest=9, longest_of_one=3, longest_of_key=2)
    for _ in range(2):
        queue.join("a", "1")
    assert queue.is_full_for("a", "1")
    assert not queue.is_full_for("a", "2")
    assert not queue.is_full_for("a")
    queue.join("a")
    assert queue.is_full_for("a", "2")
    assert not queue.is_full_for("b", "1")
