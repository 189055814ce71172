"""The image: the Dockerfile is linted, built by buildah on a base of a few libraries, and run.

No registry is asked: the base is what the binary is linked to, copied from this machine, and the
binary is the one that the other tests have. The source is not compiled in it again.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose
from redis_server import OTHERS
from sdk import Sdk
from stand import BINARY, ENVIRONMENT, REPO, FakeSlack, Process, Proxy, eventually, free_port, http_get, listening

DEPLOY = REPO / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
HADOLINT = Path(sys.executable).parent / "hadolint"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]

buildah_works = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("buildah"),
    reason="needs buildah, and root: apt-get install buildah, and run tests/run as root",
)


def run(*command, **more) -> str:
    done = subprocess.run([*map(str, command)], env=ENVIRONMENT, text=True, capture_output=True, **({"timeout": 55} | more))
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_the_dockerfile_has_no_lint():
    run(HADOLINT, "--failure-threshold", "style", DOCKERFILE)
    wrong = "FROM debian\nUSER root\n"
    done = subprocess.run([HADOLINT, "-"], input=wrong, text=True, capture_output=True, timeout=20)
    assert "DL3006" in done.stdout and done.returncode == 1, done.stdout


def test_cargo_has_all_that_the_build_copies(tmp_path):
    """What the Dockerfile copies for its build is let in by the ignore file, and is a whole package."""
    text = DOCKERFILE.read_text()
    build = text[text.index("AS build\n") : text.index("RUN cargo build")]
    copied = [line.split()[1:-1] for line in build.splitlines() if line.startswith("COPY ")]
    copied = [path for paths in copied for path in paths]
    let_in = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert set(copied) <= set(let_in), "a COPY of what is ignored finds nothing"
    for path in copied:
        if (REPO / path).is_dir():
            shutil.copytree(REPO / path, tmp_path / path)
        else:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            shutil.copy(REPO / path, tmp_path / path)
    said = run("cargo", "metadata", "--no-deps", "--format-version", "1", "--offline", cwd=tmp_path)
    packages = json.loads(said)["packages"]
    assert "slackwater" in [package["name"] for package in packages]
    for target in (target for package in packages for target in package["targets"]):
        assert Path(target["src_path"]).exists(), target["src_path"]
    for source in [*(tmp_path / "src").rglob("*.rs"), *(tmp_path / "crates").rglob("*.rs")]:
        for part in source.read_text().split('include_str!("')[1:]:
            assert (source.parent / part.split('"')[0]).exists(), f"{source} includes {part.split(chr(34))[0]}"


def test_the_compose_example_for_a_hosts_entry_is_compose():
    document = (REPO / "docs/hosts-entry.md").read_text()
    (text,) = (block for block in re.findall(r"```yaml\n(.*?)```", document, re.DOTALL) if "extra_hosts" in block)
    PyCompose.from_yaml(text)
    services = yaml.safe_load(text)["services"]
    address = services["slackwater"]["networks"]["slack"]["ipv4_address"]
    assert services["bot"]["extra_hosts"] == [f"{host}:{address}" for host in ("slack.com", "hooks.slack.com", "api.slack.com")]
    assert "extra_hosts" not in services["slackwater"] and "aliases" not in text, "it does not find itself at slack.com"


def test_compose_is_compose():
    # `${NAME:-default}` is what docker sees when nobody sets NAME.
    text = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", (DEPLOY / "docker-compose.yaml").read_text())
    PyCompose.from_yaml(text)
    with pytest.raises(ValueError, match="heathcheck"):
        PyCompose.from_yaml(text.replace("    read_only: true", "    heathcheck: {}"))
    services = yaml.safe_load(text)["services"]
    assert set(services) == {"slackwater", "prometheus", "grafana"}
    for name, service in services.items():
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:"), f"{name} is published beyond this machine: {port}"
    build = services["slackwater"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE


def test_the_replicas_of_compose_share_a_server(tmp_path):
    text = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", (DEPLOY / "docker-compose.replicas.yaml").read_text())
    PyCompose.from_yaml(text)
    document = yaml.safe_load(text)
    redis, slackwater = document["services"]["redis"], document["services"]["slackwater"]
    assert "ports" not in redis and redis["networks"] == ["shared"] and document["networks"]["shared"] == {"internal": True}
    (port,), number = slackwater["ports"], slackwater["deploy"]["replicas"]
    first, last = port["published"].split("-")
    assert port["host_ip"] == "127.0.0.1" and int(last) - int(first) + 1 == number, "a port for each replica"
    config = tmp_path / "slackwater.yaml"
    config.write_text(document["configs"]["slackwater"]["content"])
    done = subprocess.run([BINARY, "check", config], text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stdout
    shared = yaml.safe_load(config.read_text())["shared"]
    assert shared == {"redis": "redis://redis:6379/0", "replicas": number}
    # The server starts with these words, and slackwater accepts what they say.
    port = free_port()
    server = Process("valkey", [OTHERS["valkey-8.1"], *redis["command"], "--port", port, "--dir", tmp_path])
    server.wait_for("readiness", lambda line: "Ready to accept connections" in line)
    proxy = Proxy(("/api/", FakeSlack().url), more=config.read_text().replace("redis:6379", f"127.0.0.1:{port}"))
    eventually("it grants slots", lambda: proxy.metric("slackwater_shared_degraded") == 0, 15)


def test_what_compose_mounts_is_there():
    services = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    files = [source for source in mounted if source.startswith(".")]
    assert files and [source for source in files if not (DEPLOY / source).exists()] == []


# === a real image ===


class Store:
    """Images and containers of the tests, in a folder of their own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.command = ["buildah", "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def __call__(self, *command, **more) -> str:
        return run(*self.command, *command, **more).strip()


def libraries() -> list[str]:
    """What the binary is linked to, and what links it."""
    return [word for line in run("ldd", BINARY).splitlines() for word in line.split() if word.startswith("/")]


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def descendants(pid: int) -> list[int]:
    children = [int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()]
    return children + [below for child in children for below in descendants(child)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("images"))
    base = store("from", "scratch")
    for library in libraries():
        store("copy", base, os.path.realpath(library), library)
    store("commit", "--rm", base, "localhost/base")

    context = tmp_path_factory.mktemp("context")
    binary = context / f"dist/linux-{ARCHITECTURE}/slackwater"
    binary.parent.mkdir(parents=True)
    shutil.copy(BINARY, binary)
    run(REPO / "scripts/licences.py", binary.parent / "THIRD-PARTY.txt")
    for licence in REPO.glob("LICENSE-*"):
        shutil.copy(licence, context)
    # `docker` is the format that has health checks.
    store("build", "--format", "docker", "--isolation", "chroot", "--target", "prebuilt", "--pull-never",
          "--build-arg", "BASE=localhost/base", "--build-arg", f"TARGETARCH={ARCHITECTURE}",
          "-f", DOCKERFILE, "-t", "localhost/slackwater", context)
    yield store
    shutil.rmtree(store.folder, ignore_errors=True)


@buildah_works
def test_what_the_image_says_of_itself(store):
    image = json.loads(store("inspect", "--type", "image", "localhost/slackwater"))["Docker"]
    config = image["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/local/bin/slackwater"] and not config.get("Cmd")
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/slackwater", "status", "--ready"]
    assert set(config["ExposedPorts"]) == {"8080/tcp", "9090/tcp"}
    assert config["StopSignal"] == "SIGTERM"
    assert image["architecture"] == ARCHITECTURE


@buildah_works
def test_the_image_is_small(store, tmp_path):
    store("push", "--format", "v2s2", "localhost/slackwater", f"dir:{tmp_path}/image")
    manifest = json.loads((tmp_path / "image/manifest.json").read_text())
    # As a registry stores and sends it: packed.
    assert all(layer["mediaType"].endswith("gzip") for layer in manifest["layers"]), manifest
    size = sum(layer["size"] for layer in manifest["layers"]) / 1e6
    print(f"{size:.1f} MB")
    assert size < 25, f"{size:.1f} MB"


@buildah_works
def test_it_runs_as_nobody_and_tells_its_health(store):
    slack = FakeSlack()
    container = store("from", "--pull-never", "localhost/slackwater")
    entry = json.loads(store("inspect", container))["Docker"]["config"]["Entrypoint"]
    config = f"upstreams: [{{ prefix: /api/, url: \"{slack.url}/api/\", kind: web_api }}]\nlog: {{ format: json }}\n"
    mount = Path(store.folder / "slackwater.yaml")
    mount.write_text(config)
    store("copy", container, mount, "/etc/slackwater/slackwater.yaml")
    # In a chroot it has the network of this machine, so ports are chosen by it.
    variables = {"SLACKWATER_LISTEN": "127.0.0.1:0", "SLACKWATER_ADMIN_LISTEN": "127.0.0.1:0",
                 "SLACKWATER_CONFIG": "/etc/slackwater/slackwater.yaml"}
    inside = [*store.command, "run", "--isolation", "chroot",
              *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")), container, "--"]
    process = Process("image", [*inside, *entry])
    listen, admin = process.wait_for("listening", listening, 30)

    [pid] = [pid for pid in descendants(process.child.pid) if words_of(pid)[0] == entry[0]]
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Uid:\t65532\t65532\t65532\t65532\n" in status and "Gid:\t65532\t65532\t65532\t65532\n" in status

    sdk = Sdk("python-sync", f"http://{listen}/api/")
    sdk.start("conversations.list", limit=200)
    assert [answer["ok"] for answer in sdk.finish(seconds=20)] == [True]

    health = [*inside, *entry[:1], "status", "--ready", "--admin", f"http://{admin}"]
    done = subprocess.run([*map(str, health)], env=ENVIRONMENT, text=True, capture_output=True, timeout=30)
    assert done.returncode == 0 and done.stdout == "ready\n", done.stderr
    os.kill(pid, signal.SIGTERM)
    assert process.exit_code(seconds=20) == 0
    assert http_get(f"http://{admin}/healthz")[0] == 0
    done = subprocess.run([*map(str, health)], env=ENVIRONMENT, text=True, capture_output=True, timeout=30)
    assert done.returncode != 0 and done.stdout.startswith("unreachable"), done.stdout
