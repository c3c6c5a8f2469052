//! The sums of digests. Each is named in many places of a registry: so it is held once, as long as the program runs.

use std::collections::HashSet;
use std::mem;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Sums of one length, each once, next to each other.
pub(super) struct Held<const LENGTH: usize>(LazyLock<Mutex<Sums<LENGTH>>>);

#[derive(Default)]
struct Sums<const LENGTH: usize> {
    known: HashSet<&'static [u8; LENGTH]>,
    room: &'static mut [[u8; LENGTH]],
}

impl<const LENGTH: usize> Held<LENGTH> {
    const AT_ONCE: usize = 512;

    pub(super) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    pub(super) fn hold(&self, sum: [u8; LENGTH]) -> &'static [u8; LENGTH] {
        // A thread that panicked here left everything as it was.
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sums.known.get(&sum) {
            return known;
        }
        if sums.room.is_empty() {
            sums.room = vec![[0; LENGTH]; Self::AT_ONCE].leak();
        }
        let Some((place, rest)) = mem::take(&mut sums.room).split_first_mut() else {
            unreachable!("there is room");
        };
        *place = sum;
        sums.room = rest;
        sums.known.insert(place);
        place
    }
}
