//! Whether a run passed.

use std::collections::HashSet;

use super::report::Facts;
use super::shards::Shards;
use super::summary::Check;
use super::tally::{Ending, Step};

/// What is said of an audit that isn't clean.
pub const AUDIT_PROBLEM: &str = "the audit found violations";

/// The threshold of how much was sold.
pub const SOLD: &str = "places sold";

/// The scenario's thresholds, each with what was measured.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let (wanted, tally) = (&facts.scenario.thresholds, &facts.tally);
    let mut checks = Vec::new();
    let mut check = |held: bool, what: String, limit: String, was: String| {
        checks.push(Check { what, limit, was, held });
    };
    for (step, limits) in &wanted.latency {
        let times = &tally.steps[*step as usize].wanted;
        let shares = [(0.5, limits.p50_ms), (0.95, limits.p95_ms), (0.99, limits.p99_ms)];
        for (share, limit) in shares {
            let Some(limit) = limit else { continue };
            let ms = times.quantile(share).as_secs_f64() * 1e3;
            check(
                ms <= limit && times.count() > 0,
                format!("{} p{:.0}", step.name(), share * 100.0),
                format!("at most {limit} ms"),
                if times.count() > 0 { format!("{ms:.1} ms") } else { "never asked".to_owned() },
            );
        }
    }
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let sold = facts.drawer.as_ref().map_or(0, |drawer| drawer.postgres.sold);
    let sold = sold as f64 / f64::from(facts.capacity.max(1));
    check(
        sold >= wanted.sold_share,
        SOLD.to_owned(),
        format!("at least {}", percent(wanted.sold_share)),
        percent(sold),
    );
    let errors: u64 = tally.mistakes.values().sum();
    check(
        errors <= wanted.errors,
        "errors".to_owned(),
        format!("at most {}", wanted.errors),
        errors.to_string(),
    );
    let away = tally.fates.iter().filter(|fate| fate.ending == Ending::TurnedAway).count();
    let away = away as f64 / tally.fates.len().max(1) as f64;
    check(
        away <= wanted.turned_away_share,
        "turned away for good".to_owned(),
        format!("at most {}", percent(wanted.turned_away_share)),
        percent(away),
    );
    let bots = tally.fates.iter().filter(|fate| fate.persona.is_bot());
    let bots = bots.map(|fate| u64::from(fate.tickets)).sum::<u64>();
    let bots = bots as f64 / tally.places.max(1) as f64;
    if wanted.bots_share < 1.0 {
        check(
            bots <= wanted.bots_share,
            "tickets that bots got".to_owned(),
            format!("at most {}", percent(wanted.bots_share)),
            percent(bots),
        );
    }
    let (people, kept_out) = kept_out(facts);
    let out = kept_out as f64 / people.max(1) as f64;
    if wanted.people_kept_out < 1.0 {
        check(
            out <= wanted.people_kept_out,
            "people kept out".to_owned(),
            format!("at most {}", percent(wanted.people_kept_out)),
            percent(out),
        );
    }
    let late = facts.worst_late().p99_ms;
    check(
        late <= wanted.generator_late_p99_ms,
        "generator late, p99".to_owned(),
        format!("at most {} ms", wanted.generator_late_p99_ms),
        format!("{late:.1} ms"),
    );
    checks
}

/// How many people came, and how many of them were kept out by what is meant for bots.
fn kept_out(facts: &Facts) -> (usize, usize) {
    let people = || facts.tally.fates.iter().filter(|fate| !fate.persona.is_bot());
    let out = people().filter(|fate| {
        matches!(fate.ending, Ending::TurnedAway | Ending::SignInNeeded | Ending::Blocked)
    });
    (people().count(), out.count())
}

/// Everything that keeps the run from passing: what must always hold first.
pub fn problems(facts: &Facts, checks: &[Check]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |fine: bool, what: String| {
        if !fine {
            problems.push(what);
        }
    };
    let tally = &facts.tally;
    check(facts.audit.0, AUDIT_PROBLEM.to_owned());
    let missing = facts.shards.as_ref().map(Shards::missing).unwrap_or_default();
    check(missing.is_empty(), format!("nothing came from the generators {missing:?}"));
    match &facts.drawer {
        Some(drawer) => {
            let (pg, redis) = (&drawer.postgres, &drawer.redis);
            let fine = drawer.is_at_rest() && pg.sold == redis.sold;
            check(fine, format!("the drawer count: by Redis {redis:?}, by Postgres {pg:?}"));
            let (bought, lost) = (tally.places as u64, facts.gone.lost);
            // Who failed or paid too late may have tickets that they never saw.
            let unseen = tally.fates.iter().filter(|fate| {
                matches!(fate.ending, Ending::Failed | Ending::TurnedAway | Ending::TooLate)
            });
            let unseen = unseen.count() as u64 + lost;
            let fine = bought <= pg.sold && (bought == pg.sold || unseen > 0);
            check(fine, format!("buyers have {bought} tickets, {} were sold", pg.sold));
        }
        None => check(false, "the drawer count was not answered".to_owned()),
    }
    let mut places = HashSet::new();
    let twice = tally.sales.iter().flat_map(|sale| &sale.places);
    let twice: Vec<&i32> = twice.filter(|place| !places.insert(**place)).collect();
    check(twice.is_empty(), format!("two buyers have tickets for the same place: {twice:?}"));
    if let Err(left) = facts.drained {
        check(false, format!("{left} rows were left in outbox and mirror"));
    }
    let lost = facts.gone.lost;
    check(lost == 0, format!("{lost} visitors were still on their way at the end"));
    check(!facts.interrupted, "it was interrupted".to_owned());
    let unavailable = |step: Step| tally.steps[step as usize].wanted.count() == 0;
    check(!unavailable(Step::Session), "nobody came in".to_owned());
    for threshold in checks.iter().filter(|check| !check.held) {
        let super::summary::Check { what, limit, was, .. } = threshold;
        check(false, format!("{what}: {was}, {limit}"));
    }
    problems
}
