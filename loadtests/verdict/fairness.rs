//! Who got tickets, by the draw and by the order of arrival.

use super::summary::{Fairness, Tenth};
use super::tally::Fate;

/// People (no bots) who were in the draw.
pub fn fairness(fates: &[Fate]) -> Fairness {
    let drawn: Vec<(&Fate, f32)> = fates
        .iter()
        .filter(|fate| !fate.persona.is_bot())
        .filter_map(|fate| Some((fate, fate.rank?)))
        .collect();
    if drawn.is_empty() {
        return Fairness::default();
    }
    Fairness {
        by_rank: tenths(drawn.clone(), |(_, rank)| *rank),
        by_arrival: tenths(drawn.clone(), |(fate, _)| fate.came_s),
        arrival_to_rank: correlation(drawn.iter().map(|(fate, rank)| (fate.came_s, *rank))),
    }
}

fn tenths<'a>(
    mut people: Vec<(&'a Fate, f32)>,
    by: impl Fn(&(&'a Fate, f32)) -> f32,
) -> Vec<Tenth> {
    people.sort_by(|a, b| by(a).total_cmp(&by(b)));
    let all = people.len();
    (0..10)
        .map(|tenth| {
            let part = &people[all * tenth / 10..all * (tenth + 1) / 10];
            let count =
                |of: fn(&Fate) -> bool| part.iter().filter(|(fate, _)| of(fate)).count() as u64;
            Tenth {
                people: part.len() as u64,
                admitted: count(|fate| fate.admitted_s.is_some()),
                bought: count(|fate| fate.tickets > 0),
            }
        })
        .collect()
}

/// Pearson's; 0 where one of them doesn't vary.
fn correlation(pairs: impl Iterator<Item = (f32, f32)> + Clone) -> f64 {
    let count = pairs.clone().count().max(1) as f64;
    let mean = |of: fn((f32, f32)) -> f32| pairs.clone().map(|p| f64::from(of(p))).sum::<f64>();
    let (x, y) = (mean(|p| p.0) / count, mean(|p| p.1) / count);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (f64::from(a) - x, f64::from(b) - y);
        (xy, xx, yy) = (xy + a * b, xx + a * a, yy + b * b);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tally::Ending;
    use crate::visitors::persona::Persona;

    #[test]
    fn bots_are_left_out_and_tenths_are_in_order() {
        let fate = |at: u16| Fate {
            persona: if at % 10 == 9 { Persona::Scalper } else { Persona::Fan },
            ending: Ending::Bought,
            came_s: f32::from(at * 37 % 1_000),
            rank: Some(f32::from(at) / 1_000.0),
            admitted_s: Some(0.0),
            tickets: u32::from(at < 300),
        };
        let fates: Vec<Fate> = (0..1_000).map(fate).collect();
        let fairness = fairness(&fates);
        let bought: Vec<u64> = fairness.by_rank.iter().map(|tenth| tenth.bought).collect();
        assert_eq!(bought, [90, 90, 90, 0, 0, 0, 0, 0, 0, 0]);
        assert!(fairness.by_arrival.iter().all(|tenth| (20..35).contains(&tenth.bought)));
        assert!(fairness.arrival_to_rank.abs() < 0.1);
        let line = [(0.0, 0.0), (1.0, 2.0), (2.0, 4.0)];
        assert!((correlation(line.into_iter()) - 1.0).abs() < 1e-9);
    }
}
