"""What a release has to agree on."""

import re
import subprocess

import tomllib
import yaml
from stand import BINARY, ENVIRONMENT, REPO

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
