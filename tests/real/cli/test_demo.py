"""`slackwater demo`, as a page in a terminal and as lines in a pipe: what it shows is what it promises."""

import fcntl
import os
import pty
import re
import resource
import select
import shlex
import signal
import struct
import subprocess
import termios
import time

from stand import BINARY, ENVIRONMENT

TO_CLOSE = 240
# What a person does not notice. Through the proxy a click waits for nobody but Slack.
AT_ONCE = 1.0
SECONDS = 60


class Terminal:
    """A process whose standard output is a terminal, and all that it wrote there."""

    def __init__(self, *command, columns=80, lines=24, **variables):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {k: v for k, v in ENVIRONMENT.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | variables
        self.child = subprocess.Popen(
            [BINARY, *command], env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.ours, self.wrote = ours, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        os.close(self.ours)

    def read(self, seconds: float, until=lambda text: False) -> str:
        """What it has written when it ends, or when `until` is true of it."""
        deadline = time.monotonic() + seconds
        while not until(self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"within {seconds} s; it wrote:\n{self.text[-2000:]}"
            if not select.select([self.ours], [], [], left)[0]:
                continue
            try:
                piece = os.read(self.ours, 65536)
            except OSError:  # All of the other end is closed.
                break
            if not piece:
                break
            self.wrote += piece
        return self.text

    @property
    def text(self) -> str:
        return self.wrote.decode(errors="replace").replace("\r\n", "\n")

    def press_ctrl_c(self):
        os.write(self.ours, b"\x03")

    def exit_code(self) -> int:
        return self.child.wait(10)


def bare(text: str) -> str:
    """Without what moves the cursor or colours."""
    return re.sub(r"\x1b\[[0-9?;]*[A-Za-z]", "", text)


def row(text: str, label: str) -> tuple[str, str]:
    """The last line of that label: what it says of both sides."""
    line = [line for line in text.splitlines() if line.startswith(label)][-1]
    return line[23:50].strip(), line[50:].strip()


def worst(cell: str) -> float:
    return float(re.search(r"worst ([0-9.]+) s", cell)[1])


def assert_kept(text: str) -> None:
    """The numbers at the end, and what is to be typed next."""
    straight, through = row(text, "group DMs closed")
    assert through.startswith(f"{TO_CLOSE} of {TO_CLOSE}"), through
    assert int(straight.split()[0]) < TO_CLOSE / 2, "straight it is still far from done"
    for label in ("429s to the job", "429s to clicks"):
        straight, through = row(text, label)
        assert int(straight) > 0 and int(through) == 0, label
    straight, through = row(text, "the whole app was shut")
    assert int(straight.split()[0]) >= 1 and through == "never"
    straight, through = row(text, "a click waited")
    assert worst(through) <= AT_ONCE < worst(straight)

    lines = text.splitlines()
    commands = lines[lines.index("What to type next:") + 1 :][:3]
    for command in commands:
        words = shlex.split(command.strip().split("  ")[0])
        assert words[0] == str(BINARY), command
        done = subprocess.run([*words, "--help"], capture_output=True, timeout=10)
        assert done.returncode == 0, command


def test_lines_in_a_pipe():
    began = time.monotonic()
    done = subprocess.run(
        [BINARY, "demo"], env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS,
        # As some machines have it.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < SECONDS
    assert done.stderr == "" and "\x1b" not in done.stdout
    sides = re.findall(r"^ ?\d+ s  (straight|slackwater) ", done.stdout, re.M)
    assert sides.count("straight") == sides.count("slackwater") >= 10, "a line of each every second"
    assert_kept(done.stdout)


def test_a_page_in_a_terminal():
    with Terminal("demo") as terminal:
        text = terminal.read(SECONDS)
        assert terminal.exit_code() == 0, text
    pages = text.split("\x1b[?25l")[1:]
    assert len(pages) > 50, "it moves"
    for page in pages[:-1]:
        lines = bare(page).replace("\r", "").splitlines()
        assert len(lines) == 9 and all(len(line) <= 80 for line in lines), page
    # Each page after the first is drawn over the one before.
    assert all(re.match(r"\x1b\[\?7l\r\x1b\[9A", page) for page in pages[1:])
    assert "\x1b[32m" in text and "\x1b[31m" in text
    assert "\x1b[?7h\x1b[?25h" in pages[-1], "the cursor is given back"
    assert_kept(bare(pages[-1]))


def test_ctrl_c_ends_it_and_gives_the_terminal_back():
    with Terminal("demo", NO_COLOR="1") as terminal:
        terminal.read(20, lambda text: text.count("\x1b[?25l") > 5)
        terminal.press_ctrl_c()
        text = terminal.read(10)
        assert terminal.exit_code() == 128 + signal.SIGINT
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "\x1b[32m" not in text and "\x1b[31m" not in text, "no colours where they are not wanted"
    assert "error" not in bare(text)


def test_where_a_page_does_not_fit_there_are_lines():
    for size in ({"columns": 40}, {"lines": 6}, {"TERM": "dumb"}):
        with Terminal("demo", **size) as terminal:
            terminal.read(20, lambda text: " s  slackwater" in text)
            terminal.press_ctrl_c()
            text = terminal.read(10)
            assert terminal.exit_code() == 128 + signal.SIGINT
        assert "\x1b" not in text, size
