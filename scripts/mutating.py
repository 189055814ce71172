"""What the scripts that play mutations have in common: a copy of the source, which they may break."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(command, cwd=ROOT, timeout=None, **environment):
    """The output, with what was said on standard error; `returncode` is None where time ran out."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", env={**os.environ, **environment}, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, output)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, None, "")
    finally:
        if process.poll() is None:
            # With all that it has started.
            os.killpg(process.pid, 9)
            process.wait()


def sources():
    """The files of the working tree, whether they are committed or not."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy_sources(copy):
    """Makes the copy equal to the working tree. A file that is equal already is not touched, so that cargo
    builds only what has changed."""
    names = set(sources())
    for path in list(copy.rglob("*")) if copy.exists() else []:
        if path.is_file() and path.parts[len(copy.parts)] != "target" and str(path.relative_to(copy)) not in names:
            path.unlink()
    for name in names:
        source, target = ROOT / name, copy / name
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            # Its time is that of the copying: cargo compares times.
            shutil.copyfile(source, make(target))
            shutil.copymode(source, target)


def make(path):
    """The path, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
