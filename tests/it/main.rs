//! The whole path in virtual time: real layers, real HTTP over in-memory pipes, no socket.
