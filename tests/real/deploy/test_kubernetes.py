"""The manifests, rendered by kustomize, held against Kubernetes' own schemas, and run as they say.

There is no cluster: what a kubelet does with them is played by hand, container by container.
"""

import copy
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from sdk import Sdk
from stand import BINARY, ENVIRONMENT, REPO, FakeSlack, Process, Proxy, eventually

MANIFESTS = REPO / "deploy/kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
# Each is there twice, strict and not.
VERSIONS = list(dict.fromkeys(kubernetes_validate.utils.all_versions()))[-3:]

# What a user writes who brings a bot, a configuration, and Prometheus: README.md shows it so.
MINE = {
    "kustomization.yaml": """
        apiVersion: kustomize.config.k8s.io/v1beta1
        kind: Kustomization
        namespace: bots
        resources: [jobs.yaml]
        components: [../sidecar, ../podmonitor]
        patches: [{path: slackwater.yaml}]
        images: [{name: slackwater, newName: registry.example/slackwater, digest: "sha256:%s"}]
        """ % ("0" * 64),
    "slackwater.yaml": """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: slackwater}
        data:
          slackwater.yaml: "state_file: /var/lib/slackwater/state"
        """,
    # Another container of its own comes first in the list, and another kind has pods as well.
    "jobs.yaml": """
        apiVersion: batch/v1
        kind: Job
        metadata: {name: once}
        spec:
          template:
            spec:
              restartPolicy: Never
              initContainers: [{name: migrate, image: registry.example/bot}]
              containers: [{name: bot, image: registry.example/bot}]
        """,
}


def kustomize(folder: Path) -> list[dict]:
    done = subprocess.run([KUBECTL, "kustomize", folder], env=ENVIRONMENT, text=True, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[dict], kind: str) -> dict:
    found = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1, f"{kind}: {len(found)} of them"
    return found[0]


def pod_of(documents: list[dict]) -> dict:
    return next(d["spec"]["template"]["spec"] for d in documents if d["kind"] in ("Deployment", "Job"))


def slackwater_of(pod: dict) -> dict:
    containers = pod.get("initContainers", []) + pod["containers"]
    return next(container for container in containers if container["name"] == "slackwater")


def config_of(documents: list[dict]) -> str:
    return of_kind(documents, "ConfigMap")["data"]["slackwater.yaml"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> dict[str, list[dict]]:
    """What is there, and what a user makes of it."""
    everything = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(MANIFESTS, everything)
    mine, watched = everything / "mine", everything / "watched"
    mine.mkdir()
    watched.mkdir()
    for name, text in MINE.items():
        (mine / name).write_text(text)
    (watched / "kustomization.yaml").write_text("resources: [../gateway]\ncomponents: [../podmonitor]\n")
    folders = {"example": MANIFESTS / "example", "gateway": MANIFESTS / "gateway", "mine": mine, "watched": watched}
    return {name: kustomize(folder) for name, folder in folders.items()}


@pytest.fixture(params=["example", "gateway", "mine", "watched"])
def name(request):
    return request.param


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(rendered, name, version):
    known = [document for document in rendered[name] if document["kind"] != "PodMonitor"]
    assert known
    for document in known:
        kubernetes_validate.validate(document, version, strict=True)
    wrong = copy.deepcopy(known)
    slackwater_of(pod_of(wrong))["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        for document in wrong:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_sidecar_is_there_before_all_others_and_ends_after_them(rendered):
    for name in ("example", "mine"):
        pod = pod_of(rendered[name])
        first = pod["initContainers"][0]
        assert first["name"] == "slackwater" and first["restartPolicy"] == "Always"
        # The next container waits for this one.
        assert first["startupProbe"]["exec"]["command"] == ["slackwater", "status", "--ready"]
        assert first["image"].startswith("registry.example/slackwater"), "users name the image in one place"
    assert [c["name"] for c in pod_of(rendered["mine"])["initContainers"]] == ["slackwater", "migrate"]
    assert "preStop" not in json.dumps(rendered["example"])


def test_the_container_may_do_nothing_that_it_need_not(rendered, name):
    pod = pod_of(rendered[name])
    container = slackwater_of(pod)
    context = pod.get("securityContext", {}) | container["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] > 0 and context["readOnlyRootFilesystem"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert set(container["resources"]["limits"]) == {"memory"} and set(container["resources"]["requests"]) == {"cpu", "memory"}
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/slackwater"], "where the state file is"
    assert all("subPath" not in mount for mount in container["volumeMounts"]), "a ConfigMap's change is seen"


def test_its_configuration_has_no_mistake(rendered, name, tmp_path):
    file = tmp_path / "slackwater.yaml"
    file.write_text(config_of(rendered[name]).replace("/var/lib/slackwater/", f"{tmp_path}/"))
    done = subprocess.run([BINARY, "check", file], env=ENVIRONMENT, text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    config = yaml.safe_load(config_of(rendered[name]))
    is_gateway = name in ("gateway", "watched")
    assert config.get("listen", "127.0.0.1:8080") == ("0.0.0.0:8080" if is_gateway else "127.0.0.1:8080")
    opened = of_kind(rendered[name], "ConfigMap")["data"].get("admin-listen")
    assert opened == ("0.0.0.0:9090" if name in ("mine", "watched") else None), "on loopback unless scraped"


def test_the_gateway_is_never_two_at_once(rendered):
    deployment = of_kind(rendered["gateway"], "Deployment")
    assert deployment["spec"]["replicas"] == 1 and deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert of_kind(rendered["gateway"], "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert not [d for d in rendered["gateway"] if d["kind"] == "HorizontalPodAutoscaler"]
    # What it may take to end: drain_timeout, timeouts.headers, and the last answers.
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 25 + 60 + 5


def test_what_selects_the_gateway_selects_it_alone(rendered):
    labels = of_kind(rendered["gateway"], "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        of_kind(rendered["gateway"], "Service")["spec"]["selector"],
        of_kind(rendered["gateway"], "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        of_kind(rendered["gateway"], "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(rendered["gateway"], "Deployment")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors), selectors
    ports = [port["port"] for port in of_kind(rendered["gateway"], "Service")["spec"]["ports"]]
    assert ports == [8080], "the operators' port is no service"
    named = {port["name"] for port in slackwater_of(pod_of(rendered["gateway"]))["ports"]}
    policy = of_kind(rendered["gateway"], "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in policy for port in rule["ports"]} == {"http", "admin"} == named
    assert all(rule["from"] for rule in policy), "an empty list would be everybody"
    monitor = of_kind(rendered["watched"], "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert [endpoint["port"] for endpoint in monitor] == ["admin"]


# === as a kubelet runs them ===


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Container:
    """The sidecar as its manifest has it: its variables, its mounts, its probe, before a fake Slack."""

    def __init__(self, documents: list[dict], folder: Path, slack: FakeSlack):
        self.container = slackwater_of(pod_of(documents))
        (folder / "state").mkdir()
        # As a ConfigMap is mounted: the file is a link, and so is what it leads through.
        config = config_of(documents).replace("/var/lib/slackwater", str(folder / "state"))
        assert "\nlisten: 127.0.0.1:8080\n" in config
        config = config.replace("127.0.0.1:8080", "127.0.0.1:0")
        config += f"\nupstreams: [{{ prefix: /api/, url: \"{slack.url}/api/\", kind: web_api }}]\n"
        (folder / "..data").mkdir()
        (folder / "..data/slackwater.yaml").write_text(config)
        (folder / "slackwater.yaml").symlink_to("..data/slackwater.yaml")
        places = {
            "SLACKWATER_CONFIG": lambda entry: entry["value"].replace("/etc/slackwater", str(folder)),
            # Without the key it has the default, whose port may be taken on this machine.
            "SLACKWATER_ADMIN_LISTEN": lambda _: f"127.0.0.1:{free_port()}",
        }
        self.env = {entry["name"]: places[entry["name"]](entry) for entry in self.container["env"]}
        # The image's bin directory is on its path; its entry point is `slackwater`, without arguments.
        self.env["PATH"] = f"{BINARY.parent}:{os.environ['PATH']}"
        self.process = None

    def start(self) -> str:
        self.process = Process("sidecar", [BINARY, *self.container.get("args", [])], variables=self.env)
        eventually("the startup probe succeeds", lambda: self.probe("startupProbe"), 10)
        listening = next(line for line in self.process.said() if '"listening"' in line)
        return json.loads(listening)["listen"]

    def probe(self, which: str) -> bool:
        probe = self.container[which]
        done = subprocess.run(probe["exec"]["command"], env=ENVIRONMENT | self.env, capture_output=True,
                              timeout=probe["timeoutSeconds"])
        return done.returncode == 0


def test_the_bots_last_calls_are_served_and_then_it_ends(rendered, tmp_path):
    slack = FakeSlack()
    sidecar = Container(rendered["example"], tmp_path, slack)
    assert not sidecar.probe("startupProbe"), "the bot is not started before slackwater"
    listen = sidecar.start()
    assert sidecar.probe("readinessProbe")

    bot = Sdk("python-sync", f"http://{listen}/@bot/api/")
    for _ in range(5):
        bot.start("chat.postMessage", channel="C1", text="a post a second", ignored="in order")
    # The pod is deleted now. The bot ends what it has begun, and slackwater is not told before it has.
    answers = bot.finish(seconds=20)
    assert all(answer["ok"] for answer in answers), answers
    begun = time.monotonic()
    sidecar.process.signal(signal.SIGTERM)
    assert sidecar.process.exit_code(seconds=10) == 0
    took = time.monotonic() - begun
    assert took < 5, f"nobody is left to wait for, and it took {took:.1f} s"
    assert slack.ledger()["violations"] == []


def test_what_it_may_hold_fits_into_its_memory(rendered, tmp_path):
    """As many calls as the configuration lets in, with as many bytes, are less than the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    slack = FakeSlack()
    sidecar = Container(rendered["example"], tmp_path, slack)
    listen = sidecar.start()
    config = yaml.safe_load(config_of(rendered["example"]))["queue"]
    calls = config["max_total"]
    padding = "x" * (int(config["max_bytes"].removesuffix("MiB")) * 1024 * 1024 // calls - 300)
    body = f"limit=200&padding={padding}"
    host, port = listen.split(":")
    connections = []
    try:
        # More than are let in, of many callers in many workspaces: one alone may not fill the queue. As
        # many connections as it takes, too; twenty calls of each workspace go at once.
        for number in range(calls + 1000):
            connection = socket.create_connection((host, int(port)), timeout=10)
            connection.sendall((
                f"POST /@bot{number % 40};max-wait=30m/api/conversations.list HTTP/1.1\r\nHost: {listen}\r\n"
                f"Authorization: Bearer xoxb-T{number % 40}-A1-secret\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode())
            connections.append(connection)
        admin = f"http://{sidecar.env['SLACKWATER_ADMIN_LISTEN']}"

        def held() -> int:
            done = subprocess.run([BINARY, "status", "--json", "--admin", admin], env=ENVIRONMENT, text=True,
                                  capture_output=True, timeout=10)
            return json.loads(done.stdout)["totals"]["held"]

        eventually(f"nearly {calls} calls are held", lambda: held() > 0.95 * calls, 20)
        status = Path(f"/proc/{sidecar.process.child.pid}/status").read_text()
        peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) // 1024
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit = int(sidecar.container["resources"]["limits"]["memory"].removesuffix("Mi"))
    print(f"{peak} MiB of {limit}")
    assert peak < limit, f"{peak} MiB of {limit}"
