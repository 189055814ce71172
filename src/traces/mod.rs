//! Traces of calls, sent to an OpenTelemetry collector.
//!
//! What a traced call meets is kept with its [record](crate::call::trace). When it is answered, it goes into a
//! bounded queue, from which a thread of its own makes [spans](spans) and [posts](export) them. A call never
//! waits for any of this: where the queue is full, or nobody takes the spans, they are dropped and counted. A
//! call that is not traced costs a comparison wherever something would be kept.

mod export;
mod metrics;
mod spans;

use std::{io, sync::Arc, thread};

use aws_lc_rs::rand;
use config::Traces;
use http::{Method, StatusCode};
use tokio::{runtime, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use self::export::Exporter;
pub use self::metrics::TraceMetrics;
use crate::{
    call::{ids::Ids, record::Record, trace::Trace},
    outbound::upstream::reach::Connects,
};

/// Traces calls, if the operator says so. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    on: Option<Arc<On>>,
}

#[derive(Debug)]
struct On {
    /// A trace whose last eight bytes are less than that is sampled.
    below: u64,
    queue: mpsc::Sender<Ended>,
    metrics: TraceMetrics,
}

/// A call that has been answered, or whose client is gone.
#[derive(Debug)]
pub struct Ended {
    /// What is told of it.
    pub record: Arc<Record>,
    /// The verb of its request.
    pub verb: Method,
    /// What may be shown of its path.
    pub path: String,
    /// What its client got; nothing if that is gone, or saw its connection end.
    pub status: Option<StatusCode>,
    /// Why it was answered without being sent.
    pub why: Option<&'static str>,
    /// When.
    pub at: Instant,
}

/// So many calls wait to be told of.
const QUEUE: usize = 2048;

// === impl Tracer ===

impl Tracer {
    /// What a call keeps from now on, if it is traced: as its caller decided, where that is part of a trace, and
    /// else so many as the operator wants.
    ///
    /// <https://www.w3.org/TR/trace-context/#sampled-flag>
    pub fn begin(&self, ids: &Ids) -> Option<Box<Trace>> {
        let on = self.on.as_ref()?;
        if let Some(parent) = ids.parent() {
            return parent.sampled.then(|| Box::new(Trace::new(parent.trace, Some(parent))));
        }
        let mut id = [0; 16];
        rand::fill(&mut id).ok()?;
        // As the samplers of OpenTelemetry decide, so that one that comes later decides alike: by the last eight
        // bytes, without their last bit.
        let last = u128::from_be_bytes(id) & u128::from(u64::MAX);
        let sampled = last >> 1 < on.below.into();
        sampled.then(|| Box::new(Trace::new(id, None)))
    }

    /// A traced call has been answered.
    pub fn end(&self, ended: impl FnOnce() -> Ended) {
        let Some(on) = &self.on else { return };
        if let Err(full) = on.queue.try_send(ended()) {
            let (mpsc::error::TrySendError::Full(ended) | mpsc::error::TrySendError::Closed(ended)) =
                full;
            on.metrics.queue_full(spans::count(&ended));
        }
    }
}

/// Traces calls from now on. The thread that sends what there is to send ends with `end`, when it has tried to
/// send the rest.
///
/// # Errors
/// If there can be no thread.
pub fn start<C>(
    traces: &Traces,
    metrics: &TraceMetrics,
    connector: C,
    end: CancellationToken,
) -> io::Result<(Tracer, thread::JoinHandle<()>)>
where
    C: Connects,
    C::Future: Unpin,
{
    let (queue, ended) = mpsc::channel(QUEUE);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let exporter = Exporter::new(traces.url.clone(), metrics.clone(), connector);
    let thread = thread::Builder::new().name("traces".into()).spawn(move || {
        runtime.block_on(exporter.run(ended, end));
        runtime.shutdown_background();
    })?;
    let on = On { below: below(traces.sample), queue, metrics: metrics.clone() };
    Ok((Tracer { on: Some(Arc::new(on)) }, thread))
}

/// The part of all numbers of 63 bits that is as large as that part of 1.
fn below(sample: f64) -> u64 {
    const ALL: u64 = 1 << 63;
    if sample >= 1.0 {
        return ALL;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 2^63, and a part in 2^53 does not matter"
    )]
    let below = (sample * ALL as f64) as u64;
    below
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;
    use crate::metrics::Registry;

    fn tracer(sample: f64) -> (Tracer, mpsc::Receiver<Ended>) {
        let (queue, ended) = mpsc::channel(2);
        let metrics = TraceMetrics::register(&Registry::default()).unwrap();
        let on = On { below: below(sample), queue, metrics };
        (Tracer { on: Some(Arc::new(on)) }, ended)
    }

    fn ids(parent: &str) -> Ids {
        let name = HeaderName::from_static("traceparent");
        Ids::of(&HeaderMap::from_iter([(name, parent.parse().unwrap())]))
    }

    /// Red when the part is another one, and when all or none are traced whatever is said.
    #[test]
    fn so_many_are_traced_as_is_said() {
        for (sample, least, most) in [(1.0, 1000, 1000), (0.3, 200, 400), (1e-9, 0, 1)] {
            let (tracer, _ended) = tracer(sample);
            let many = (0..1000).filter(|_| tracer.begin(&Ids::default()).is_some()).count();
            assert!((least..=most).contains(&many), "{many} at {sample}");
        }
        assert!(Tracer::default().begin(&Ids::default()).is_none(), "off");
    }

    /// Red when a trace that is not sampled is continued, when one that is gets lost, or another id.
    #[test]
    fn a_parents_decision_counts() {
        let parent =
            |flags| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let (tracer, _ended) = tracer(1e-9);
        let trace = tracer.begin(&ids(&parent("01"))).unwrap();
        assert_eq!(trace.id[..2], [0x0a, 0xf7]);
        assert_eq!(trace.parent.unwrap().span[6..], [0x33, 0x31]);
        let (tracer, _ended) = self::tracer(1.0);
        assert!(tracer.begin(&ids(&parent("00"))).is_none());
        assert!(tracer.begin(&ids("nonsense")).unwrap().parent.is_none());
    }

    /// Red when a call waits for room, and when what is dropped is not counted.
    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let (tracer, _ended) = tracer(1.0);
        let on = Arc::clone(tracer.on.as_ref().unwrap());
        for _ in 0..5 {
            let trace = tracer.begin(&Ids::default());
            let record = Arc::new(Record::of(Ids::default()).traced(trace));
            let (verb, path, at) = (Method::POST, String::new(), Instant::now());
            tracer.end(|| Ended { record, verb, path, status: None, why: None, at });
        }
        assert_eq!(on.metrics.counted("queue_full"), 3);
    }
}
