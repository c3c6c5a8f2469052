//! What a round does, drawn at random.

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const MODES: [&str; 3] = ["offline", "read-only", "live"];
const COMMANDS: [Command; 3] = [Command::Gc, Command::Rm, Command::Prune];
const NEXT: [Next; 3] = [Next::Ls, Next::Recover, Next::SameAgain];
pub(crate) const ONE_OFFS: [&str; 4] = ["dry", "sweep", "tidy", "stand-in"];
const CHANGES: [Change; 3] = [Change::Appears, Change::Starts, Change::Ends];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Gc,
    Rm,
    Prune,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Appears,
    Starts,
    Ends,
}

/// When the command is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point {
    After(Duration),
    OneOff(&'static str, Change),
}

/// What is typed next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    Ls,
    Recover,
    SameAgain,
}

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) mode: &'static str,
    pub(crate) command: Command,
    pub(crate) point: Point,
    pub(crate) next: Next,
}

/// `SplitMix64`: a seed gives the same choices everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let position = self.below(choices.len() as u64);
        choices[usize::try_from(position).expect("a position")]
    }
}

impl Round {
    pub(crate) fn drawn(random: &mut Random, happy: &BTreeMap<&str, Duration>) -> Self {
        let mode = random.of(&MODES);
        let point = if random.below(3) == 0 {
            // There is no stand-in in the other modes, and the one-offs of a live collection are never started.
            let (roles, changes) = match mode {
                "offline" => (&ONE_OFFS[..3], &CHANGES[..]),
                "read-only" => (&ONE_OFFS[..], &CHANGES[..]),
                _ => (&ONE_OFFS[..2], &CHANGES[..1]),
            };
            Point::OneOff(random.of(roles), random.of(changes))
        } else {
            let longest = u64::try_from(happy[mode].as_micros()).expect("a few seconds");
            Point::After(Duration::from_micros(random.below(longest)))
        };
        Self { mode, command: random.of(&COMMANDS), point, next: random.of(&NEXT) }
    }
}
