"""The Helm chart, rendered by Helm 3 and 4: the objects are those of the manifests for kustomize, and Kubernetes knows
every field. What the guide shows is rendered as well, and a wrong value is refused with its place.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pods import (
    MANIFESTS, Issuer, Mine, config_of, guide, mount, of_kind, placed, pod_in, pod_of, slackwater_of, valid, variables_of,
    workload, WORKLOADS,
)  # fmt: skip
from stand import BINARY, ENVIRONMENT, REPO

CHART = REPO / "deploy/helm/slackwater"
README = (CHART / "README.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
HELMS = {name: REPO / "target/tests/helm" / name for name in ("helm-3.17", "helm-4.3")}
IMAGE = "registry.example/slackwater"


@pytest.fixture(params=HELMS)
def helm(request, tmp_path) -> "Helm":
    return Helm(HELMS[request.param], tmp_path)


class Helm:
    def __init__(self, program: Path, folder: Path):
        self.program, self.folder = program, folder
        home = folder / "helm-home"
        self.env = ENVIRONMENT | {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}

    def run(self, *args) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, *args], env=self.env, text=True, capture_output=True, timeout=30)

    def rendered(self, *args, release="slackwater", chart=CHART, values=None) -> list[dict]:
        done = self.template(*args, release=release, chart=chart, values=values)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def template(self, *args, release="slackwater", chart=CHART, values=None) -> subprocess.CompletedProcess:
        if values is not None:
            file = self.folder / "values.yaml"
            file.write_text(yaml.safe_dump(values))
            args = ("--values", file, *args)
        return self.run("template", release, chart, *args)


def same(documents: list[dict]) -> dict[tuple[str, str], dict]:
    """What is left of objects without what only Helm or only kustomize adds."""
    objects = {}
    for document in json.loads(json.dumps(documents)):
        metadata = document["metadata"]
        metadata.pop("namespace", None)
        labels = metadata.pop("labels", {})
        labels = {name: text for name, text in labels.items() if name not in ("helm.sh/chart", "app.kubernetes.io/managed-by")}
        if document["kind"] == "ConfigMap" and "slackwater.yaml" in document["data"]:
            # Text with comments, and values without.
            document["data"]["slackwater.yaml"] = yaml.safe_load(document["data"]["slackwater.yaml"])
        if pod := pod_in(document):
            # A patch puts what it changes first.
            pod["volumes"] = sorted(pod.get("volumes", []), key=lambda volume: volume["name"])
            for container in pod.get("initContainers", []):
                container["volumeMounts"] = sorted(container.get("volumeMounts", []), key=lambda mount: mount["mountPath"])
        objects[document["kind"], metadata["name"]] = document | {"labels": labels}
    assert len(objects) == len(documents)
    return objects


# === one and the same ===

KUSTOMIZED = f"images: [{{name: slackwater, newName: {IMAGE}, newTag: {VALUES['image']['tag']}}}]\n"
# Each is a kustomization, and what the same takes in Helm.
GATEWAYS = {
    "gateway": ("resources: [../gateway]\n", ()),
    "watched": ("resources: [../gateway, ../podmonitor]\ncomponents: [../metrics]\n",
                ("--set", "metrics.enabled=true,metrics.podMonitor.enabled=true")),
    "openshift": ("resources: [../gateway]\ncomponents: [../openshift]\n", ("--api-versions", "security.openshift.io/v1")),
    "replicas": ("resources: [../gateway]\ncomponents: [../replicas]\n",
                 ("--set", "redis.enabled=true,gateway.autoscaling.enabled=true")),
    "replicas on openshift": ("resources: [../gateway]\ncomponents: [../replicas, ../openshift]\n",
                              ("--set", "redis.enabled=true,gateway.autoscaling.enabled=true",
                               "--api-versions", "security.openshift.io/v1")),
}  # fmt: skip


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_is_the_same_by_helm_and_by_kustomize(helm, tmp_path, name):
    """Red when one of the two is changed and the other is not."""
    kustomization, args = GATEWAYS[name]
    by_kustomize = Mine(tmp_path).rendered("mine", kustomization=kustomization + KUSTOMIZED)
    by_helm = helm.rendered("--set", f"image.repository={IMAGE}", *args)
    valid(by_helm)
    assert same(by_helm) == same(by_kustomize)


def test_a_second_gateway_is_the_same_by_helm_and_by_kustomize(helm, tmp_path):
    kustomization = guide("includeSelectors").replace("[gateway]", "[../gateway]") + KUSTOMIZED
    by_kustomize = Mine(tmp_path).rendered("mine", kustomization=kustomization)
    config = of_kind(by_kustomize, "ConfigMap")["metadata"]["labels"]
    assert config == {"app.kubernetes.io/name": "slackwater", "app.kubernetes.io/instance": "reports"}
    by_helm = helm.rendered("--set", f"image.repository={IMAGE},gateway.networkPolicy.monitoringNamespace=observability",
                            release="reports")  # fmt: skip
    assert same(by_helm) == same(by_kustomize)


def bots_chart(helm: Helm, kind: str, values: dict, name="bot", led=False) -> Path:
    """A chart of a user's that has the sidecar, made as the guide says."""
    shutil.copytree(CHART, helm.folder / "slackwater", dirs_exist_ok=True)
    bot = helm.folder / name
    (bot / "templates").mkdir(parents=True)
    (dependencies,) = (block for block in BLOCKS if block.startswith("dependencies:"))
    (bot / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n{dependencies}")
    (bot / "values.yaml").write_text(yaml.safe_dump({"slackwater": values}))
    manifest = yaml.safe_load(workload(kind))
    pod = pod_in(manifest)
    mine = pod["initContainers"]
    pod["initContainers"], pod["volumes"] = ["SIDECAR"], ["VOLUMES"]
    if led:
        pod["LED"] = True
    text = yaml.safe_dump(manifest, default_style=None)
    text = re.sub(r"(?m)^( *)- SIDECAR$", lambda at: f'{at[1]}{{{{- include "slackwater.sidecar" . | nindent {len(at[1])} }}}}\n'
                  + "".join(f"{at[1]}- {json.dumps(container)}\n" for container in mine), text)  # fmt: skip
    text = re.sub(r"(?m)^( *)- VOLUMES$", lambda at: f'{at[1]}{{{{- include "slackwater.volumes" . | nindent {len(at[1])} }}}}', text)
    text = re.sub(r"(?m)^( *)LED: true$", lambda at: f'{at[1]}{{{{- include "slackwater.hostsEntry" . | nindent {len(at[1])} }}}}', text)
    (bot / "templates/bot.yaml").write_text(f'{text}---\n{{{{ include "slackwater.configMap" . }}}}\n')
    done = helm.run("dependency", "update", bot)
    assert done.returncode == 0, done.stderr
    return bot


SIDECAR = {"gateway": {"enabled": False}, "image": {"repository": IMAGE}, "fullnameOverride": "slackwater"}


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_sidecar_is_the_same_by_helm_and_by_kustomize(helm, tmp_path, kind):
    kustomization = "resources: [bot.yaml]\ncomponents: [../sidecar]\n" + KUSTOMIZED
    by_kustomize = Mine(tmp_path).rendered("mine", kustomization=kustomization, bot=workload(kind))
    by_helm = helm.rendered(release="bot", chart=bots_chart(helm, kind, SIDECAR))
    valid(by_helm)
    assert same(by_helm) == same(by_kustomize)


LED = next(values["slackwater"] for values in map(yaml.safe_load, (block for block in BLOCKS if block.startswith("slackwater:")))
           if "sidecar" in values["slackwater"])  # fmt: skip


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_sidecar_that_slacks_names_lead_to_is_the_same_by_helm_and_by_kustomize(helm, tmp_path, kind):
    """As the guide has it. Red when a kind of workload is left out, and when one of the two is changed."""
    kustomization = "resources: [bot.yaml]\ncomponents: [../sidecar, ../hosts-entry]\n" + KUSTOMIZED
    by_kustomize = same(Mine(tmp_path).rendered("mine", kustomization=kustomization, bot=workload(kind)))
    by_helm = helm.rendered(release="bot", chart=bots_chart(helm, kind, SIDECAR | {"sidecar": LED["sidecar"]}, led=True))
    valid(by_helm)
    own = [document for document in by_helm if document["metadata"]["name"] != "slackwater-hosts"]
    assert checked(own, tmp_path).returncode == 0
    # Where it listens, each says in the configuration.
    config = same(by_helm)["ConfigMap", "slackwater"]["data"]["slackwater.yaml"]
    assert config.pop("listen") == "127.0.0.1:443" and config.pop("listen_tls")
    by_kustomize["ConfigMap", "slackwater"]["data"]["slackwater.yaml"] = config | {"listen": "127.0.0.1:8080"}
    expected = same(by_helm)
    expected["ConfigMap", "slackwater"]["data"]["slackwater.yaml"] = config | {"listen": "127.0.0.1:8080"}
    assert expected == by_kustomize


def test_a_sidecar_that_slacks_names_lead_to_listens_where_they_lead(helm):
    wrong = {"port": ({"port": 8080}, "sidecar.port: .*443"), "plain": ({"config": {}}, "sidecar.config.listen_tls: .*TLS")}
    for name, (sidecar, said) in wrong.items():
        values = SIDECAR | {"sidecar": LED["sidecar"] | sidecar}
        done = helm.template(release="bot", chart=bots_chart(helm, "CronJob", values, name=name, led=True))
        assert done.returncode != 0 and re.search(said, done.stderr), done.stderr


def test_a_sidecar_that_is_watched_is_the_same_by_helm_and_by_kustomize(helm, tmp_path):
    kustomization = "resources: [bot.yaml, ../podmonitor]\ncomponents: [../sidecar, ../metrics]\n" + KUSTOMIZED
    by_kustomize = Mine(tmp_path).rendered("mine", kustomization=kustomization, bot=workload("CronJob"))
    values = SIDECAR | {"metrics": {"enabled": True, "podMonitor": {"enabled": True}}}
    by_helm = helm.rendered(release="bot", chart=bots_chart(helm, "CronJob", values))
    assert same(by_helm) == same(by_kustomize)
    # Where the bots have the sidecars, the monitor is a release of its own.
    (args,) = re.findall(r"(--set gateway.enabled=false .*)", README)
    alone = helm.rendered(*args.split(), release="monitor")
    assert same(alone) == {key: value for key, value in same(by_kustomize).items() if key[0] == "PodMonitor"}


# === as the guide shows it ===


def test_the_chart_has_no_fault_that_helm_knows(helm):
    done = helm.run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guides_cron_job_has_its_sidecar(helm, tmp_path):
    (text,) = (block for block in BLOCKS if "kind: CronJob" in block)
    values, _ = (yaml.safe_load(block)["slackwater"] for block in BLOCKS if block.startswith("slackwater:"))
    bot = bots_chart(helm, "CronJob", values)
    (bot / "templates/bot.yaml").write_text(text)
    documents = helm.rendered(release="bot", chart=bot)
    valid(documents)
    # By the name of the release, so that two bots of a namespace have a ConfigMap each.
    assert of_kind(documents, "ConfigMap")["metadata"]["name"] == "bot-slackwater"
    assert variables_of(documents)["SLACKWATER_ADMIN_LISTEN"] == "127.0.0.1:19090"
    listen = yaml.safe_load(config_of(documents))["listen"]
    (url,) = (entry["value"] for entry in pod_of(documents)["containers"][0]["env"] if entry["name"] == "SLACK_API_URL")
    assert url == f"http://{listen}/api/"
    assert checked(documents, tmp_path).returncode == 0


SHARED = {("redis" if "redis:" in block else "parts"): block for block in BLOCKS if "shared:" in block}


@pytest.mark.parametrize("how", ["redis", "parts"])
def test_several_gateways_share_their_limits(helm, tmp_path, how):
    documents = helm.rendered(values=yaml.safe_load(SHARED[how]))
    valid(documents)
    assert not [d for d in documents if d["kind"] == "PersistentVolumeClaim"]
    pods = of_kind(documents, "Deployment" if how == "redis" else "StatefulSet")["spec"]
    assert pods["replicas"] == 3
    if how == "redis":
        # Each is as good as another.
        assert pods["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert {"name": "state", "emptyDir": {"sizeLimit": "64Mi"}} in pods["template"]["spec"]["volumes"]
    else:
        assert pods["serviceName"] == of_kind(documents, "Service")["metadata"]["name"]
        # Each has a volume of its own.
        assert [claim["metadata"]["name"] for claim in pods["volumeClaimTemplates"]] == ["state"]
    env = {entry["name"]: entry for entry in slackwater_of(pod_of(documents))["env"]}
    ordinal = env.pop("SLACKWATER_SHARED_ORDINAL", None)
    label = "metadata.labels['apps.kubernetes.io/pod-index']"
    assert (ordinal or {}).get("valueFrom") == (None if how == "redis" else {"fieldRef": {"fieldPath": label}})
    variables = {"REDIS_PASSWORD": "secret"} if how == "redis" else {"SLACKWATER_SHARED_ORDINAL": "2"}
    done = checked(documents, tmp_path, **variables)
    assert done.returncode == 0, done.stdout
    if how == "parts":
        assert "ordinal 2 of 3" in done.stdout
    else:
        assert {"port": 6379} in [port for rule in of_kind(documents, "NetworkPolicy")["spec"]["egress"] for port in rule["ports"]]


def test_what_a_user_adds_is_there(helm, tmp_path):
    values = yaml.safe_load(next(block for block in BLOCKS if "CLEANUP_KEY" in block))
    values["gateway"] |= {
        "resources": {"limits": {"cpu": "1"}}, "fsGroup": None, "state": {"persistent": False}, "port": 443, "adminPort": 7777,
        "networkPolicy": {"enabled": False}, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
        "podAnnotations": {"a": "b"}, "serviceAnnotations": {"c": "d"}, "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}], "affinity": {"nodeAffinity": {}},
    }  # fmt: skip
    # A number that Helm holds as a float.
    values["gateway"]["config"]["queue"] = {"max_total": 2000000}
    values["image"] = {"digest": "sha256:" + "0" * 64, "pullPolicy": "Always"}
    documents = helm.rendered(values=values)
    valid(documents)
    pod = pod_of(documents)
    container = slackwater_of(pod)
    assert container["image"] == "slackwater@sha256:" + "0" * 64 and container["imagePullPolicy"] == "Always"
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "768Mi"}, "a quota's limit, and the chart's"
    assert "fsGroup" not in pod["securityContext"] and pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["tolerations"] and pod["affinity"] and pod["priorityClassName"] == "high"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume} == {"state"}
    assert not [d for d in documents if d["kind"] in ("PersistentVolumeClaim", "NetworkPolicy")]
    assert of_kind(documents, "Service")["spec"]["ports"][0]["port"] == 443
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"https": 443, "admin": 7777}
    config = yaml.safe_load(config_of(documents))
    assert config["listen"] == "0.0.0.0:443" and config["identity"] == {"app": "A0123456789"}
    assert config["queue"] == {"max_total": 2000000, "max_bytes": "64MiB"}
    done = checked(documents, tmp_path, CLEANUP_KEY="0123456789abcdef0123456789abcdef")
    assert done.returncode == 0, done.stdout
    bare = helm.rendered(values={"gateway": {"tlsSecret": None, "config": {"listen_tls": None, "allow": None}}})
    assert "listen_tls" not in yaml.safe_load(config_of(bare))
    assert "tls" not in {volume["name"] for volume in pod_of(bare)["volumes"]}


def test_check_reads_what_helm_renders(helm):
    done = helm.template()
    check = [BINARY, "check", "/dev/stdin"]
    said = subprocess.run(check, env=ENVIRONMENT, input=done.stdout, text=True, capture_output=True, timeout=20)
    assert said.returncode == 0 and "0.0.0.0:8443" in said.stdout, said.stdout + said.stderr
    done = helm.template("--set", "gateway.config.queue.max_totals=1")
    said = subprocess.run(check, env=ENVIRONMENT, input=done.stdout, text=True, capture_output=True, timeout=20)
    line = next(number for number, line in enumerate(done.stdout.splitlines(), 1) if "max_totals" in line)
    assert said.returncode == 1 and said.stdout.startswith(f"/dev/stdin:{line}:"), said.stdout


def checked(documents: list[dict], folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """What slackwater itself says of the configuration."""
    root = folder / "root"
    root.mkdir()
    text = placed(documents, root)
    if (root / "etc/slackwater-tls").exists():
        mount(Issuer(folder).secret("slackwater-tls"), root / "etc/slackwater-tls")
    (folder / "slackwater.yaml").write_text(text)
    return subprocess.run([BINARY, "check", folder / "slackwater.yaml"], env=ENVIRONMENT | variables, text=True,
                          capture_output=True, timeout=20)  # fmt: skip


# === what is refused ===

# A value, and what the message has to name: the place, and what belongs there.
WRONG = {
    "a port that is a text": ("gateway.port=https", ["gateway[./]port", "integer"]),
    "a port that there is not": ("gateway.adminPort=70000", ["gateway[./]adminPort", "65,?535"]),
    "one port for two": ("gateway.adminPort=8443", ["gateway.adminPort: 8443", "two different ports"]),
    "a key that there is not": ("gateway.prot=8443", ["gateway", "prot"]),
    "a key of a group": ("metrics.enable=true", ["metrics", "enable"]),
    "a switch that is none": ("metrics.enabled=often", ["metrics[./]enabled", "boolean"]),
    "another form of environment": ("gateway.env.KEY=value", ["gateway[./]env", "array"]),
    "a size that is none": ("gateway.state.size=much", ["gateway[./]state[./]size"]),
    "replicas that are a text": ("gateway.config.shared.replicas=three", ["shared[./]replicas", "integer"]),
    "an ordinal for all": ("gateway.config.shared.ordinal=1", [r"gateway\.config\.shared\.ordinal", "delete"]),
    "an address in two places": ("gateway.config.listen=0.0.0.0:1", [r"gateway\.config\.listen", r"gateway\.port"]),
    "two servers": ("redis.enabled=true,gateway.config.shared.redis=redis://redis:6379", [r"shared\.redis", r"redis\.enabled"]),
    "replicas that share nothing": ("gateway.autoscaling.enabled=true", [r"autoscaling\.enabled", r"redis\.enabled"]),
    "a size of the server's": ("redis.maxmemory=much", ["redis[./]maxmemory"]),
    "a monitor of a closed listener": ("metrics.podMonitor.enabled=true", [r"metrics\.podMonitor\.enabled", r"metrics\.enabled"]),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_refused_with_its_place(helm, what):
    value, named = WRONG[what]
    done = helm.template("--set", value)
    assert done.returncode != 0
    for pattern in named:
        assert re.search(pattern, done.stderr), f"{pattern} in {done.stderr}"


def test_a_wrong_value_of_a_sidecar_is_refused_as_well(helm):
    """The values of a dependency have the same schema."""
    bot = bots_chart(helm, "CronJob", SIDECAR | {"sidecar": {"port": "8080"}})
    done = helm.template(release="bot", chart=bot)
    assert done.returncode != 0 and re.search("sidecar[./]port", done.stderr), done.stderr
    both = bots_chart(helm, "CronJob", {}, name="both")
    done = helm.template(release="both", chart=both)
    assert done.returncode != 0 and "slackwater.gateway.enabled" in done.stderr and "false" in done.stderr, done.stderr


def test_the_schema_has_every_value_and_no_other():
    """Red when a value is added to one of the two."""
    schema = json.loads((CHART / "values.schema.json").read_text())

    def keys(at: dict, path: str):
        if at.get("additionalProperties") is False:
            for name, below in at["properties"].items():
                yield from keys(below, f"{path}.{name}" if path else name)
        else:
            yield path

    listed = re.findall(r"(?m)^\| `([a-zA-Z.]+)` \|", README)
    assert sorted(listed) == sorted(path for path in keys(schema, "") if path != "global")


def test_the_chart_has_the_version_of_slackwater():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    release = yaml.safe_load((MANIFESTS / "example/kustomization.yaml").read_text())["images"][0]["newTag"]
    assert {chart["version"], chart["appVersion"], VALUES["image"]["tag"]} == {release}
    assert f"version: {release}" in next(block for block in BLOCKS if block.startswith("dependencies:"))
