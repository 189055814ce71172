"""A certificate authority for a test, made by openssl."""

import subprocess


class Authority:
    """A CA, and certificates that it signs, made by openssl."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.openssl("req", "-x509", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", 2)
        self.pem = directory / f"{name}.pem"

    def openssl(self, *words):
        if words[0] == "req":
            words += ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        done = subprocess.run(["openssl", *map(str, words)], cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def sign(self, host, file="server", *more):
        """The files of a key and of its certificate, for one host or for more, or for addresses."""
        names = [f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in (host, *more)]
        (self.directory / "names").write_text(f"subjectAltName={','.join(names)}\n")
        self.openssl("req", "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", f"/CN={host}")
        self.openssl(
            "x509", "-req", "-in", f"{file}.csr", "-out", f"{file}.pem", "-days", 2, "-extfile", "names",
            "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", "-CAcreateserial",
        )
        return self.directory / f"{file}.key", self.directory / f"{file}.pem"
