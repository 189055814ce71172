"""What a release has to agree on."""

import gzip
import os
import re
import shutil
import subprocess
import tarfile

import pytest

import tomllib
import yaml
from stand import BINARY, ENVIRONMENT, REPO

# To pack a binary takes some seconds of a processor, and more where others have it too.
pytestmark = pytest.mark.timeout(180)

VERSION = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def test_every_place_has_the_same_version():
    said = subprocess.run([BINARY, "--version"], env=ENVIRONMENT, text=True, capture_output=True, timeout=10)
    assert said.stdout.split() == ["slackwater", VERSION]
    example = yaml.safe_load((REPO / "deploy/kubernetes/example/kustomization.yaml").read_text())
    assert [image["newTag"] for image in example["images"]] == [VERSION]
    for name in ("docker-compose.yaml", "docker-compose.replicas.yaml"):
        compose = (REPO / "deploy" / name).read_text()
        assert re.findall(r"SLACKWATER_VERSION:-([^}]+)\}", compose) == [VERSION]
    newest = (REPO / "deploy/debian/changelog").read_text().splitlines()[0]
    assert newest.startswith(f"slackwater ({VERSION}-1) "), newest
    for page in ("deploy/README.md", "deploy/kubernetes/README.md", "deploy/RELEASE.md"):
        named = set(re.findall(r"slackwater:(\d+\.\d+\.\d+)", (REPO / page).read_text()))
        assert named <= {VERSION}, f"{page} names {named}"


def test_the_oldest_rust_is_the_one_that_the_image_is_built_with():
    rust = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert f"ARG RUST=docker.io/library/rust:{rust}-" in (REPO / "deploy/Dockerfile").read_text()


KINDS = {"amd64": "x86_64", "arm64": "aarch64"}
HERE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def run(*command, **more) -> str:
    done = subprocess.run([*map(str, command)], text=True, capture_output=True, timeout=160, **({"env": ENVIRONMENT} | more))
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_linked_crate_has_its_licence_text(kind, tmp_path):
    """Red when a crate is missing from the list, or its text."""
    target = f"{KINDS[kind]}-unknown-linux-gnu"
    run(REPO / "scripts/licences.py", "--target", target, tmp_path / "texts")
    text = (tmp_path / "texts").read_text()
    head, *parts = text.split("=" * 100 + "\n")
    with_text = {name for part in parts for name in part.splitlines()[0].split(", ")}
    tree = run("cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", "--target", target, "-f", "{p}", cwd=REPO)
    linked = {" ".join((name, version)) for name, version in re.findall(r"^(\S+) v(\S+)", tree, re.M)
              if not name.startswith("slackwater")}
    assert len(linked) > 100
    assert {line.split(":")[0] for line in head.splitlines()} >= linked
    assert linked | {"uPlot"} <= with_text
    assert all(len(part.split("\n", 2)[2].strip()) > 100 for part in parts), "a text is empty"
    assert "xoxb" not in text and str(REPO) not in text


def test_an_archive_unpacks_and_runs_and_is_made_alike_twice(tmp_path):
    # A debug build would take a minute to pack.
    binary = tmp_path / "stripped"
    run("strip", "-o", binary, BINARY)
    made = []
    for n in (1, 2):
        said = run(REPO / "scripts/archive", HERE, binary, env=ENVIRONMENT | {"DIST": str(tmp_path / str(n))})
        made.append((tmp_path / str(n) / f"slackwater-{VERSION}-linux-{HERE}.tar.gz").read_bytes())
        assert said.strip().endswith(".tar.gz")
    assert made[0] == made[1]
    (archive,) = (tmp_path / "1").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    folder = tmp_path / archive.name.removesuffix(".tar.gz")
    assert {file.name for file in folder.iterdir()} == {"slackwater", "LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY.txt"}
    assert run(folder / "slackwater", "--version").split() == ["slackwater", VERSION]
    assert gzip.decompress(made[0])[:len(folder.name)].decode() == folder.name


@pytest.mark.skipif(not shutil.which("minisign"), reason="needs minisign: apt-get install minisign")
def test_a_signature_holds_and_a_changed_file_does_not(tmp_path):
    archive = tmp_path / "slackwater-0.1.0-linux-amd64.tar.gz"
    archive.write_bytes(b"one")
    run("minisign", "-G", "-W", "-p", tmp_path / "key.pub", "-s", tmp_path / "key.sec")
    signing = ENVIRONMENT | {"DIST": str(tmp_path)}
    run(REPO / "scripts/sign", "minisign", tmp_path / "key.sec", env=signing)
    run("minisign", "-V", "-p", tmp_path / "key.pub", "-m", tmp_path / "SHA256SUMS")
    run("sha256sum", "--check", "--ignore-missing", "SHA256SUMS", cwd=tmp_path)
    archive.write_bytes(b"other")
    assert subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True).returncode != 0
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("a", "b"))
    changed = subprocess.run(["minisign", "-V", "-p", tmp_path / "key.pub", "-m", sums], capture_output=True)
    assert changed.returncode != 0


def test_there_is_something_to_sign(tmp_path):
    done = subprocess.run([REPO / "scripts/sign", "gpg"], env=ENVIRONMENT | {"DIST": str(tmp_path)}, text=True, capture_output=True)
    assert done.returncode == 1 and "nothing to sign" in done.stderr
