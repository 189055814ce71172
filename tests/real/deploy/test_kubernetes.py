"""The manifests, rendered by kustomize, held against Kubernetes' own schemas, and run as they say.

There is no cluster: what a kubelet does with them is played by hand, container by container.
"""

import copy
import json
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from http.client import HTTPException
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from pods import (
    KUBECTL, MANIFESTS, VERSIONS, WORKLOADS, Container, Issuer, Mine, config_of, guide, kustomize, mount, of_kind, placed, pod_in,
    pod_of, slackwater_of, valid, variables_of, workload,
)  # fmt: skip
from sdk import Sdk
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from stand import BINARY, ENVIRONMENT, FakeSlack, eventually, http_get

# What a user writes who brings a bot, a configuration, and Prometheus: README.md shows it so.
MINE = {
    "kustomization.yaml": """
        apiVersion: kustomize.config.k8s.io/v1beta1
        kind: Kustomization
        namespace: bots
        resources: [jobs.yaml, ../podmonitor]
        components: [../sidecar, ../metrics]
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


@pytest.fixture
def mine(tmp_path) -> Mine:
    return Mine(tmp_path)


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
    (watched / "kustomization.yaml").write_text("resources: [../gateway, ../podmonitor]\ncomponents: [../metrics]\n")
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
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"]
    # OpenShift gives each namespace users of its own, and refuses a pod that names another.
    assert not context.keys() & {"runAsUser", "runAsGroup"}
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert set(container["resources"]["limits"]) == {"memory"} and set(container["resources"]["requests"]) == {"cpu", "memory"}
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/var/lib/slackwater"], "where the state file is"
    assert all("subPath" not in mount for mount in container["volumeMounts"]), "a ConfigMap's change is seen"


def test_its_configuration_has_no_mistake(rendered, name, tmp_path):
    file = tmp_path / "slackwater.yaml"
    file.write_text(placed(rendered[name], tmp_path))
    is_gateway = name in ("gateway", "watched")
    if is_gateway:
        mount(Issuer(tmp_path).secret("slackwater-tls"), tmp_path / "etc/slackwater-tls")
    done = subprocess.run([BINARY, "check", file], env=ENVIRONMENT, text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    config = yaml.safe_load(config_of(rendered[name]))
    assert config.get("listen", "127.0.0.1:8080") == ("0.0.0.0:8443" if is_gateway else "127.0.0.1:8080")
    host = "0.0.0.0" if name in ("mine", "watched") else "127.0.0.1"
    port = 9090 if is_gateway else 19090
    assert variables_of(rendered[name])["SLACKWATER_ADMIN_LISTEN"] == f"{host}:{port}", "on loopback unless scraped"
    ports = {port["name"]: port["containerPort"] for port in slackwater_of(pod_of(rendered[name]))["ports"]}
    assert ports["admin"] == port


@pytest.mark.parametrize("kind", WORKLOADS)
def test_every_kind_of_workload_gets_the_sidecar(rendered, mine, kind):
    """Red when a kind is left out, and when the patches of two kinds differ."""
    documents = mine.rendered("any", kustomization="resources: [bot.yaml]\ncomponents: [../sidecar]\n", bot=workload(kind))
    valid(documents)
    pod = pod_of(documents)
    assert [c["name"] for c in pod["initContainers"]] == ["slackwater", "migrate"]
    sidecar = slackwater_of(pod)
    expected = slackwater_of(pod_of(rendered["example"]))
    assert sidecar | {"image": ""} == expected | {"image": ""}
    assert pod["volumes"] == pod_of(rendered["example"])["volumes"]
    led = mine.rendered("led", kustomization="resources: [../any]\ncomponents: [../hosts-entry]\n")
    valid(led)
    assert pod_of(led)["hostAliases"][0]["ip"] == "127.0.0.1"
    assert any(mount["mountPath"] == "/etc/hosts" for mount in slackwater_of(pod_of(led))["volumeMounts"])


@pytest.mark.parametrize("folder", ["sidecar", "gateway"])
def test_the_operators_port_is_changed_in_one_place(mine, folder):
    before = {"sidecar": "19090", "gateway": "9090"}[folder]
    mine.change(f"{folder}/kustomization.yaml", f"admin-port={before}", "admin-port=7777")
    if folder == "gateway":
        documents = mine.rendered("moved", kustomization="resources: [../gateway, ../podmonitor]\n")
    else:
        resources = [f"{kind}.yaml" for kind in WORKLOADS] + ["../podmonitor"]
        documents = mine.rendered("moved", kustomization=f"resources: {resources}\ncomponents: [../sidecar]\n",
                                  **{kind: workload(kind) for kind in WORKLOADS})  # fmt: skip
    text = yaml.safe_dump([d for d in documents if d["kind"] != "ConfigMap"])
    assert not re.search(rf"\b{before}\b", text)
    (config,) = (d for d in documents if d["kind"] == "ConfigMap")
    pods = [document for document in documents if pod_in(document)]
    assert len(pods) == (len(WORKLOADS) if folder == "sidecar" else 1)
    for pod in pods:
        assert variables_of([pod, config])["SLACKWATER_ADMIN_LISTEN"] == "127.0.0.1:7777"
        (port,) = (port for port in slackwater_of(pod_in(pod))["ports"] if port["name"] == "admin")
        assert port["containerPort"] == 7777
    (endpoint,) = of_kind(documents, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "admin", "the monitor names it"


def test_one_monitor_watches_a_namespace(mine):
    """Two bots of one namespace, each opened: what selects all pods of the namespace is not there twice."""
    bots = [
        mine.rendered(name, bot=workload("CronJob"),
                      kustomization=f"resources: [bot.yaml]\ncomponents: [../sidecar, ../metrics]\nnamePrefix: {name}-\n")
        for name in ("nightly", "hourly")
    ]  # fmt: skip
    watched = mine.rendered("watched", kustomization="resources: [../nightly, ../hourly, ../podmonitor]\n")
    assert not any(d["kind"] == "PodMonitor" for documents in bots for d in documents)
    monitor = of_kind(watched, "PodMonitor")
    assert monitor["spec"]["selector"] == {} and "namespaceSelector" not in monitor["spec"]
    # What a Prometheus of kube-prometheus-stack selects by.
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_it_runs_as_whom_the_image_says_or_openshift(rendered, mine):
    image = (MANIFESTS.parent / "Dockerfile").read_text()
    (user,) = re.findall(r"(?m)^USER (.*)", image)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "only of a number Kubernetes knows that it is not root"
    assert pod_of(rendered["gateway"])["securityContext"]["fsGroup"] == int(user.split(":")[1])
    given = mine.rendered("given", kustomization="resources: [../gateway]\ncomponents: [../openshift]\n")
    valid(given)
    for documents in (given, rendered["example"]):
        context = pod_of(documents).get("securityContext", {}) | slackwater_of(pod_of(documents))["securityContext"]
        assert not context.keys() & {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}


def test_a_quota_can_have_its_limit_of_cpu(mine):
    for kind, path in (("Deployment", ""), ("CronJob", "/spec/jobTemplate")):
        text = guide("resources/limits/cpu")
        if path:
            # The guide says so below the example.
            assert f"For a CronJob the path begins with `{path}/spec/template`" in " ".join(Issuer.readme.split())
            text = text.replace("kind: Deployment", "kind: CronJob").replace("path: /spec", f"path: {path}/spec")
        mine_too = f"resources: [bot.yaml]\ncomponents: [../sidecar]\n{text}"
        documents = mine.rendered(f"quota-{kind}", kustomization=mine_too, bot=workload(kind))
        valid(documents)
        assert slackwater_of(pod_of(documents))["resources"]["limits"] == {"cpu": "1", "memory": "192Mi"}


def test_two_gateways_share_a_namespace(mine):
    """With a name and a label of its own, as the guide has it, none selects what belongs to the other."""
    other = guide("includeSelectors")
    documents = mine.rendered("reports", kustomization=other.replace("[gateway]", "[../gateway]"))
    valid(documents)
    assert all(d["metadata"]["namespace"] == "bots" for d in documents)
    assert all(d["metadata"]["name"] == "reports-slackwater" for d in documents)
    pods = of_kind(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert pods != of_kind(kustomize(MANIFESTS / "gateway"), "Deployment")["spec"]["template"]["metadata"]["labels"]
    selects_it_alone(documents)
    # Bots need no label for each gateway.
    bots = of_kind(documents, "NetworkPolicy")["spec"]["ingress"][0]["from"]
    clients = {"key": "slackwater-client", "operator": "In", "values": ["true"]}
    assert bots == [{"podSelector": {"matchExpressions": [clients]}}]
    scrapers = of_kind(documents, "NetworkPolicy")["spec"]["ingress"][1]["from"]
    assert scrapers == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}]


def checks(*args, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "check", *args], env=ENVIRONMENT, input=text, text=True, capture_output=True, timeout=20)


def test_check_reads_a_configuration_as_it_lies_there(mine):
    """Before it is deployed, by itself or among all objects, and a mistake has its line in what is read."""
    assert checks(MANIFESTS / "sidecar/slackwater.yaml").returncode == 0
    gateway = MANIFESTS / "gateway/slackwater.yaml"
    # Its certificates are in the pod.
    assert checks(gateway).stdout.count("cannot be read") == 3
    assert checks("--elsewhere", gateway).returncode == 0
    for right in ("example", "gateway"):
        text = yaml.safe_dump_all(kustomize(MANIFESTS / right), default_style="|")
        done = checks("/dev/stdin", text=text)
        assert done.returncode == 0 and done.stdout.startswith("/dev/stdin: ok\n"), done.stdout + done.stderr
    mine.change("gateway/slackwater.yaml", "max_total: 10000", "max_totals: 10000")
    done = subprocess.run([KUBECTL, "kustomize", mine.folder / "gateway"], env=ENVIRONMENT, text=True, capture_output=True, timeout=30)
    told = checks("/dev/stdin", text=done.stdout)
    (line,) = (number for number, line in enumerate(done.stdout.splitlines(), 1) if "max_totals" in line)
    column = done.stdout.splitlines()[line - 1].index("max_totals") + 1
    assert told.returncode == 1
    assert told.stdout.startswith(f"/dev/stdin:{line}:{column}: queue.max_totals: is no key here"), told.stdout


def test_slacks_names_lead_to_the_sidecar_but_not_for_the_sidecar(mine):
    led = "resources: [jobs.yaml]\ncomponents: [../sidecar, ../hosts-entry]\n"
    documents = mine.rendered("led", kustomization=led, jobs=MINE["jobs.yaml"])
    valid(documents)
    pod = pod_of(documents)
    slack = ["slack.com", "hooks.slack.com", "api.slack.com"]
    assert pod["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": slack}]
    # Whoever mounts a file there has no part in the pod's.
    hosts = {
        container["name"]: mount for container in pod["initContainers"] + pod["containers"]
        for mount in container.get("volumeMounts", []) if mount["mountPath"] == "/etc/hosts"
    }  # fmt: skip
    assert list(hosts) == ["slackwater"] and hosts["slackwater"]["subPath"] == "hosts"
    (volume,) = (v for v in pod["volumes"] if v["name"] == hosts["slackwater"]["name"])
    (own,) = (d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"] == volume["configMap"]["name"])
    assert not any(name in own["data"]["hosts"] for name in slack)
    # What the document has slackwater listen at, without being root.
    assert pod["securityContext"]["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "443"}]
    assert slackwater_of(pod)["securityContext"]["runAsNonRoot"]


def test_the_gateway_is_never_two_at_once(rendered):
    deployment = of_kind(rendered["gateway"], "Deployment")
    assert deployment["spec"]["replicas"] == 1 and deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert of_kind(rendered["gateway"], "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert not [d for d in rendered["gateway"] if d["kind"] == "HorizontalPodAutoscaler"]
    # What it may take to end: drain_timeout, timeouts.headers, and the last answers.
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 25 + 60 + 5


def selects_it_alone(documents):
    labels = of_kind(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        of_kind(documents, "Service")["spec"]["selector"],
        of_kind(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        of_kind(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(documents, "Deployment")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors), selectors


def test_what_selects_the_gateway_selects_it_alone(rendered):
    selects_it_alone(rendered["gateway"])
    ports = [port["port"] for port in of_kind(rendered["gateway"], "Service")["spec"]["ports"]]
    assert ports == [8443], "the operators' port is no service"
    named = {port["name"] for port in slackwater_of(pod_of(rendered["gateway"]))["ports"]}
    policy = of_kind(rendered["gateway"], "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in policy for port in rule["ports"]} == {"https", "admin"} == named
    assert all(rule["from"] for rule in policy), "an empty list would be everybody"
    monitor = of_kind(rendered["watched"], "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert [endpoint["port"] for endpoint in monitor] == ["admin"]


# === as a kubelet runs them ===


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
    # Also those that go at once have their bytes, and headers count twice.
    padding = "x" * (int(config["max_bytes"].removesuffix("MiB")) * 1024 * 1024 // (calls + 1000) - 600)
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


def test_the_gateway_lets_in_bots_that_show_their_certificates(rendered, tmp_path, monkeypatch):
    slack, issuer = FakeSlack(), Issuer(tmp_path)
    pod = pod_of(rendered["gateway"])
    secret = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "tls")
    assert secret["defaultMode"] == 0o440 and pod["securityContext"]["fsGroup"] == 65532, "its group reads the key"
    gateway = Container(rendered["gateway"], tmp_path, slack)
    mount(issuer.secret(secret["secretName"]), tmp_path / "etc/slackwater-tls")
    port = gateway.start().split(":")[1]
    assert gateway.probe("readinessProbe")
    base = re.search(r'"(https://(.+):8443/api/)"', issuer.readme)
    host, base_url = base[2], base[1].replace("8443", port)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda to, *more: resolve("127.0.0.1" if to == host else to, *more))

    def call(files: dict[str, Path] | None, url: str = base_url):
        client = WebClient(token="xoxb-T1-A1-secret", base_url=url, ssl=issuer.trusting(files))
        client.proxy = None
        return client.users_info(user="U1")

    def served() -> bytes:
        """The certificate that a new connection meets."""
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            issuer.trusting(bot).wrap_socket(plain, server_hostname=host) as secured,
        ):
            return secured.getpeercert(binary_form=True)

    bot = issuer.secret("reports-slackwater")
    assert call(bot)["ok"]
    forged = Issuer(tmp_path, "another").secret("reports-slackwater")
    for wrong, url in ((None, base_url), (forged, base_url), (bot, base_url.replace("https", "http"))):
        with pytest.raises((OSError, HTTPException)):
            call(wrong, url)
    # Signed by the same authority, and no bot: the gateway's own.
    with pytest.raises(SlackApiError) as refused:
        call(issuer.secret(secret["secretName"]))
    assert refused.value.response.status_code == 403 and refused.value.response["error"] == "caller_not_allowed"

    before = served()
    mount(issuer.secret(secret["secretName"]), tmp_path / "etc/slackwater-tls")
    eventually("the new certificate is followed", lambda: served() != before, 10)
    assert call(bot, base_url.replace("/api/", "/@somebody-else/api/"))["ok"]
    assert len(slack.calls("users.info")) == 2
    status = f"http://{gateway.env['SLACKWATER_ADMIN_LISTEN']}/status"

    def callers() -> list[str]:
        return [busy["name"] for busy in json.loads(http_get(status)[1])["top"]["callers"]]

    eventually("the bot is counted by its name", lambda: callers() == issuer.names["reports-slackwater"])


@pytest.mark.parametrize("key", ["listen", "admin.listen"])
def test_a_port_that_the_bot_has_is_told_with_what_changes_it(key):
    name = {"listen": "SLACKWATER_LISTEN", "admin.listen": "SLACKWATER_ADMIN_LISTEN"}[key]
    with socket.create_server(("127.0.0.1", 0)) as bot:
        address = f"127.0.0.1:{bot.getsockname()[1]}"
        variables = {"SLACKWATER_LISTEN": "127.0.0.1:0", "SLACKWATER_ADMIN_LISTEN": "127.0.0.1:0", name: address}
        done = subprocess.run([BINARY, "run"], env=ENVIRONMENT | variables, text=True, capture_output=True, timeout=10)
    assert done.returncode != 0
    assert f"cannot listen on {address}" in done.stderr and f"`{key}`" in done.stderr and name in done.stderr, done.stderr
