"""Several servers that are one store: a primary that sentinels watch, and a cluster."""

import time

from redis_server import DEBIAN, Client, RedisServer, Refused
from stand import Process, eventually, free_port

MASTER = "mymaster"


class Watched:
    """A primary with replicas, and the sentinels that watch it."""

    def __init__(self, *, sentinels: int = 3, copies: int = 1, user=None, password=None, may="~* &* +@all",
                 own: str | None = None, own_password: str | None = None, authority=None):  # fmt: skip
        """`own` is what a sentinel's user `watcher` may do, if it asks for one. With an `authority` all speak TLS."""
        login = {"user": user, "password": password, "may": may} if user else {"password": password}
        login["authority"] = authority
        more = ["--tls-replication", "yes"] if authority else []
        if password:
            more += ["--masterauth", password, *(["--masteruser", "copy"] if user else [])]
        if user:
            more += ["--user", *f"copy on >{password} ~* &* +@all".split()]
        self.servers = [RedisServer(options=more, **login)]
        self.servers += [RedisServer(options=["--replicaof", "127.0.0.1", self.servers[0].port, *more], **login)
                         for _ in range(copies)]  # fmt: skip
        for copy in self.servers[1:]:
            eventually("it is copied", lambda: copy_client(copy, user).call("INFO", "replication").find(b"link_status:up") > 0)
        self.ports, self.processes, self.own_password = [], [], own_password
        for n in range(sentinels):
            port, folder = free_port(), Process.log_dir / f"{len(Process.register):02}-{time.monotonic_ns()}-sentinel"
            folder.mkdir(parents=True)
            lines = ["bind 127.0.0.1", f"dir {folder}",
                     f"sentinel monitor {MASTER} 127.0.0.1 {self.servers[0].port} {sentinels // 2 + 1}",
                     f"sentinel down-after-milliseconds {MASTER} 1000", f"sentinel failover-timeout {MASTER} 5000"]  # fmt: skip
            if authority:
                key, certificate = authority.sign("localhost", f"sentinel-{port}", "127.0.0.1")
                lines += ["port 0", f"tls-port {port}", "tls-replication yes", f"tls-cert-file {certificate}",
                          f"tls-key-file {key}", f"tls-ca-cert-file {authority.pem}", "tls-auth-clients no"]  # fmt: skip
            else:
                lines += [f"port {port}"]
            if password:
                lines += [f"sentinel auth-pass {MASTER} {password}"]
                lines += [f"sentinel auth-user {MASTER} copy"] if user else []
            if own:
                # The sentinels themselves go by the default user.
                lines += [f"user default on >{own_password} ~* &* +@all", f"user watcher on >{own_password} {own}",
                          f"sentinel sentinel-pass {own_password}"]  # fmt: skip
            (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
            self.ports.append(port)
            self.processes.append(Process("sentinel", [DEBIAN, folder / "sentinel.conf", "--sentinel"]))
        for n in range(sentinels):
            eventually("the sentinels know each other and the replica", lambda: self.knows(n), 15)

    def knows(self, n: int) -> bool:
        try:
            words = [word.decode() for word in self.ask(n, "SENTINEL", "MASTER", MASTER)]
        except OSError:
            return False
        told = dict(zip(words[::2], words[1::2]))
        return (int(told["num-other-sentinels"]) == len(self.ports) - 1 and int(told["num-slaves"]) == len(self.servers) - 1)  # fmt: skip

    def ask(self, n: int, *words):
        client = Client(self.ports[n], self.servers[0].context)
        try:
            if self.own_password:
                client.call("AUTH", self.own_password)
            return client.call(*words)
        finally:
            client.close()

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def primary(self) -> int:
        """The port of the primary, as a sentinel says."""
        return int(self.ask(0, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])

    def fail_over(self) -> None:
        """As an operator does before a restart: both servers live."""
        eventually("it can be promoted", lambda: self.starts_to_fail_over(), 15)

    def starts_to_fail_over(self) -> bool:
        try:
            return self.ask(0, "SENTINEL", "FAILOVER", MASTER) == b"OK"
        except Refused:
            return False


def channels(server: RedisServer, client: Client | None = None) -> int:
    """How many replicas listen there, each on a channel of its own, beside the one of all."""
    all_of_them = (client or server.client()).call("PUBSUB", "CHANNELS", "slackwater:*")
    return sum(not channel.endswith(b":all") for channel in all_of_them)


def copy_client(server: RedisServer, user: str | None) -> Client:
    client = Client(server.port, server.context)
    if server.password:
        client.call("AUTH", *(["copy"] if user else []), server.password)
    return client


class Cluster:
    """Three primaries with a third of the slots each, and replicas of the first of them."""

    SLOTS = 16384

    def __init__(self, binary=DEBIAN, *, copies: int = 0, authority=None):
        def node() -> RedisServer:
            return RedisServer(binary, options=[
                "--cluster-enabled", "yes", "--cluster-node-timeout", 1000, "--cluster-require-full-coverage", "no",
                "--cluster-replica-validity-factor", 0, *(["--tls-cluster", "yes"] if authority else []),
            ], authority=authority)  # fmt: skip

        self.nodes = [node() for _ in range(3)]
        self.copies = [node() for _ in range(copies)]
        third = self.SLOTS // 3 + 1
        for n, one in enumerate(self.nodes):
            one.call("CLUSTER", "ADDSLOTS", *range(n * third, min((n + 1) * third, self.SLOTS)))
            one.call("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for one in [*self.nodes[1:], *self.copies]:
            one.call("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        for one in [*self.nodes, *self.copies]:
            eventually("all know each other", lambda: self.info(one, "cluster_known_nodes") == str(3 + copies), 15)
        for copy in self.copies:
            copy.call("CLUSTER", "REPLICATE", self.name(self.nodes[0]))
            eventually("it is copied", lambda: copy.info("master_link_status") == "up", 15)
        for one in [*self.nodes, *self.copies]:
            eventually("all slots are served", lambda: self.info(one, "cluster_state") == "ok", 15)

    @staticmethod
    def info(node: RedisServer, field: str) -> str:
        lines = node.call("CLUSTER", "INFO").decode().splitlines()
        return next(line.split(":", 1)[1] for line in lines if line.startswith(f"{field}:"))

    @staticmethod
    def name(node: RedisServer) -> str:
        return node.call("CLUSTER", "MYID").decode()

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def slot(self, group: int) -> int:
        return self.nodes[0].call("CLUSTER", "KEYSLOT", f"{{{group}}}")

    def keeper(self, group: int) -> RedisServer:
        """The node that has a group."""
        third = self.SLOTS // 3 + 1
        return self.nodes[self.slot(group) // third]

    def reshard(self, group: int, to: RedisServer, pause: float = 0.0) -> None:
        """Moves a slot with all its keys to another node, as redis-cli does it, with a pause after each step."""
        slot, source = self.slot(group), self.keeper(group)
        to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(to))
        time.sleep(pause)
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 10):
            for key in keys:
                source.call("MIGRATE", "127.0.0.1", to.port, key, 0, 1000)
                time.sleep(pause / 4)
        time.sleep(pause)
        for node in [to, source, *(node for node in self.nodes if node not in (to, source))]:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", self.name(to))
