//! A Redis of its own for each test, on a socket in a folder that is gone when the test is.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use redis::Connection;
use tempfile::TempDir;

/// A server that runs.
pub(super) struct Server {
    process: Child,
    folder: TempDir,
}

// === impl Server ===

impl Server {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--logfile",
                "",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(folder.path().join("socket"))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server has to be installed: tests/run does that");
        // It says little more after that. Versions differ in what they say where.
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("eady to accept connections")), "it has ended");
        Self { process, folder }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(super) fn connect(&self) -> Connection {
        let url = format!("redis+unix://{}", self.socket().display());
        redis::Client::open(url).unwrap().get_connection().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
