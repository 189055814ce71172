"""What the manifests say, rendered by kustomize, and their container, run as a kubelet runs it."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import kubernetes_validate
import yaml
from authority import Authority
from stand import BINARY, ENVIRONMENT, REPO, FakeSlack, Process, eventually, free_port

MANIFESTS = REPO / "deploy/kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"

# Each is there twice, strict and not.
VERSIONS = list(dict.fromkeys(kubernetes_validate.utils.all_versions()))[-3:]

POD = {
    "initContainers": [{"name": "migrate", "image": "registry.example/bot"}],
    "containers": [{"name": "bot", "image": "registry.example/bot"}],
}
LABELLED = {"metadata": {"labels": {"app": "bot"}}, "spec": POD}
JOB = {"template": {"spec": POD | {"restartPolicy": "Never"}}}
# Whatever Kubernetes has that has pods with a bot in them, least of all forgotten the job of each night.
WORKLOADS = {
    "Deployment": ("apps/v1", {"selector": {"matchLabels": {"app": "bot"}}, "template": LABELLED}),
    "StatefulSet": ("apps/v1", {"selector": {"matchLabels": {"app": "bot"}}, "serviceName": "bot", "template": LABELLED}),
    "DaemonSet": ("apps/v1", {"selector": {"matchLabels": {"app": "bot"}}, "template": LABELLED}),
    "ReplicaSet": ("apps/v1", {"selector": {"matchLabels": {"app": "bot"}}, "template": LABELLED}),
    "ReplicationController": ("v1", {"selector": {"app": "bot"}, "template": LABELLED}),
    "Job": ("batch/v1", JOB),
    "CronJob": ("batch/v1", {"schedule": "0 3 * * *", "jobTemplate": {"spec": JOB}}),
    "Pod": ("v1", POD),
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
    """The pod of the only workload among them."""
    (pod,) = [pod for document in documents if (pod := pod_in(document))]
    return pod


def pod_in(document: dict) -> dict | None:
    if document["kind"] == "Pod":
        return document["spec"]
    job = document["spec"].get("jobTemplate", document) if "spec" in document else {}
    return job.get("spec", {}).get("template", {}).get("spec")


def slackwater_of(pod: dict) -> dict:
    containers = pod.get("initContainers", []) + pod["containers"]
    return next(container for container in containers if container["name"] == "slackwater")


def config_of(documents: list[dict]) -> str:
    return of_kind(documents, "ConfigMap")["data"]["slackwater.yaml"]


def variables_of(documents: list[dict], secrets: dict[str, dict[str, str]] = {}) -> dict[str, str]:
    """As a kubelet sets them: texts, keys of the ConfigMap and of Secrets, and what is put together of earlier ones."""
    data, variables = of_kind(documents, "ConfigMap")["data"], {}
    for entry in slackwater_of(pod_of(documents)).get("env", []):
        if "value" in entry:
            value = re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], entry["value"])
        elif key := entry["valueFrom"].get("secretKeyRef"):
            value = secrets[key["name"]][key["key"]]
        else:
            value = data[entry["valueFrom"]["configMapKeyRef"]["key"]]
        variables[entry["name"]] = value
    return variables


def placed(documents: list[dict], folder: Path) -> str:
    """The configuration, where a folder is the root, with the directories of all volumes."""
    config = config_of(documents)
    for mount in slackwater_of(pod_of(documents))["volumeMounts"]:
        path = mount["mountPath"]
        (folder / path[1:]).mkdir(parents=True)
        config = config.replace(f"{path}/", f"{folder}{path}/")
    return config


def mount(files: dict[str, Path], directory: Path) -> None:
    """As a kubelet mounts a Secret: each file is a link, through one that is swapped for all of them."""
    new = directory / f"..{time.monotonic_ns()}"
    new.mkdir()
    for name, file in files.items():
        shutil.copy(file, new / name)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    (directory / "..data_tmp").symlink_to(new.name)
    (directory / "..data_tmp").rename(directory / "..data")


def workload(kind: str) -> str:
    version, spec = WORKLOADS[kind]
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": {"name": "bot"}, "spec": spec})


class Mine:
    """A copy of the manifests, and kustomizations of a user's beside them."""

    def __init__(self, folder: Path):
        self.folder = folder / "kubernetes"
        shutil.copytree(MANIFESTS, self.folder)

    def rendered(self, name: str, **files: str) -> list[dict]:
        (self.folder / name).mkdir()
        for file, text in files.items():
            (self.folder / name / f"{file}.yaml").write_text(text)
        return kustomize(self.folder / name)

    def change(self, file: str, before: str, after: str) -> None:
        text = (self.folder / file).read_text()
        assert text.count(before) == 1, f"{file} has {before!r} {text.count(before)} times"
        (self.folder / file).write_text(text.replace(before, after))


def valid(documents: list[dict]) -> None:
    """Each version of Kubernetes knows every field."""
    for version in VERSIONS:
        for document in documents:
            if document["kind"] != "PodMonitor":
                kubernetes_validate.validate(document, version, strict=True)


class Issuer:
    """An authority that signs what README.md has cert-manager sign."""

    # Of the example there: Secrets, and the names in their certificates.
    readme = (MANIFESTS / "README.md").read_text()
    examples = [d for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) for d in yaml.safe_load_all(block)]
    names = {d["spec"]["secretName"]: d["spec"].get("dnsNames") for d in examples if d.get("kind") == "Certificate"}

    def __init__(self, folder: Path, name: str = "issuer"):
        (folder / name).mkdir()
        self.authority = Authority(folder / name, name)

    def secret(self, name: str) -> dict[str, Path]:
        """A Secret's files, anew each time."""
        key, cert = self.authority.sign(self.names[name][0], name)
        return {"tls.crt": cert, "tls.key": key, "ca.crt": self.authority.pem}

    def trusting(self, files: dict[str, Path] | None) -> ssl.SSLContext:
        """A client that believes this authority and shows what is in these files."""
        tls = ssl.create_default_context(cafile=self.authority.pem)
        if files:
            tls.load_cert_chain(files["tls.crt"], files["tls.key"])
        return tls


def guide(word: str) -> str:
    """The only example of the guide that has this in it."""
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", Issuer.readme, re.DOTALL) if word in block]
    return block


class Container:
    """slackwater as its manifest has it: its variables, its mounts, its probe, before a fake Slack."""

    def __init__(self, documents: list[dict], folder: Path, slack: FakeSlack, secrets: dict[str, dict[str, str]] = {}):
        self.container = slackwater_of(pod_of(documents))
        config, listens = re.subn("(?m)^listen: .*", "listen: 127.0.0.1:0", placed(documents, folder))
        assert listens == 1
        config += f"\nupstreams: [{{ prefix: /api/, url: \"{slack.url}/api/\", kind: web_api }}]\n"
        (folder / "slackwater.yaml").write_text(config)
        mount({"slackwater.yaml": folder / "slackwater.yaml"}, folder / "etc/slackwater")
        self.env = variables_of(documents, secrets)
        self.env["SLACKWATER_CONFIG"] = f"{folder}{self.env['SLACKWATER_CONFIG']}"
        # The port may be taken on this machine.
        host, _ = self.env["SLACKWATER_ADMIN_LISTEN"].rsplit(":", 1)
        self.env["SLACKWATER_ADMIN_LISTEN"] = f"{host}:{free_port()}"
        # The image's bin directory is on its path; its entry point is `slackwater`, without arguments.
        self.env["PATH"] = f"{BINARY.parent}:{os.environ['PATH']}"
        self.process = None

    def start(self) -> str:
        self.process = Process("container", [BINARY, *self.container.get("args", [])], variables=self.env)
        eventually("the startup probe succeeds", lambda: self.probe("startupProbe"), 10)
        # What it says is read beside the probe, and may come later.
        return self.process.wait_for("its address", lambda line: '"listening"' in line and json.loads(line)["listen"])

    def probe(self, which: str) -> bool:
        probe = self.container[which]
        done = subprocess.run(probe["exec"]["command"], env=ENVIRONMENT | self.env, capture_output=True,
                              timeout=probe["timeoutSeconds"])
        return done.returncode == 0
