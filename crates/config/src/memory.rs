//! `memory`: how much the process may take, and what each part of it gets.
//!
//! One figure, of the file or else of the container, is divided:
//!
//! - so much is there without any call, and an eighth is for what the allocator cannot use again;
//! - half of the rest is for connections, each with the call that it most likely has;
//! - a quarter is for the bytes of calls, `queue.max_bytes`;
//! - an eighth is for buckets, and what is left for responses and readers of the operators' listener.
//!
//! What answers may be remembered (`reads.cache.bytes`) is taken before that.
//!
//! What the file says of a part stands, and then the sum has to fit. The container's figure only lowers
//! defaults: where a process is alone on a machine, all of it is no reason to hold more.

use std::path::{Path, PathBuf};

use yaml::{Cursor, Report};

use super::{Config, Outside, QueueBounds};

/// How much memory the process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In bytes.
    pub bytes: usize,
    /// Whether the file says so; else the container has no more.
    pub is_configured: bool,
    /// Whether it says what `queue.max_bytes` is, because the file does not.
    pub gives_bytes: bool,
}

/// What is there without any call: 9.5 MiB at rest, and the operators' listener.
const REST: usize = 16 << 20;
/// A connection: 26 KiB while its request arrives. A call beside that: 9 KiB.
const CONNECTION: usize = 36 << 10;
/// What TLS adds to it.
const SECURED: usize = 10 << 10;
/// A bucket with its names and one slot: 418 B.
const BUCKET: usize = 512;
/// Less is not enough for a bot.
const LEAST: usize = 32 << 20;
/// No share is less, however large what the file says of the others.
const FEWEST: usize = 64;
const FEWEST_BYTES: usize = 4 << 20;
/// From here on version 1 of control groups means that there is no limit.
const NO_LIMIT: usize = 1 << 60;

/// Reads `memory`, or asks for the container's, and gives each part of the queue its share that the file
/// does not give it.
pub(super) fn read(
    config: &mut Config,
    root: Cursor<'_>,
    machine: &dyn Outside,
    report: &mut Report,
) {
    let queue = root.get("queue");
    let is_said = |key| queue.and_then(|queue| queue.get(key)).is_some();
    let gives_bytes = !is_said("max_bytes");
    let at = root.get("memory");
    let said = at.and_then(|at| Some((at, at.read_size(report)?)));
    let memory = match (at, said) {
        (Some(_), None) => return,
        (_, Some((at, bytes))) if bytes < LEAST => {
            report.add(at, format!("is less than slackwater needs; write {} or more", mib(LEAST)));
            return;
        }
        (_, Some((_, bytes))) => Memory { bytes, is_configured: true, gives_bytes },
        (None, None) => match of_container(machine) {
            Some(bytes) => Memory { bytes, is_configured: false, gives_bytes },
            None => return,
        },
    };
    config.memory = Some(memory);
    memory.share_out(config, is_said("max_total"));
    if let Some((at, _)) = said
        && let Some(text) = memory.does_not_fit(config)
    {
        report.add(at, text);
    }
}

/// What the container has, or the service: the least that a control group around this process allows.
fn of_container(machine: &dyn Outside) -> Option<usize> {
    let text = |path: &Path| String::from_utf8(machine.file(path).ok()?).ok();
    let groups = text(Path::new("/proc/self/cgroup"))?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|it| it == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        // A container may see its own group as the root, whatever it is called outside.
        let mut folder = PathBuf::from(root).join(group.trim_start_matches('/'));
        let mut least: Option<usize> = None;
        while folder.starts_with(root) {
            let limit = text(&folder.join(file)).and_then(|text| text.trim().parse().ok());
            least = least.into_iter().chain(limit).min();
            folder.pop();
        }
        least
    });
    limits.filter(|limit| *limit < NO_LIMIT).min()
}

/// What a connection takes with a call.
fn connection(config: &Config) -> usize {
    CONNECTION + if config.listen_tls.is_some() { SECURED } else { 0 }
}

/// What remembered answers may take.
fn remembered(config: &Config) -> usize {
    config.reads.cache.as_ref().map_or(0, |cache| cache.bytes)
}

fn mib(bytes: usize) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

// === impl Memory ===

impl Memory {
    /// Gives each part that the file does not name its share.
    fn share_out(self, config: &mut Config, total_is_said: bool) {
        let (connection, remembered) = (connection(config), remembered(config));
        let queue = &mut config.queue;
        let free = self.bytes.max(LEAST);
        let free = (free - free / 8).saturating_sub(REST).saturating_sub(remembered);
        let most = |default: usize, share: usize| {
            if self.is_configured { share } else { share.min(default) }
        };
        if !total_is_said {
            let bytes = if self.gives_bytes { 0 } else { queue.max_bytes };
            let at_once = (free / 2).min(free.saturating_sub(bytes) / 2) / connection;
            let at_once = most(queue.at_once(), at_once).max(FEWEST);
            // Some are for calls that are read or in flight, and for connections that are idle.
            queue.spare = QueueBounds::SPARE.min(at_once / 4);
            queue.max_total = at_once - queue.spare;
        }
        let mut left = free.saturating_sub(queue.at_once().saturating_mul(connection));
        if self.gives_bytes {
            queue.max_bytes = most(queue.max_bytes, (free / 4).min(left / 2)).max(FEWEST_BYTES);
        }
        left = left.saturating_sub(queue.max_bytes);
        queue.max_buckets = most(queue.max_buckets, (free / 8).min(left) / BUCKET).max(FEWEST);
    }

    /// What is to be changed, if the parts are more than there is.
    pub fn does_not_fit(self, config: &Config) -> Option<String> {
        let queue = &config.queue;
        let connections = queue.at_once().saturating_mul(connection(config));
        let parts = connections
            .saturating_add(queue.max_bytes)
            .saturating_add(queue.max_buckets.saturating_mul(BUCKET))
            .saturating_add(remembered(config))
            .saturating_add(REST);
        let needed = parts.saturating_add(parts / 7);
        (needed > self.bytes).then(|| {
            format!(
                "is less than its parts need: {} for {} connections with a call each (queue.max_total and \
                 {} more), {} of queue.max_bytes, {} for all else; lower queue.max_total{} or \
                 queue.max_bytes, or write {}",
                mib(connections),
                queue.at_once(),
                queue.spare,
                mib(queue.max_bytes),
                mib(needed.saturating_sub(connections).saturating_sub(queue.max_bytes)),
                if config.reads.cache.is_some() { ", reads.cache.bytes" } else { "" },
                mib(needed),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, io};

    use super::*;
    use crate::check_on;

    /// A machine with these files.
    struct Files(HashMap<&'static str, &'static str>);

    impl Outside for Files {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
            let found = path.to_str().and_then(|path| self.0.get(path));
            let text = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            Ok(text.as_bytes().to_vec())
        }
    }

    fn files<const N: usize>(files: [(&'static str, &'static str); N]) -> Files {
        Files(HashMap::from(files))
    }

    fn queue(text: &str, machine: &dyn Outside) -> QueueBounds {
        check_on(machine, text, "test").unwrap().queue
    }

    /// Red when one of the two versions is not read, when a group above has no say, when the group is looked
    /// for where a container does not see it, and when a number that means no limit is one.
    #[test]
    fn the_containers_limit_is_read() {
        let v1 = "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n";
        for (machine, limit) in [
            (files([]), None),
            (files([("/proc/self/cgroup", "0::/\n")]), None),
            (
                files([("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")]),
                None,
            ),
            (
                files([
                    ("/proc/self/cgroup", "0::/\n"),
                    ("/sys/fs/cgroup/memory.max", "201326592\n"),
                ]),
                Some(201_326_592),
            ),
            (
                files([
                    ("/proc/self/cgroup", "0::/system.slice/x.service\n"),
                    ("/sys/fs/cgroup/system.slice/x.service/memory.max", "max\n"),
                    ("/sys/fs/cgroup/system.slice/memory.max", "134217728\n"),
                ]),
                Some(134_217_728),
            ),
            (
                files([
                    ("/proc/self/cgroup", v1),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n"),
                ]),
                Some(67_108_864),
            ),
            (
                files([
                    ("/proc/self/cgroup", v1),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ]),
                None,
            ),
        ] {
            assert_eq!(of_container(&machine), limit, "{:?}", machine.0);
        }
    }

    /// Red when a share is not part of the figure, and when what the file says is none of it.
    #[test]
    fn all_parts_fit_into_the_memory() {
        for bytes in [32, 64, 128, 192, 768, 4096] {
            // What does not fit is a problem.
            let queue = queue(&format!("memory: {bytes}MiB"), &files([]));
            assert!(queue.max_total > 100 && queue.max_bytes > 1 << 20, "{queue:?}");
        }
        let queue =
            queue("{ memory: 192MiB, queue: { max_total: 2000, max_bytes: 16MiB } }", &files([]));
        assert_eq!((queue.max_total, queue.at_once(), queue.max_bytes), (2000, 3024, 16 << 20));
    }

    /// Red when the sum is not looked at, and when what the remedy says is too little.
    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        for parts in [
            "queue: { max_total: 5000 }",
            "queue: { max_bytes: 120MiB }",
            "queue: { max_total: 1000, max_bytes: 90MiB }",
            "queue: { max_total: 1000, max_bytes: 16MiB }\nreads: { cache: { bytes: 60MiB } }",
        ] {
            let check = |memory: &str| {
                let text = format!("memory: {memory}\n{parts}");
                check_on(&files([]), &text, "test").map_err(|problems| problems.to_string())
            };
            let told = check("128MiB").unwrap_err();
            assert!(told.contains("1:9: memory: is less than its parts need"), "{told}");
            let remedy = told.trim_end().rsplit(' ').next().unwrap();
            assert!(check(remedy).is_ok(), "{parts}: {remedy}, {:?}", check(remedy).err());
        }
    }

    /// Red when the container's memory is no reason to hold less, and when it is one to hold more.
    #[test]
    fn a_containers_memory_only_lowers_defaults() {
        let of =
            |limit| files([("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", limit)]);
        let (default, large) = (QueueBounds::default(), queue("", &of("1099511627776")));
        assert_eq!(large, default);
        let small = queue("", &of("134217728"));
        assert!(small.at_once() < 2000 && small.max_bytes < default.max_bytes, "{small:?}");
        assert!(small.max_buckets < default.max_buckets);
        // Whoever wrote these knows; the start warns.
        let said = queue("queue: { max_total: 50000 }", &of("134217728"));
        assert_eq!(said.max_total, 50_000);
    }
}
