//! Gives free memory back to the system. It has the only unsafe code of slackwater: one call of the C library.

/// Gives the free pages of the heap back to the system, where the C library keeps them: glibc gives back only
/// what is free at the end of its heap, and after a flood something is nearly always behind it.
///
/// It takes longer the more is free, and other threads may wait for memory meanwhile.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate has a safe function for it")]
pub fn give_back() {
    // SAFETY: it takes no pointer, and may be called at any time by any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries are left alone.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
