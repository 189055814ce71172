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
import ssl
import subprocess
import time
from http.client import HTTPException
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from pods import MANIFESTS, Container, Issuer, config_of, kustomize, mount, of_kind, placed, pod_of, slackwater_of
from sdk import Sdk
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from stand import BINARY, ENVIRONMENT, FakeSlack, eventually, http_get

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
    file.write_text(placed(rendered[name], tmp_path))
    is_gateway = name in ("gateway", "watched")
    if is_gateway:
        mount(Issuer(tmp_path).secret("slackwater-tls"), tmp_path / "etc/slackwater-tls")
    done = subprocess.run([BINARY, "check", file], env=ENVIRONMENT, text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    config = yaml.safe_load(config_of(rendered[name]))
    assert config.get("listen", "127.0.0.1:8080") == ("0.0.0.0:8443" if is_gateway else "127.0.0.1:8080")
    opened = of_kind(rendered[name], "ConfigMap")["data"].get("admin-listen")
    assert opened == ("0.0.0.0:9090" if name in ("mine", "watched") else None), "on loopback unless scraped"


def test_slacks_names_lead_to_the_sidecar_but_not_for_the_sidecar(tmp_path):
    everything = tmp_path / "kubernetes"
    shutil.copytree(MANIFESTS, everything)
    led = everything / "led"
    led.mkdir()
    (led / "jobs.yaml").write_text(MINE["jobs.yaml"])
    (led / "kustomization.yaml").write_text("resources: [jobs.yaml]\ncomponents: [../sidecar, ../hosts-entry]\n")
    documents = kustomize(led)
    for version in VERSIONS:
        for document in documents:
            kubernetes_validate.validate(document, version, strict=True)
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
    assert slackwater_of(pod)["securityContext"]["runAsUser"] > 0


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

    def trusting(files: dict[str, Path] | None) -> ssl.SSLContext:
        tls = ssl.create_default_context(cafile=issuer.authority.pem)
        if files:
            tls.load_cert_chain(files["tls.crt"], files["tls.key"])
        return tls

    def call(files: dict[str, Path] | None, url: str = base_url):
        client = WebClient(token="xoxb-T1-A1-secret", base_url=url, ssl=trusting(files))
        client.proxy = None
        return client.users_info(user="U1")

    def served() -> bytes:
        """The certificate that a new connection meets."""
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            trusting(bot).wrap_socket(plain, server_hostname=host) as secured,
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
