//! Changing offers: counters follow, tiers are exact, and a refusal writes nothing.

use onsale::catalog::Class;
use onsale::holds::record::parse_places;

use super::ask::{Ask, Line, Retype};
use super::world::{EPOCH, Server, World};

const OPAQUE: &str = "{\"opaque\":\"c|d\"}";

async fn hold(world: &World, account: u8, offer: i16, places: &[i32]) -> (Ask, Vec<i32>) {
    let ask = Ask::new(account, vec![Line::chosen(offer, places)]);
    let reply = world.hold(&ask).await;
    let held = parse_places(reply.text(3).expect("places")).expect("places");
    (ask, held.iter().map(|held| held.place).collect())
}

fn change(ask: &Ask, to: Vec<Line>) -> Retype {
    let (id, account, opaque) = (ask.id, ask.account, OPAQUE.to_owned());
    Retype { epoch: EPOCH, id, account, subject: None, promo: None, opaque, to }
}

/// The offer and tier of each place of a hold.
async fn offers(world: &World, ask: &Ask) -> Vec<(i32, i16, i16)> {
    let record = world.dump().await.records().remove(&ask.id.to_string()).expect("a record");
    record.places.iter().map(|held| (held.place, held.offer, held.tier)).collect()
}

#[tokio::test]
async fn places_that_move_get_the_tier_of_their_number_and_the_others_keep_theirs() {
    let server = Server::start().await;
    let world = server.world(&[(8, 0, Class::Standard)]).await;
    let tiers = vec![(2, 0), (3, 0), (0, 0)];
    let to = |places: &[i32]| Line { tiers: tiers.clone(), ..Line::chosen(1, places) };
    let (first, _) = hold(&world, 0, 0, &[0, 1, 2, 3]).await;
    let before = world.dump().await;
    assert_eq!(world.retype(&change(&first, vec![to(&[1])])).await.word(), Some("changed"));
    let after = world.dump().await;
    assert_eq!(offers(&world, &first).await, [(0, 0, 0), (1, 1, 0), (2, 0, 0), (3, 0, 0)]);
    assert_eq!((after.taken.clone(), after.deadlines.clone()), (before.taken, before.deadlines));
    assert_eq!((after.counts["o:0"], after.counts["o:1"]), (3, 1));
    assert!(after.holds[&first.id.to_string()].ends_with(OPAQUE));
    after.audit(&world.stretches);

    assert_eq!(
        world.retype(&change(&first, vec![to(&[0, 1, 2, 3])])).await.word(),
        Some("changed")
    );
    assert_eq!(offers(&world, &first).await, [(0, 1, 0), (1, 1, 0), (2, 1, 1), (3, 1, 2)]);
    // Places that swap their offers need no quota.
    let (second, _) = hold(&world, 1, 0, &[4, 5]).await;
    let full = |places: &[i32]| Line { quota: 4, ..to(places) };
    let refused = world.retype(&change(&second, vec![full(&[4])])).await;
    assert_eq!((refused.word(), refused.number(2)), (Some("quota"), Some(0)));
    world.retype(&change(&second, vec![to(&[4])])).await;
    let five = |places: &[i32]| Line { quota: 5, ..to(places) };
    let swapped = vec![five(&[5]), Line::chosen(0, &[4])];
    assert_eq!(world.retype(&change(&second, swapped)).await.word(), Some("changed"));
    assert_eq!(offers(&world, &second).await, [(4, 0, 0), (5, 1, 2)]);
    world.dump().await.audit(&world.stretches);
    world.end().await;
}

#[tokio::test]
async fn promo_codes_are_counted_as_they_come_and_go_and_a_refusal_writes_nothing() {
    let server = Server::start().await;
    let world = server.world(&[(8, 0, Class::Standard)]).await;
    let (first, _) = hold(&world, 0, 0, &[0, 1]).await;
    let (second, _) = hold(&world, 1, 0, &[4, 5]).await;
    let ten = |ask| Retype { promo: Some((7, 1)), ..change(ask, vec![]) };
    assert_eq!(world.retype(&ten(&first)).await.word(), Some("changed"));
    assert_eq!(world.retype(&ten(&first)).await.word(), Some("changed"), "it has it");
    let before = world.dump().await;
    for refused in [
        ten(&second),
        Retype { promo: Some((7, 1)), ..change(&second, vec![Line::chosen(1, &[4])]) },
        change(&second, vec![Line::chosen(2, &[5]), Line { quota: 0, ..Line::chosen(1, &[4]) }]),
        change(&second, vec![Line::chosen(2, &[5]), Line { until_ms: 1, ..Line::chosen(1, &[4]) }]),
    ] {
        assert_ne!(world.retype(&refused).await.word(), Some("changed"), "{refused:?}");
        assert_eq!(world.dump().await, before, "{refused:?}");
    }
    assert_eq!(world.retype(&change(&first, vec![])).await.word(), Some("changed"));
    assert_eq!(world.retype(&ten(&second)).await.word(), Some("changed"));
    world.dump().await.audit(&world.stretches);
    world.end().await;
}
