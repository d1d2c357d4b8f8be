//! The short way of the hold script: it says yes exactly where the judge does, and it is taken.

use onsale::catalog::Class;

use super::ask::{Ask, Line, Sweep};
use super::best::Dice;
use super::judge::Judge;
use super::world::{CHANNELS, EPOCH, Server, World};

/// Shorter and longer than the bits that are looked at together, some next to each other.
const LENGTHS: [i32; 12] = [1, 2, 3, 4, 5, 8, 20, 31, 32, 33, 40, 70];
/// Wishes for each row and filling.
const WISHES: u64 = 12;

fn shape() -> Vec<(i32, i16, Class)> {
    LENGTHS.iter().map(|length| (*length, 0, Class::Standard)).collect()
}

/// A few places of a row, neighbours more often than not.
fn some_of(first: i32, length: i32, dice: &mut Dice) -> Vec<i32> {
    let mut below = |bound: i32| i32::try_from(dice.below(u64::try_from(bound).unwrap())).unwrap();
    let (start, n) = (first + below(length), 1 + below(4));
    let end = first + length;
    let mut places: Vec<i32> = if below(4) > 0 {
        (start..(start + n).min(end)).collect()
    } else {
        (0..n).map(|_| first + below(length)).collect()
    };
    places.sort_unstable();
    places.dedup();
    places
}

/// Asks, judges, and says by which word and way.
async fn judged(world: &World, ask: &Ask) -> (String, bool) {
    let before = world.dump().await;
    let (reply, short) = world.hold_and_way(ask).await;
    let after = world.dump().await;
    Judge { world, before: &before, ask }.check(&reply, &after);
    (reply.word().expect("a word").to_owned(), short)
}

#[tokio::test]
async fn it_holds_what_the_rules_let_it_hold() {
    let server = Server::start().await;
    let mut dice = Dice::new(11);
    let (mut short, mut long, mut refused) = (0, 0, 0);
    for (percent, row) in
        [0, 20, 50, 80].iter().flat_map(|p| (0..LENGTHS.len()).map(move |r| (*p, r)))
    {
        let world = server.world(&shape()).await;
        let (mut taken, mut allocated) = (Vec::new(), Vec::new());
        for place in world.stretches.iter().flat_map(|s| s.first..s.first + s.length) {
            match dice.below(100) {
                below if below < percent => taken.push(place),
                below if below < percent + 10 && percent == 20 => allocated.push(place),
                _ => {}
            }
        }
        world.fill(&taken, &allocated).await;
        let (first, length) = (world.stretches[row].first, world.stretches[row].length);
        for at in 0..WISHES {
            let places = some_of(first, length, &mut dice);
            // Few buyers, so that some come to their limit.
            let account = u8::try_from(at % 3).unwrap();
            let mut ask = Ask::new(account, vec![Line::chosen(0, &places)]);
            ask.channel = CHANNELS[usize::from(dice.below(4) == 0)];
            ask.orphans = [None, Some(1_000), Some(3)][usize::try_from(at / 3 % 3).unwrap()];
            ask.limit = i32::try_from(dice.below(3)).unwrap() * 2;
            ask.lines[0].quota = [-1, 9][usize::from(dice.below(2) == 0)];
            match judged(&world, &ask).await {
                (word, true) if word == "held" => short += 1,
                (word, _) if word == "held" => long += 1,
                _ => refused += 1,
            }
        }
        world.end().await;
    }
    // The long way: whom an exception lets leave somebody alone, or who chooses what is far apart.
    assert!(long > 0 && short > 3 * long, "{short} the short way, {long} the long way");
    assert!(refused > 100, "{refused} refused");
}

#[tokio::test]
async fn a_place_beyond_the_end_of_the_bitmaps_is_free() {
    let server = Server::start().await;
    let world = server.world(&shape()).await;
    let keys = [&world.sale.keys.taken, &world.sale.keys.blocked(0)].map(String::clone);
    let mut connection = world.connection.clone();
    let row = world.stretches.last().expect("a row");
    for (place, limit) in [(row.first + 40, 0), (row.first + row.length - 1, 3), (row.first, 0)] {
        redis::cmd("UNLINK").arg(&keys).exec_async(&mut connection).await.expect("unlinked");
        let ask = Ask { limit, ..Ask::new(0, vec![Line::chosen(0, &[place])]) };
        assert_eq!(judged(&world, &ask).await, ("held".into(), true));
        let other = Ask::new(1, vec![Line::chosen(0, &[place])]);
        assert_eq!(judged(&world, &other).await, ("taken".into(), false));
        let gone = world.release(EPOCH, ask.id, None, 0).await;
        assert_eq!(gone.word(), Some("released"));
        world.sweep(EPOCH, &Sweep::all()).await;
    }
    world.end().await;
}

#[tokio::test]
async fn it_sees_what_was_blocked_a_moment_ago() {
    let server = Server::start().await;
    let world = server.world(&shape()).await;
    let row = world.stretches[6].first;
    let ask = |places: &[i32]| Ask::new(0, vec![Line::chosen(0, places)]);
    assert_eq!(world.dump().await.head["blocked"], "0");
    assert_eq!(judged(&world, &ask(&[row, row + 1])).await, ("held".into(), true));
    // Killed; then given to channel 1; then for everybody again.
    world.block(EPOCH, false, "111", &[row + 4]).await;
    assert_eq!(world.dump().await.head["blocked"], "1");
    assert_eq!(judged(&world, &ask(&[row + 3, row + 4])).await, ("taken".into(), false));
    world.block(EPOCH, false, "010", &[row + 4]).await;
    assert_eq!(judged(&world, &ask(&[row + 4, row + 5])).await, ("taken".into(), false));
    let theirs = Ask { channel: 1, ..ask(&[row + 4]) };
    assert_eq!(judged(&world, &theirs).await, ("held".into(), true));
    world.block(EPOCH, false, "010", &[row + 10]).await;
    world.block(EPOCH, false, "000", &[row + 10]).await;
    assert_eq!(judged(&world, &ask(&[row + 10])).await, ("held".into(), true));
    world.dump().await.audit(&world.stretches);
    world.end().await;
}

#[tokio::test]
async fn who_is_known_is_told_what_they_got() {
    let server = Server::start().await;
    let world = server.world(&shape()).await;
    let row = world.stretches[6].first;
    let first = Ask::new(0, vec![Line::chosen(0, &[row, row + 1])]);
    let second = Ask { digest: "d2".into(), ..first.clone() };
    let elsewhere = Ask { lines: vec![Line::chosen(0, &[row + 8])], ..second.clone() };
    assert_eq!(judged(&world, &first).await, ("held".into(), true));
    for (ask, word) in [(&first, "again"), (&second, "mismatch"), (&elsewhere, "mismatch")] {
        assert_eq!(judged(&world, ask).await, (word.into(), false));
    }
    world.release(EPOCH, first.id, None, 0).await;
    world.sweep(EPOCH, &Sweep::all()).await;
    assert_eq!(judged(&world, &first).await, ("finished".into(), false));
    world.dump().await.audit(&world.stretches);
    world.end().await;
}
