//! From drawn numbers to a wish of what there is.

use onsale::catalog::Class;

use super::ask::{Ask, DAY_MS, Line, Ranges};
use super::judge::{Judge, now_ms};
use super::sequences::{DrawnLine, Wish};
use super::steps::Play;

impl Play {
    fn ranges(&self, level: i16, class: Class) -> Ranges {
        let mut ranges: Ranges = Vec::new();
        for (number, stretch) in (0_i32..).zip(&self.world.stretches) {
            if (stretch.level, stretch.class) == (level, class) {
                match ranges.last_mut() {
                    Some(last) if last.1 + 1 == number => last.1 = number,
                    _ => ranges.push((number, number)),
                }
            }
        }
        ranges
    }

    pub fn seat(&self, number: u8, class: Class) -> i32 {
        let of_class = self.world.stretches.iter().filter(|stretch| stretch.class == class);
        let seats: Vec<i32> = of_class.flat_map(|s| s.first..s.first + s.length).collect();
        seats[usize::from(number) % seats.len()]
    }

    fn line(&self, drawn: &DrawnLine, chosen: &mut Vec<i32>) -> Option<Line> {
        let (kind, offer, n, picks) = drawn;
        let (level, n) = (i16::from(*offer == 15), usize::from(*n));
        let pool = self.ranges(level, Class::Standard);
        let mut line = match kind {
            0 | 1 => {
                // Neighbours more often than not: that is what people choose.
                let first = self.seat(picks[0], Class::Standard);
                let beside = (0_i32..).take(n.min(picks.len())).map(|step| first + step);
                let apart = picks.iter().map(|pick| self.seat(*pick, Class::Standard));
                let class = |place: &i32| {
                    let number = usize::try_from(self.world.stretch_of(*place)).unwrap();
                    let stretch = &self.world.stretches[number];
                    let real = *place < stretch.first + stretch.length;
                    real && stretch.class == Class::Standard
                };
                let mut places: Vec<i32> =
                    if *kind == 0 { beside.filter(class).collect() } else { apart.collect() };
                places.sort_unstable();
                places.dedup();
                places.retain(|place| !chosen.contains(place));
                chosen.extend(&places);
                if places.is_empty() {
                    return None;
                }
                let instead = if picks[0] % 4 == 0 { vec![] } else { pool };
                Line { instead, ..Line::chosen(0, &places) }
            }
            2 => Line::best(0, n, pool),
            3 => Line { kind: 's', ..Line::best(0, n, pool) },
            _ if picks[0] % 5 == 0 => Line::best(0, n, self.ranges(0, Class::Accessible)),
            _ => Line::area(0, n, self.ranges(0, Class::Area)),
        };
        rules(&mut line, *offer);
        Some(line)
    }

    pub async fn hold(&mut self, wish: &Wish) {
        let mut chosen = Vec::new();
        let lines = wish.lines.iter().filter_map(|drawn| self.line(drawn, &mut chosen)).collect();
        let mut ask = Ask::new(wish.account, lines);
        if ask.lines.is_empty() {
            return;
        }
        ask.epoch = self.epoch;
        ask.limit = wish.limit;
        ask.ttl_ms = if wish.due { 0 } else { 600_000 };
        ask.equivalent = wish.equivalent;
        ask.orphans = [None, Some(usize::MAX >> 16), Some(12)][usize::from(wish.orphans)];
        ask.promo = [None, Some((1, -1)), Some((2, 2)), None][usize::from(wish.promo)];
        (ask.retake, ask.channel) = (wish.retake, wish.channel);
        if let Some((known, same)) = wish.again {
            ask.id = self.id(known);
            ask.digest = if same { "d1".into() } else { "d2".into() };
        }
        let reply = self.world.hold(&ask).await;
        let after = self.world.dump().await;
        Judge { world: &self.world, before: &self.before, ask: &ask }.check(&reply, &after);
        self.before = after;
        if matches!(reply.word(), Some("held" | "equivalent")) {
            self.ids.push(ask.id);
            let again = self.world.hold(&ask).await;
            assert_eq!(again.word(), Some("again"));
            let same = self.world.dump().await;
            assert_eq!(same, self.before, "the second call changed something");
        }
    }
}

/// The rules of the offer that was drawn: always the same for the same offer.
fn rules(line: &mut Line, drawn: u8) {
    let past = now_ms() - DAY_MS;
    let (future, later) = (past + 2 * DAY_MS, past + 3 * DAY_MS);
    match drawn {
        6 | 7 => {
            (line.offer, line.quota) = (1, 12);
            line.tiers = vec![(5, 0), (0, 0)];
        }
        8 => (line.offer, line.tiers) = (2, vec![(0, past), (0, 0)]),
        9 => (line.offer, line.tiers) = (3, vec![(4, 0)]),
        10 => (line.offer, line.until_ms) = (4, past),
        11 => (line.offer, line.from_ms) = (5, future),
        12 | 13 => {
            (line.offer, line.from_ms, line.until_ms) = (6, past, future);
            line.tiers = vec![(3, later), (0, future)];
        }
        15 => line.offer = 7,
        _ => {}
    }
}
