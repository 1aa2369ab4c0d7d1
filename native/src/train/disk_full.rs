//! A full disk stops no run: it waits until there is room again, or until it is asked to stop.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Result;

use super::interrupt;

/// First wait; each is twice the one before, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks whether somebody asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The run was asked to stop while it waited.
#[derive(Debug, thiserror::Error)]
#[error("asked to stop while the disk was full")]
pub struct Interrupted;

/// Tries until there is room; `say` hears what is in the way and how long the wait is.
///
/// # Errors
/// [`Interrupted`], or any failure of `attempt` that is not for want of room.
pub fn wait_for_room<T>(say: impl Fn(String), mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match attempt() {
            Err(error) if is_full(&error) => error,
            result => return result,
        };
        say(format!("the disk is full ({error:#}): free some space; trying again in {} s, Ctrl-C stops the run", wait.as_secs()));
        let mut left = wait;
        while !left.is_zero() {
            if interrupt::requested() {
                return Err(Interrupted.into());
            }
            std::thread::sleep(LOOK_EVERY.min(left));
            left = left.saturating_sub(LOOK_EVERY);
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    kinds.into_iter().any(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn it_tries_again_when_the_disk_was_full_and_only_then() {
        let (attempts, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let full = || std::io::Error::from(ErrorKind::StorageFull);
        let result = wait_for_room(
            |line| told.borrow_mut().push(line),
            || {
                attempts.set(attempts.get() + 1);
                if attempts.get() == 1 { Err(full()).context("cannot write x") } else { Ok(7) }
            },
        );
        assert_eq!((result.unwrap(), attempts.get()), (7, 2));
        assert!(told.borrow()[0].contains("cannot write x") && told.borrow()[0].contains("again in 1 s"), "{told:?}");
        assert!(wait_for_room(|_| (), || -> Result<()> { Err(anyhow!("other")) }).is_err());
    }
}
