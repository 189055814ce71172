"""The Debian package: built around the binary of the other tests, and unpacked.

Without cargo-deb what it is made of is looked at all the same.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import tomllib
from stand import BINARY, ENVIRONMENT, REPO

# To pack it takes three seconds of a processor, and more where others have it too.
pytestmark = pytest.mark.timeout(120)

PACKAGE = tomllib.loads((REPO / "Cargo.toml").read_text())["package"]["metadata"]["deb"]
PATH = os.pathsep.join([str(REPO / "target/tests/cargo-deb/bin"), ENVIRONMENT["PATH"]])


def run(*command, **more) -> str:
    done = subprocess.run([*map(str, command)], text=True, capture_output=True, timeout=100,
                          **({"env": ENVIRONMENT} | more))
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_all_that_goes_into_it_is_there():
    for source, _, _ in PACKAGE["assets"]:
        if not source.startswith("target/"):
            assert list(REPO.glob(source)), source
    for script in (REPO / PACKAGE["maintainer-scripts"]).glob("p*"):
        run("sh", "-n", script)
        assert "#DEBHELPER#" in script.read_text(), f"{script}: without it the unit is not started"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    if not shutil.which("cargo-deb", path=PATH) or not shutil.which("dpkg-deb"):
        pytest.skip("needs cargo-deb: cargo install --locked cargo-deb")
    folder = tmp_path_factory.mktemp("package")
    (folder / "target/release").mkdir(parents=True)
    shutil.copy(BINARY, folder / "target/release/slackwater")
    package = folder / "slackwater.deb"
    run(REPO / "scripts/deb", "--fast", "--output", package,
        env=ENVIRONMENT | {"PATH": PATH, "CARGO_TARGET_DIR": str(folder / "target")})
    return package


def test_it_installs_what_it_should(package, tmp_path):
    run("dpkg-deb", "--extract", package, tmp_path)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {
        "usr/bin/slackwater",
        "etc/slackwater/slackwater.yaml",
        "usr/lib/systemd/system/slackwater.service",
        "usr/share/bash-completion/completions/slackwater",
        "usr/share/zsh/vendor-completions/_slackwater",
        "usr/share/fish/vendor_completions.d/slackwater.fish",
        "usr/share/man/man1/slackwater.1.gz",
        "usr/share/man/man1/slackwater-drain.1.gz",
        "usr/share/doc/slackwater/changelog.gz",
        "usr/share/doc/slackwater/changelog.Debian.gz",
        "usr/share/doc/slackwater/copyright",
        "usr/share/doc/slackwater/slackwater.yaml",
        "usr/share/doc/slackwater/README.md",
        "usr/share/doc/slackwater/THIRD-PARTY.txt",
    } <= files, files
    unit = (tmp_path / "usr/lib/systemd/system/slackwater.service").read_text()
    assert unit == (REPO / "deploy/systemd/slackwater.service").read_text()
    for config in ("etc/slackwater/slackwater.yaml", "usr/share/doc/slackwater/slackwater.yaml"):
        file = tmp_path / config
        file.write_text(file.read_text().replace("/var/lib/slackwater", str(tmp_path)))
        run(tmp_path / "usr/bin/slackwater", "check", file)
    assert "complete" in run("bash", "-c", f"source {tmp_path}/usr/share/bash-completion/completions/slackwater; complete -p slackwater")


def test_what_it_says_of_itself(package, tmp_path):
    said = run("dpkg-deb", "--field", package, "Package", "Version", "Depends", "Architecture")
    version = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert f"Version: {version}-" in said and "libc6" in said, said
    run("dpkg-deb", "--control", package, tmp_path)
    assert (tmp_path / "conffiles").read_text() == "/etc/slackwater/slackwater.yaml\n"
    scripts = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name.startswith("p")}
    assert set(scripts) == {"postinst", "prerm", "postrm"}
    assert "enable slackwater.service" in scripts["postinst"] and "stop slackwater.service" in scripts["prerm"]
    for name in scripts:
        run("sh", "-n", tmp_path / name)


def test_lintian_finds_no_fault(package):
    if not shutil.which("lintian"):
        pytest.skip("needs lintian: apt-get install lintian")
    # It is not for Debian's own archive, where somebody has to have asked for it.
    run("lintian", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs",
        "--info", "--allow-root", package)


@pytest.mark.parametrize("action", ["remove", "purge"])
def test_what_is_left_of_it(package, tmp_path, action):
    """What its script does to a machine that has run it. systemd is not asked."""
    root, tools = tmp_path / "root", tmp_path / "tools"
    state, environment = root / "var/lib/private/slackwater/state", root / "etc/slackwater/environment"
    for file in (state, environment):
        file.parent.mkdir(parents=True)
        file.write_text("secret")
    (root / "var/lib/slackwater").symlink_to("private/slackwater")
    tools.mkdir()
    for tool in ("systemctl", "deb-systemd-helper"):
        (tools / tool).symlink_to("/bin/true")
    run("dpkg-deb", "--control", package, tmp_path / "control")
    run("sh", tmp_path / "control/postrm", action,
        env={"DPKG_ROOT": str(root), "PATH": os.pathsep.join([str(tools), "/usr/bin", "/bin"])})
    left = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}
    if action == "remove":
        assert left == {"var/lib/private/slackwater/state", "var/lib/slackwater", "etc/slackwater/environment"}
    else:
        assert left == set() and not environment.parent.exists()
