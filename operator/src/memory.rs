//! Gives memory that is free back to the system.
//!
//! A list of a thousand objects, or a look at thirty databases at once, takes megabytes for a moment. The C library
//! keeps what is freed in the middle of its heap for the next such moment; an operator mostly waits for it.

/// Gives free memory back. A millisecond of work, for ten thousand databases a few.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    #[expect(unsafe_code, reason = "the C library has no safe name for it")]
    // SAFETY: malloc_trim(3) may be called at any time, from any thread, and touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give it back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
