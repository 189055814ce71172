//! A step of a call's way.
//!
//! tower calls a service by `&mut self`, because it may have something to be ready for. A
//! layer that waits before it calls what is below it then has to take a clone of all of that
//! along, for every call, and to box its future. Nothing below [`respond`](crate::respond) is
//! ever unready: whatever waits, waits in its call. So from there on layers are still tower's,
//! but what they make is called by `&self`, is shared by all calls, and is one future.

/// One step of a call's way, with all steps below it.
pub trait Step<Request>: Send + Sync {
    /// What comes back.
    type Response;
    /// Why nothing comes back.
    type Error;

    /// Takes a request this step, and those below it. Each call is by itself; none waits for
    /// another.
    fn call(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
