"""What the other tests here stand on: servers that do what is done to them, lines, callers, and a judge that sees."""

import time

import pytest
from authority import Authority
from line import Line
from redis_server import DEBIAN, OTHERS, Client, RedisServer, Refused
from replicas import MINUTE, QUOTA, Clock, Judge, Replicas, largest_window
from stand import FakeSlack, eventually


def reached(line: Line, seconds: float = 0.3) -> bool:
    """Whether a server answers through a line."""
    try:
        client = Client(line.port, seconds=seconds)
        client.call("PING")
        client.close()
    except OSError:
        return False
    return True


# === servers ===


@pytest.mark.parametrize("binary", [DEBIAN, *OTHERS.values()], ids=["debian", *OTHERS])
def test_a_server_is_killed_stopped_and_emptied(binary):
    server = RedisServer(binary)
    server.call("SET", "x", 1)
    with server.is_stopped():
        assert not reached(Line(server.port))
    assert server.call("GET", "x") == b"1"
    before = server.info("run_id")
    server.restart()
    assert server.info("run_id") != before
    assert server.call("GET", "x") is None
    server.call("HSET", "h", "field", "value")
    assert server.everything() == {b"h": [b"field", b"value"]}
    server.flush()
    assert server.everything() == {}
    # Scripts see what ours ask for.
    assert server.call("EVAL", "return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')", 0) == (
        server.info("run_id").encode()
    )


def test_a_server_keeps_its_data_where_it_is_told_to():
    server = RedisServer(aof=True)
    server.call("SET", "x", 1)
    server.restart()
    assert server.call("GET", "x") == b"1"
    server.restart(empty=True)
    assert server.call("GET", "x") is None


def test_a_promoted_copy_lacks_what_it_did_not_hear_of():
    primary = RedisServer()
    line = Line(primary.port)
    copy = RedisServer(replica_of=line.port)
    primary.call("SET", "x", "early")
    eventually("it is copied", lambda: copy.call("GET", "x") == b"early")
    with pytest.raises(Refused, match="READONLY"):
        copy.call("SET", "x", "mine")
    line.cut()
    primary.call("SET", "x", "late")
    primary.kill()
    copy.promote()
    assert copy.call("GET", "x") == b"early"
    copy.call("SET", "x", "new")


def test_a_server_asks_for_a_user_and_its_password():
    server = RedisServer(user="water", password="pass", may="~sw:* &sw:* +@all -keys")
    assert server.call("SET", "sw:x", 1) == b"OK"
    for words in [("SET", "x", 1), ("KEYS", "*")]:
        with pytest.raises(Refused, match="NOPERM"):
            server.call(*words)
    with pytest.raises(Refused, match="NOAUTH"):
        Client(server.port).call("GET", "sw:x")
    assert RedisServer(password="only").url(1234, 2) == "redis://:only@127.0.0.1:1234/2"


def test_a_server_speaks_tls(tmp_path):
    server = RedisServer(authority=Authority(tmp_path, "ca"))
    server.call("SET", "x", 1, database=3)
    assert server.call("GET", "x", database=3) == b"1"
    assert server.everything() == {b"x": [b"1"]}
    with pytest.raises((OSError, Refused)):
        Client(server.port, seconds=1).call("PING")


def test_every_command_is_written_down():
    server = RedisServer()
    watching = server.watch()
    server.call("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1, "key", "needle")
    watching.wait_for("the script's", lambda line: "lua" in line and '"needle"' in line)


# === lines ===


def test_a_line_is_cut_mended_slow_and_leads_elsewhere():
    one, other = RedisServer(), RedisServer()
    one.call("SET", "who", "one")
    other.call("SET", "who", "other")
    line = Line(one.port)
    client = Client(line.port, seconds=0.3)
    assert client.call("GET", "who") == b"one"

    with line.is_cut():
        client.socket.sendall(b"GET who\r\n")
        with pytest.raises(OSError):
            client.answer()
        assert not reached(line)
    late = Client(line.port)
    with line.is_cut():
        late.socket.sendall(b"GET who\r\n")
    assert late.answer() == b"one", "what was said meanwhile arrives"

    line.delay = 0.3
    before = time.monotonic()
    late.call("PING")
    assert 0.29 < time.monotonic() - before < 0.6
    line.delay = 0.0

    line.lead_to(other.port)
    with pytest.raises((OSError, ConnectionError)):
        late.call("PING")
    assert Client(line.port).call("GET", "who") == b"other"
    line.close()
    eventually("nobody listens", lambda: not reached(line))


def test_a_line_can_change_what_comes_back():
    server = RedisServer()
    line = Line(server.port, edit=lambda data: data.replace(b"redis_version:", b"redis_versiom:"))
    assert b"redis_versiom:" in Client(line.port).call("INFO", "server")


# === the judge ===


def test_the_largest_window_is_found():
    assert largest_window([], 1.0) == 0
    assert largest_window([0.0, 1.0, 2.0], 1.0) == 1
    assert largest_window([0.0, 0.9, 1.0, 1.1, 2.5], 1.0) == 3


def test_the_judge_sees_three_that_do_not_share():
    slack = FakeSlack(minute=MINUTE)
    replicas = Replicas(3, slack, None)
    clock = Clock(slack)
    for n in range(3):
        replicas.at(n, calls=QUOTA // 3 + 5, at_once=100)
    answers = replicas.finish()
    judge = Judge(slack)
    assert 3 * (QUOTA // 3 + 5) == len(answers)
    assert judge.refusals
    assert judge.largest() > QUOTA
    assert all(at < clock.now() for at in judge.times)


def test_the_judge_sees_who_is_alone():
    slack = FakeSlack(minute=MINUTE)
    replicas = Replicas(1, slack, None)
    clock = Clock(slack)
    start = clock.now()
    replicas.at(0, every=MINUTE / QUOTA / 0.8, calls=QUOTA)
    answers = replicas.finish()
    judge = Judge(slack)
    assert judge.wrong(answers) == []
    assert judge.refusals == []
    assert judge.largest() <= QUOTA
    assert judge.shares() == {"r0": QUOTA}
    assert judge.longest_gap(start, clock.now()) < 1.0
    # What a call that never arrived, or arrived twice, looks like.
    answers[0].text, answers[1].ok = "r0-never", False
    assert len(judge.wrong(answers)) == 2
    assert len(judge.wrong(answers, gone={"r0"})) == 1


def test_a_killed_replica_is_found_again_by_its_callers():
    slack = FakeSlack(minute=MINUTE)
    replicas = Replicas(1, slack, None)
    callers = replicas.at(0, at_once=4)
    eventually("they call", lambda: len(callers.answers) > 5)
    replicas.restart(0)
    before = len(callers.answers)
    eventually("they call again", lambda: sum(answer.ok for answer in callers.answers[before:]) > 5)
    answers = replicas.finish()
    assert Judge(slack).wrong(answers, gone={"r0"}) == []
