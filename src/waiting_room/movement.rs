//! How a line moves: where it stands after what Redis has counted, or lost, and how far it goes
//! when people are called. Without any state.

use std::collections::HashMap;

use super::line::Counted;
use super::store::Advance;
use super::{DRAWN, Lane};

/// The lane with what Redis has counted since.
pub(crate) fn caught_up(lane: &Lane, counted: Option<Counted>) -> Advance {
    let mut now = Advance {
        lane: lane.number,
        serving: lane.serving,
        called: lane.called,
        joined: lane.joined,
        joined_base: lane.joined_base,
        numbered: lane.numbered,
    };
    let Some(counted) = counted else { return now };
    // A count that fell was begun anew: Redis was lost. What it had counted stays.
    let since = lane.joined - lane.joined_base;
    if counted.joined + since / 10 < since {
        now.joined_base = lane.joined;
    }
    now.joined = lane.joined.max(now.joined_base + counted.joined);
    now.numbered = lane.numbered.max(counted.next);
    now
}

/// Where the numbers go on that were not lost with Redis, if some may have been: those between
/// the last one that was seen and this are hardly anybody's. `uncounted` is for the next look: the
/// ceilings of lanes for which Redis had no counter.
pub(crate) fn lost(
    lane: &Lane,
    counted: Counted,
    uncounted: &mut HashMap<i16, i64>,
) -> Option<i64> {
    if counted.next > 0 {
        uncounted.remove(&lane.number);
        return Some(counted.first).filter(|first| lane.numbered < *first);
    }
    // Nobody has joined since, and perhaps nobody will: who joined just before was never seen,
    // and waits below the ceiling. Seen twice, so that a reserve on its way to Redis isn't taken
    // for a lost one.
    let twice = uncounted.insert(lane.number, lane.ceiling) == Some(lane.ceiling);
    Some(lane.ceiling).filter(|ceiling| twice && lane.numbered < *ceiling)
}

/// The line doesn't stop for lost numbers, which are from `seen` on to where it `goes_on`. It
/// comes to the end of those before them first: until then the new ones aren't counted in, or the
/// lost ones between would be taken for people.
pub(crate) fn skip(now: &mut Advance, seen: i64, goes_on: i64, open: bool) {
    if open && now.serving >= seen {
        now.serving = now.serving.max(goes_on);
        now.numbered = now.numbered.max(goes_on);
    } else {
        now.numbered = seen;
    }
}

/// How far `people` move a line in which `waiting` wait: where to, and about how many that calls.
pub(crate) fn moved(now: &Advance, people: f64, waiting: f64) -> (i64, f64) {
    let mut serving = now.serving;
    let mut called = 0.0;
    if serving < DRAWN {
        let left = (DRAWN - serving) as f64 / DRAWN as f64 * now.joined as f64;
        // The last one of the draw, or nobody in it: the late-comers are next.
        if left - people < 0.5 {
            called = left.max(0.0);
            serving = DRAWN;
        } else {
            let step = people / now.joined.max(1) as f64 * DRAWN as f64;
            return (serving + step as i64, people);
        }
    }
    let whole = (people - called).floor().max(0.0).min(waiting) as i64;
    let to = (serving + whole).min(now.numbered.max(serving));
    (to, called + (to - serving) as f64)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ids::EventId;

    /// Where a lane stands after a look at what Redis says, behind all who were drawn.
    fn seen(
        lane: &Lane,
        counted: Counted,
        memory: &mut HashMap<i16, i64>,
        open: bool,
    ) -> (i64, i64) {
        let mut now = caught_up(lane, Some(counted));
        if let Some(goes_on) = lost(lane, counted, memory) {
            skip(&mut now, lane.numbered, goes_on, open);
        }
        (now.serving - DRAWN, now.numbered - DRAWN)
    }

    #[test]
    fn lost_numbers_are_skipped_once_those_before_them_are_called() {
        let at = Timestamp::UNIX_EPOCH;
        let mut lane = Lane::general(EventId::fresh(), at, at, at);
        let memory = &mut HashMap::new();
        let says = |first, next| Counted { joined: 0, next: DRAWN + next, first: DRAWN + first };
        // 30 were given, 10 called: the new ones, from 1,000 on, wait for the other 20.
        (lane.numbered, lane.serving) = (DRAWN + 30, DRAWN + 10);
        assert_eq!(seen(&lane, says(0, 40), memory, true), (10, 40));
        assert_eq!(seen(&lane, says(1_000, 1_005), memory, true), (10, 30));
        lane.serving = DRAWN + 30;
        assert_eq!(seen(&lane, says(1_000, 1_005), memory, false), (30, 30));
        assert_eq!(seen(&lane, says(1_000, 1_005), memory, true), (1_000, 1_005));
        assert_eq!(caught_up(&lane, None).numbered, lane.numbered);
    }

    #[test]
    fn who_joined_just_before_redis_was_lost_is_called_though_nobody_joins_after_it() {
        let at = Timestamp::UNIX_EPOCH;
        let mut lane = Lane::general(EventId::fresh(), at, at, at);
        let (memory, nothing) = (&mut HashMap::new(), Counted::default());
        // The draw is over, and no number was ever given.
        lane.serving = DRAWN;
        assert_eq!(seen(&lane, nothing, memory, true), (0, 0));
        assert_eq!(seen(&lane, nothing, memory, true), (0, 0));
        (lane.numbered, lane.serving, lane.ceiling) = (DRAWN + 3, DRAWN + 3, DRAWN + 1_000);
        assert_eq!(seen(&lane, nothing, memory, true), (3, 3), "it may be on its way");
        assert_eq!(seen(&lane, nothing, memory, false), (3, 3), "nobody is called in a pause");
        assert_eq!(seen(&lane, nothing, memory, true), (1_000, 1_000));
        lane.serving = DRAWN + 2;
        assert_eq!(seen(&lane, nothing, memory, true), (2, 3), "one after the other");
    }
}
