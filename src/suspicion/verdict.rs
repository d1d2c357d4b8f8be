//! From reasons to what they come to: the rule, without any state.

use super::config::SuspicionConfig;
use super::reason::{Reason, faded};

/// No hold is made shorter than this for anybody, in seconds.
pub const SHORTEST_S: i32 = 60;
/// Of what others did behind a prefix so much counts, and never more than their own points.
const SHARED_PART: f64 = 0.5;
/// What is less than this is no reason that one would name.
const NAMED_FROM: f64 = 0.1;

/// One reason on somebody's record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// What.
    pub reason: Reason,
    /// As of `at_s`.
    pub points: f64,
    /// Unix seconds.
    pub at_s: i64,
}

/// What an organizer has decided.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Override {
    /// Nothing counts against them.
    Trust,
    /// They may hold nothing.
    Block,
}

impl Override {
    /// As in the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Block => "block",
        }
    }

    /// From its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Trust, Self::Block].into_iter().find(|known| known.word() == word)
    }
}

/// What is on one subject's record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Its reasons.
    pub entries: Vec<Entry>,
    /// What was decided.
    pub decided: Option<Override>,
}

/// The records of everything that a buyer can be known by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// Of the account.
    pub account: Record,
    /// Of the device.
    pub device: Record,
    /// Of the address prefix.
    pub prefix: Record,
}

/// How long holds last, of what they would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lasting {
    /// All of it.
    #[default]
    Full,
    /// Half.
    Half,
    /// A quarter.
    Quarter,
}

impl Lasting {
    /// So many seconds of `seconds`; never less than a minute, unless they were less before.
    #[must_use]
    pub fn of(self, seconds: i32) -> i32 {
        let part = match self {
            Self::Full => seconds,
            Self::Half => seconds / 2,
            Self::Quarter => seconds / 4,
        };
        part.max(SHORTEST_S).min(seconds)
    }
}

/// What it comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The sum.
    pub points: f64,
    /// The names of what counts against them, the weightiest first.
    pub reasons: Vec<&'static str>,
    /// How long holds last.
    pub lasting: Lasting,
    /// Seconds until the next hold, if there can be none now.
    pub wait_s: Option<u32>,
    /// An organizer lets them hold nothing.
    pub blocked: bool,
}

/// For and against one subject now.
fn sums(record: &Record, now_s: i64) -> (f64, f64) {
    let worth =
        |entry: &Entry| faded(entry.points, entry.reason.terms().half_life_s, entry.at_s, now_s);
    record.entries.iter().map(worth).fold((0.0, 0.0), |(against, favour), points| {
        (against + points.max(0.0), favour + points.min(0.0))
    })
}

/// Judges a buyer.
///
/// Account and device are two views of one person: the worse of them counts, less what speaks
/// for either. The prefix adds to that, at most as much again; for who has done nothing it is
/// nothing.
#[must_use]
pub fn judge(config: &SuspicionConfig, records: &Records, now_s: i64) -> Verdict {
    let Records { account, device, prefix } = records;
    let own = [account, device];
    if own.iter().any(|record| record.decided == Some(Override::Block)) {
        return Verdict {
            blocked: true,
            reasons: vec!["blocked_by_organizer"],
            ..named(records, now_s)
        };
    }
    if own.iter().any(|record| record.decided == Some(Override::Trust)) {
        return Verdict::default();
    }
    let [(by_account, for_account), (by_device, for_device)] = own.map(|one| sums(one, now_s));
    let against = by_account.max(by_device);
    let personal = (against + for_account.min(for_device)).max(0.0);
    let trusted = prefix.decided == Some(Override::Trust);
    let (by_prefix, _) = if trusted { (0.0, 0.0) } else { sums(prefix, now_s) };
    // What they did themselves is on the prefix's record as well: that must not count twice.
    let by_others = (by_prefix - against).max(0.0);
    let points = personal + (by_others * SHARED_PART).min(personal);
    let lasting = match points {
        points if points >= config.quarter_from => Lasting::Quarter,
        points if points >= config.half_from => Lasting::Half,
        _ => Lasting::Full,
    };
    let wait_s =
        if points >= config.cooldown_from { wait_s(config, points, own, now_s) } else { None };
    if points <= 0.0 {
        return Verdict::default();
    }
    Verdict { points, lasting, wait_s, ..named(records, now_s) }
}

/// How long still, counted from what counted last.
fn wait_s(config: &SuspicionConfig, points: f64, own: [&Record; 2], now_s: i64) -> Option<u32> {
    let further = (points - config.cooldown_from).floor().clamp(0.0, 20.0);
    let whole = f64::from(config.cooldown_s) * further.exp2();
    let whole = whole.min(f64::from(config.cooldown_max_s)) as i64;
    let against = own.into_iter().flat_map(|record| &record.entries);
    let last_s = against.filter(|entry| entry.points > 0.0).map(|entry| entry.at_s).max()?;
    let left = last_s.min(now_s).saturating_add(whole) - now_s;
    u32::try_from(left).ok().filter(|left| *left > 0)
}

/// The names of what counts.
fn named(records: &Records, now_s: i64) -> Verdict {
    let all = [&records.account, &records.device, &records.prefix];
    let mut named: Vec<(f64, &'static str)> = Vec::new();
    for entry in all.into_iter().flat_map(|record| &record.entries) {
        let terms = entry.reason.terms();
        let points = faded(entry.points, terms.half_life_s, entry.at_s, now_s);
        match named.iter_mut().find(|(_, word)| *word == terms.word) {
            Some(known) => known.0 = known.0.max(points),
            None => named.push((points, terms.word)),
        }
    }
    named.retain(|(points, _)| *points >= NAMED_FROM);
    named.sort_by(|a, b| b.0.total_cmp(&a.0));
    Verdict { reasons: named.into_iter().map(|(_, word)| word).collect(), ..Verdict::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn record(entries: &[(Reason, f64)]) -> Record {
        let entry = |(reason, points): &(Reason, f64)| Entry {
            reason: *reason,
            points: *points,
            at_s: NOW_S,
        };
        Record { entries: entries.iter().map(entry).collect(), decided: None }
    }

    fn judged(account: &Record, device: &Record, prefix: &Record, now_s: i64) -> Verdict {
        let records =
            Records { account: account.clone(), device: device.clone(), prefix: prefix.clone() };
        judge(&SuspicionConfig::default(), &records, now_s)
    }

    #[test]
    fn a_prefix_alone_is_nothing() {
        let none = Record::default();
        let crowd = record(&[(Reason::ManyHolds, 10.0), (Reason::HoldExpired, 20.0)]);
        assert_eq!(judged(&none, &none, &crowd, NOW_S), Verdict::default());
        // Their own part of the prefix's record is theirs already.
        let alone = record(&[(Reason::HoldExpired, 3.0)]);
        assert_eq!(judged(&alone, &none, &alone, NOW_S).points, 3.0);
        // Who did a little is not treated as who did much, whatever the neighbours do.
        let once = record(&[(Reason::HoldExpired, 1.0)]);
        let verdict = judged(&once, &none, &crowd, NOW_S);
        assert_eq!((verdict.points, verdict.wait_s), (2.0, None));
    }

    #[test]
    fn the_worse_of_account_and_device_counts_and_not_their_sum() {
        let (none, three) = (Record::default(), record(&[(Reason::HoldExpired, 3.0)]));
        for (account, device) in [(&three, &none), (&none, &three), (&three, &three)] {
            let verdict = judged(account, device, &none, NOW_S);
            assert_eq!(verdict.points, 3.0);
            assert_eq!(verdict.lasting, Lasting::Quarter);
        }
    }

    #[test]
    fn suspicion_grows_from_shorter_holds_to_a_wait_and_fades() {
        let none = Record::default();
        let after = |expired: f64, later_s: i64| {
            judged(&record(&[(Reason::HoldExpired, expired)]), &none, &none, NOW_S + later_s)
        };
        assert_eq!(after(1.0, 0).lasting, Lasting::Full);
        assert_eq!(after(2.0, 0).lasting, Lasting::Half);
        assert_eq!(after(4.0, 0).wait_s, None);
        let five = after(5.0, 0);
        assert_eq!((five.wait_s, five.reasons), (Some(60), vec!["hold_expired_unpaid"]));
        assert_eq!(after(5.0, 59).wait_s, Some(1));
        assert_eq!(after(5.0, 60).wait_s, None);
        assert_eq!(after(5.0, 60).lasting, Lasting::Quarter);
        assert_eq!(after(6.0, 0).wait_s, Some(120));
        assert_eq!(after(20.0, 0).wait_s, Some(900));
        assert_eq!(after(5.0, 8 * 3_600).lasting, Lasting::Full);
    }

    #[test]
    fn signing_in_and_paying_help_at_once() {
        let none = Record::default();
        let mut expired = record(&[(Reason::HoldExpired, 5.0)]);
        let signed_in = record(&[(Reason::SignedIn, -1.0)]);
        assert_eq!(judged(&expired, &signed_in, &none, NOW_S).wait_s, None);
        expired.entries.extend(record(&[(Reason::Paid, -6.0)]).entries);
        assert_eq!(judged(&expired, &none, &none, NOW_S), Verdict::default());
    }

    #[test]
    fn an_organizer_has_the_last_word() {
        let none = Record::default();
        let guilty = record(&[(Reason::HoldExpired, 20.0)]);
        let trusted = Record { decided: Some(Override::Trust), ..Record::default() };
        let blocked = Record { decided: Some(Override::Block), ..Record::default() };
        assert_eq!(judged(&guilty, &trusted, &none, NOW_S), Verdict::default());
        let verdict = judged(&none, &blocked, &none, NOW_S);
        assert!(verdict.blocked && verdict.reasons == ["blocked_by_organizer"]);
        // Nobody is refused for where they live.
        assert!(!judged(&none, &none, &blocked, NOW_S).blocked);
    }

    #[test]
    fn no_hold_is_shorter_than_a_minute_or_longer_than_it_was() {
        assert_eq!([480, 100, 30].map(|s| Lasting::Half.of(s)), [240, 60, 30]);
        assert_eq!([480, 100, 30].map(|s| Lasting::Quarter.of(s)), [120, 60, 30]);
        assert_eq!([480, 100, 30].map(|s| Lasting::Full.of(s)), [480, 100, 30]);
    }
}
