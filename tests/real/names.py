"""A plugin for the proxy of the tests: every name is this machine, as nothing else may be reached."""

from proxy.http.proxy import HttpProxyBasePlugin


class Names(HttpProxyBasePlugin):
    def resolve_dns(self, host, port):
        return "127.0.0.1", None
