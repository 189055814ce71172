//! The end of a traced call, however it ends: it is told of when it is answered, and when its client goes before
//! that.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::shown_path::shown;
use crate::{
    call::record::Record,
    traces::{Ended, Tracer},
};

/// Tells of a traced call when it is dropped.
pub(super) struct Ending<'t> {
    tracer: &'t Tracer,
    record: Arc<Record>,
    verb: Method,
    path: String,
    /// What the client got.
    pub(super) status: Option<StatusCode>,
    /// Why the call was answered without being sent.
    pub(super) why: Option<&'static str>,
}

// === impl Ending ===

impl<'t> Ending<'t> {
    /// That of a request, if its call is traced.
    pub(super) fn of<B>(
        tracer: &'t Tracer,
        record: &Arc<Record>,
        request: &Request<B>,
    ) -> Option<Self> {
        record.trace()?;
        Some(Self {
            tracer,
            record: Arc::clone(record),
            verb: request.method().clone(),
            path: shown(request.uri().path()),
            status: None,
            why: None,
        })
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let Self { tracer, record, verb, path, status, why } = self;
        tracer.end(|| Ended {
            record: Arc::clone(record),
            verb: verb.clone(),
            path: std::mem::take(path),
            status: *status,
            why: *why,
            at: Instant::now(),
        });
    }
}
