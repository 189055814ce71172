"""Several replicas of the gateway in Kubernetes: what the component adds, and its server, run as it says."""

import re
import socket

import pytest
import yaml
from pods import MANIFESTS, Container, Issuer, Mine, mount, of_kind, pod_in, slackwater_of, valid
from redis_server import OTHERS
from slack_sdk import WebClient
from stand import FakeSlack, Metrics, Process, eventually, free_port, http_get

PASSWORD = 'all "of" $it'
DOCS = (MANIFESTS.parents[1] / "docs/replicas.md").read_text()


@pytest.fixture
def documents(tmp_path) -> list[dict]:
    return Mine(tmp_path).rendered("mine", kustomization="resources: [../gateway]\ncomponents: [../replicas]\n")


def named(documents: list[dict], kind: str, name: str) -> dict:
    return of_kind([document for document in documents if document["metadata"]["name"] == name], kind)


def gateway_of(documents: list[dict]) -> list[dict]:
    """Without what is the server's."""
    return [document for document in documents if document["metadata"]["name"] == "slackwater"]


def test_replicas_come_and_go_without_an_interruption(documents):
    valid(documents)
    gateway, redis = named(documents, "Deployment", "slackwater"), named(documents, "Deployment", "slackwater-redis")
    # A number here would be set again by each `kubectl apply`.
    assert "replicas" not in gateway["spec"]
    scaler = named(documents, "HorizontalPodAutoscaler", "slackwater")["spec"]
    assert scaler["minReplicas"] == 3 and scaler["scaleTargetRef"]["name"] == "slackwater"
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"]["name"] == "slackwater_connections", "not a queue's depth"
    assert gateway["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert named(documents, "PodDisruptionBudget", "slackwater")["spec"]["maxUnavailable"] == 1
    pod = gateway["spec"]["template"]["spec"]
    # drain_timeout, timeouts.headers, the last answers, and preStop.
    assert pod["terminationGracePeriodSeconds"] >= 25 + 60 + 5 + slackwater_of(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert not [document for document in documents if document["kind"] == "PersistentVolumeClaim"], "one volume for many pods"
    # Two servers would grant every limit each.
    assert redis["spec"]["replicas"] == 1 and redis["spec"]["strategy"] == {"type": "Recreate"}
    config = yaml.safe_load(named(documents, "ConfigMap", "slackwater")["data"]["slackwater.yaml"])
    assert config["shared"]["replicas"] == scaler["maxReplicas"] + 1, "and one during an update"
    # What is not about replicas is as in the gateway of one.
    alone = yaml.safe_load((MANIFESTS / "gateway/slackwater.yaml").read_text())
    assert {key: value for key, value in config.items() if key != "shared"} == alone


def test_only_the_gateway_reaches_the_server(documents):
    redis = named(documents, "Deployment", "slackwater-redis")
    labels = redis["spec"]["template"]["metadata"]["labels"]
    service = named(documents, "Service", "slackwater-redis")["spec"]
    policy = named(documents, "NetworkPolicy", "slackwater-redis")["spec"]
    assert redis["spec"]["selector"]["matchLabels"] == service["selector"] == policy["podSelector"]["matchLabels"] == labels
    gateway = named(documents, "Deployment", "slackwater")["spec"]["template"]["metadata"]["labels"]
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": gateway}}], "ports": [{"port": "redis"}]}]
    assert "egress" not in policy and "Egress" in policy["policyTypes"], "it calls nobody"
    # Nothing that selects the gateway selects the server.
    assert named(documents, "Service", "slackwater")["spec"]["selector"]["app.kubernetes.io/name"] != labels["app.kubernetes.io/name"]
    url = yaml.safe_load(named(documents, "ConfigMap", "slackwater")["data"]["slackwater.yaml"])["shared"]["redis"]
    assert url == f"redis://slackwater@slackwater-redis:{service['ports'][0]['port']}/0"
    pod = pod_in(redis)
    context = pod["securityContext"] | pod["containers"][0]["securityContext"]
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and context["capabilities"] == {"drop": ["ALL"]}


def test_the_user_may_do_what_the_document_lists(documents):
    (listed,) = re.findall(r"ACL SETUSER slackwater on >PASSWORD ((?:.*\n)(?: {6}.*\n)*)", DOCS)
    args = pod_in(named(documents, "Deployment", "slackwater-redis"))["containers"][0]["args"]
    assert args[args.index(">$(REDIS_PASSWORD)") + 1 :] == listed.split()


def test_two_replicas_share_a_limit_through_the_server(documents, tmp_path):
    """The server is started with the arguments of its container, and both replicas with their manifest."""
    args = pod_in(named(documents, "Deployment", "slackwater-redis"))["containers"][0]["args"]
    args = [arg.replace("$(REDIS_PASSWORD)", PASSWORD) for arg in args]
    port = free_port()
    Process("valkey", [OTHERS["valkey-8.1"], *args, "--bind", "127.0.0.1", "--port", port]).wait_for(
        "readiness", lambda line: "Ready to accept connections" in line
    )
    slack, issuer = FakeSlack(minute=60), Issuer(tmp_path)
    config = named(documents, "ConfigMap", "slackwater")["data"]
    config["slackwater.yaml"] = config["slackwater.yaml"].replace("slackwater-redis:6379", f"127.0.0.1:{port}")
    replicas, listens = [], []
    for number in range(2):
        folder = tmp_path / f"replica-{number}"
        folder.mkdir()
        replica = Container(gateway_of(documents), folder, slack, secrets={"slackwater-redis": {"password": PASSWORD}})
        mount(issuer.secret("slackwater-tls"), folder / "etc/slackwater-tls")
        listens.append(replica.start())
        replicas.append(replica)

    def metric(replica: Container, name: str) -> float:
        return Metrics(http_get(f"http://{replica.env['SLACKWATER_ADMIN_LISTEN']}/metrics")[1]).sum(name)

    for replica in replicas:
        eventually("both are known", lambda replica=replica: metric(replica, "slackwater_shared_members") == 2, 15)
        eventually("it grants slots", lambda replica=replica: metric(replica, "slackwater_shared_degraded") == 0, 15)
    tls = issuer.trusting(issuer.secret("reports-slackwater"))
    # Its name is resolved by nobody here.
    tls.check_hostname = False
    for replica, listen in zip(replicas, listens, strict=True):
        with socket.create_connection(listen.split(":"), 5) as plain, tls.wrap_socket(plain):
            eventually("a connection is counted", lambda replica=replica: metric(replica, "slackwater_connections") == 1)
        eventually("one that ends is not", lambda replica=replica: metric(replica, "slackwater_connections") == 0)
        client = WebClient(token="xoxb-T1-A1-secret", base_url=f"https://{listen}/api/", ssl=tls)
        assert client.users_info(user="U1")["ok"]
    for replica in replicas:
        eventually("each has used a slot on lease", lambda replica=replica: metric(replica, "slackwater_shared_held_slots") >= 1)
