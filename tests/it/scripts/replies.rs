//! Every reply that a header names is given at least once.

use std::collections::{BTreeMap, BTreeSet};

use onsale::catalog::Class;
use onsale::holds::record::{HeldPlace, parse_places};
use onsale::holds::redis::Reply;
use onsale::redis::keys::{LaneKeys, Shared};
use onsale::redis::scripts::{self, Script};
use uuid::Uuid;

use super::ask::{Ask, DAY_MS, Entry, InLine, Line, Retype, Sweep, account_id};
use super::judge::now_ms;
use super::world::{EPOCH, Server, World};

const OLD: i32 = EPOCH - 1;

/// The words in the header's list of replies.
fn promised(script: &Script) -> BTreeSet<String> {
    let header = script.source.lines().take_while(|line| line.starts_with("--"));
    let replies = header.skip_while(|line| !line.starts_with("-- Reply"));
    let replies: Vec<&str> = replies
        .take_while(|line| {
            !["-- Twice", "-- Record", "-- Reads"].iter().any(|next| line.starts_with(next))
        })
        .collect();
    let text = replies.join(" ");
    let words = text.split("{\"").skip(1).filter_map(|rest| rest.split('"').next());
    words.map(str::to_owned).collect()
}

#[derive(Default)]
struct Heard(BTreeMap<&'static str, BTreeSet<String>>);

impl Heard {
    fn expect(&mut self, script: &'static Script, reply: &Reply, word: &str) {
        assert_eq!(reply.word(), Some(word), "{}: {:?}", script.name, reply.0);
        self.0.entry(script.name).or_default().insert(word.to_owned());
    }
}

#[tokio::test]
async fn every_reply_of_every_header_is_given() {
    let server = Server::start().await;
    let shape = [(6, 0, Class::Standard), (6, 0, Class::Standard), (5, 0, Class::Area)];
    let mut world = server.world(&shape).await;
    let mut heard = Heard::default();
    let held = hold_refusals(&world, &mut heard).await;
    retypes(&world, &mut heard).await;
    lives(&world, &mut heard, &held).await;
    line(&world, &mut heard, &held).await;
    organizer(&mut world, &mut heard).await;
    let keys = LaneKeys::new(&world.redis.prefix, world.sale.listing.event.id, 0, "run");
    let number = async |first: &str, ceiling: &str| {
        let arguments = [first.to_owned(), ceiling.to_owned()];
        world.ask(&scripts::NUMBER, &[&keys.numbers], &arguments).await
    };
    let (first, ceiling) = ("4611686018427387904", "4611686018427387906");
    heard.expect(&scripts::NUMBER, &number("0", "0").await, "empty");
    heard.expect(&scripts::NUMBER, &number(first, ceiling).await, "number");
    // A reserve that came late is let go.
    let second = number(first, ceiling).await;
    assert_eq!(second.text(1), Some("4611686018427387905"));
    heard.expect(&scripts::NUMBER, &number(first, ceiling).await, "empty");
    for word in ["spent", "again"] {
        heard.expect(&scripts::SPEND, &world.spend("n").await, word);
    }
    limits(&world, &mut heard).await;
    world.dump().await.audit(&world.stretches);
    world.end().await;
    for script in scripts::ALL {
        let silent = &promised(script) - heard.0.get(script.name).unwrap_or(&BTreeSet::new());
        assert!(silent.is_empty(), "{} never said {silent:?}", script.name);
        assert!(!promised(script).is_empty(), "{} promises nothing", script.name);
    }
}

fn best(n: usize) -> Line {
    Line::best(0, n, vec![(0, 1)])
}

/// All that hold can say; leaves one hold, of account 0, on places 0 and 1.
async fn hold_refusals(world: &World, heard: &mut Heard) -> Ask {
    let seats = |places: &[i32]| vec![Line::chosen(0, places)];
    let strict = |places: &[i32]| Ask { orphans: Some(100), ..Ask::new(0, seats(places)) };
    let past = now_ms() - DAY_MS;
    let taken = vec![Line { instead: vec![(0, 1)], ..Line::chosen(0, &[0, 1]) }];
    let first = Ask::new(0, seats(&[0, 1]));
    let plain = |lines| Ask::new(1, lines);
    let late = Line { until_ms: past, ..best(1) };
    let ended = Line { tiers: vec![(0, past)], ..best(1) };
    let asks = [
        (Ask { epoch: OLD, ..first.clone() }, "stale"),
        (strict(&[1, 2]), "orphan"),
        (first.clone(), "held"),
        (first.clone(), "again"),
        (Ask { digest: "d2".into(), ..first.clone() }, "mismatch"),
        (plain(seats(&[1, 2])), "taken"),
        (plain(taken.clone()), "taken"),
        (Ask { equivalent: true, ..plain(taken) }, "equivalent"),
        (plain(vec![best(7)]), "none"),
        (Ask { limit: 2, ..Ask::new(0, vec![best(1)]) }, "limit"),
        (plain(vec![Line { quota: 0, ..best(1) }]), "quota"),
        (plain(vec![ended]), "quota"),
        (plain(vec![late]), "window"),
        (Ask { promo: Some((1, 0)), ..plain(vec![best(1)]) }, "promo"),
    ];
    for (ask, word) in asks {
        let ask = if word == "again" || ask.id == first.id {
            ask
        } else {
            Ask { id: Uuid::now_v7(), ..ask }
        };
        heard.expect(&scripts::HOLD, &world.hold(&ask).await, word);
    }
    heard.expect(&scripts::STATE, &world.state(OLD, "paused").await, "stale");
    heard.expect(&scripts::STATE, &world.state(EPOCH, "paused").await, "set");
    let closed = world.hold(&plain(vec![best(1)])).await;
    heard.expect(&scripts::HOLD, &closed, "closed");
    assert_eq!(closed.text(1), Some("paused"));
    let retake = Ask { retake: true, ..plain(vec![Line::area(0, 2, vec![(2, 2)])]) };
    heard.expect(&scripts::HOLD, &world.hold(&retake).await, "held");
    world.state(EPOCH, "on_sale").await;
    let gone = plain(vec![best(1)]);
    heard.expect(&scripts::HOLD, &world.hold(&gone).await, "held");
    world.release(EPOCH, gone.id, None, 0).await;
    heard.expect(&scripts::HOLD, &world.hold(&gone).await, "finished");
    first
}

/// All that retype can say, of a hold that is over afterwards.
async fn retypes(world: &World, heard: &mut Heard) {
    let held = Ask::new(6, vec![best(2)]);
    let reply = world.hold(&held).await;
    let places = parse_places(reply.text(3).expect("places")).expect("places");
    let one = [places[0].place];
    let to = |line: Line| vec![line];
    let change = Retype {
        epoch: EPOCH,
        id: held.id,
        account: held.account,
        subject: None,
        promo: None,
        opaque: "{}".into(),
        to: to(Line::chosen(1, &one)),
    };
    let was = world.subject(held.id).await;
    let ended = Line { tiers: vec![(0, now_ms() - DAY_MS)], ..Line::chosen(1, &one) };
    let late = Line { until_ms: now_ms() - DAY_MS, ..Line::chosen(1, &one) };
    let none = Line { quota: 0, ..Line::chosen(1, &one) };
    let steps = [
        (Retype { epoch: OLD, ..change.clone() }, "stale"),
        (Retype { id: Uuid::from_u128(1), ..change.clone() }, "gone"),
        (Retype { account: account_id(9), ..change.clone() }, "foreign"),
        (Retype { to: to(none), ..change.clone() }, "quota"),
        (Retype { to: to(ended), ..change.clone() }, "quota"),
        (Retype { to: to(late), ..change.clone() }, "window"),
        (Retype { promo: Some((1, 0)), ..change.clone() }, "promo"),
        (change.clone(), "changed"),
        (Retype { subject: Some(was.clone()), ..change.clone() }, "changed"),
        (Retype { subject: Some(was), to: vec![], promo: Some((1, 1)), ..change.clone() }, "moved"),
    ];
    for (change, word) in steps {
        heard.expect(&scripts::RETYPE, &world.retype(&change).await, word);
    }
    world.begin(EPOCH, held.id, held.account).await;
    heard.expect(&scripts::RETYPE, &world.retype(&change).await, "claiming");
    world.release(EPOCH, held.id, None, 0).await;
    world.sweep(EPOCH, &Sweep::all()).await;
}

/// A record's life, by begin, extend, release, sweep and mirror.
async fn lives(world: &World, heard: &mut Heard, held: &Ask) {
    let (id, owner, other) = (held.id, held.account, account_id(9));
    let nobody = Uuid::from_u128(1);
    let extend = |id, account, by| world.extend(EPOCH, id, account, by, 2 * DAY_MS);
    heard.expect(&scripts::EXTEND, &world.extend(OLD, id, owner, 1, 1).await, "stale");
    heard.expect(&scripts::EXTEND, &extend(nobody, owner, 1).await, "gone");
    heard.expect(&scripts::EXTEND, &extend(id, other, 1).await, "foreign");
    heard.expect(&scripts::EXTEND, &extend(id, owner, 1).await, "bound");
    heard.expect(&scripts::EXTEND, &extend(id, owner, DAY_MS).await, "held");
    let release = |epoch, id, account| world.release(epoch, id, account, 0);
    heard.expect(&scripts::RELEASE, &release(OLD, id, None).await, "stale");
    heard.expect(&scripts::RELEASE, &release(EPOCH, nobody, None).await, "gone");
    heard.expect(&scripts::RELEASE, &release(EPOCH, id, Some(other)).await, "foreign");

    let due = Ask { ttl_ms: 0, ..Ask::new(3, vec![best(1)]) };
    world.hold(&due).await;
    heard.expect(&scripts::BEGIN, &world.begin(EPOCH, due.id, due.account).await, "expired");
    heard.expect(&scripts::SWEEP, &world.sweep(OLD, &Sweep::all()).await, "stale");
    let swept = world.sweep(EPOCH, &Sweep::all()).await;
    heard.expect(&scripts::SWEEP, &swept, "swept");
    assert_eq!(swept.number(1), Some(1));

    heard.expect(&scripts::BEGIN, &world.begin(OLD, id, owner).await, "stale");
    heard.expect(&scripts::BEGIN, &world.begin(EPOCH, nobody, owner).await, "gone");
    heard.expect(&scripts::BEGIN, &world.begin(EPOCH, id, other).await, "foreign");
    heard.expect(&scripts::BEGIN, &world.begin(EPOCH, id, owner).await, "claiming");
    heard.expect(&scripts::EXTEND, &extend(id, owner, 1).await, "claiming");
    heard.expect(&scripts::RELEASE, &release(EPOCH, id, Some(owner)).await, "kept");
    let hanging = world.sweep(EPOCH, &Sweep { hanging: 0, ..Sweep::all() }).await;
    assert!(matches!(&hanging.0[6], redis::Value::Array(list) if list.len() == 2));

    let place = |place| HeldPlace { place, stretch: 0, offer: 0, tier: 0 };
    let order = |id, step| Entry {
        id,
        step,
        account: owner,
        promo: None,
        places: vec![place(0), place(1)],
    };
    heard.expect(&scripts::MIRROR, &world.mirror(OLD, &[order(id, 'c')], 0, 0).await, "stale");
    let followed = world.mirror(EPOCH, &[order(id, 'c')], DAY_MS, 0).await;
    heard.expect(&scripts::MIRROR, &followed, "mirrored");
    heard.expect(&scripts::BEGIN, &world.begin(EPOCH, id, owner).await, "claimed");
    let rival = Uuid::now_v7();
    let conflict = world.mirror(EPOCH, &[order(rival, 's'), order(id, 'r')], DAY_MS, 0).await;
    assert_eq!(conflict.text(1), Some(rival.to_string().as_str()));
    heard.expect(&scripts::RELEASE, &release(EPOCH, id, None).await, "gone");
    let freed = Ask::new(4, vec![best(1)]);
    world.hold(&freed).await;
    heard.expect(&scripts::RELEASE, &release(EPOCH, freed.id, None).await, "released");
}

/// All that ask and unask can say.
async fn line(world: &World, heard: &mut Heard, held: &Ask) {
    let first = InLine::new(1);
    let asks = [
        (OLD, first.clone(), "stale"),
        (EPOCH, first.clone(), "waiting"),
        (EPOCH, first.clone(), "again"),
        (EPOCH, InLine { digest: "d2".into(), ..first.clone() }, "mismatch"),
        (EPOCH, InLine { hold: held.id, ..InLine::new(2) }, "served"),
        (EPOCH, InLine { levels: "1,0".into(), ..InLine::new(1) }, "other"),
        (EPOCH, InLine { most: 1, ..InLine::new(2) }, "full"),
    ];
    for (epoch, ask, word) in asks {
        heard.expect(&scripts::ASK, &world.queue(epoch, &ask).await, word);
    }
    heard.expect(&scripts::UNASK, &world.unask(OLD, None, &[first.id]).await, "stale");
    let other = world.unask(EPOCH, Some(account_id(2)), &[first.id]).await;
    assert_eq!(other.number(1), Some(0), "another's ask stays");
    let left = world.unask(EPOCH, Some(account_id(1)), &[first.id]).await;
    heard.expect(&scripts::UNASK, &left, "left");
    assert_eq!(left.number(1), Some(1));
}

/// A limit of two in a minute.
async fn limits(world: &World, heard: &mut Heard) {
    let key = Shared::new(&world.redis.prefix).limit("test", "key");
    let arguments = ["30000000".to_owned(), "2".to_owned()];
    let keys = [key.as_str()];
    let ask = || world.ask(&scripts::GCRA, &keys, &arguments);
    let first = ask().await;
    heard.expect(&scripts::GCRA, &first, "ok");
    assert_eq!((first.number(1), first.number(2)), (Some(1), Some(30_000)));
    assert_eq!(ask().await.number(1), Some(0));
    let refused = ask().await;
    heard.expect(&scripts::GCRA, &refused, "wait");
    assert!(refused.number(1).is_some_and(|ms| (1..=30_000).contains(&ms)), "{:?}", refused.0);
}

async fn organizer(world: &mut World, heard: &mut Heard) {
    world.sweep(EPOCH, &Sweep::all()).await;
    heard.expect(&scripts::BLOCK, &world.block(OLD, false, "111", &[5]).await, "stale");
    heard.expect(&scripts::BLOCK, &world.block(EPOCH, true, "111", &[5]).await, "blocked");
    let sold = Ask::new(5, vec![Line::chosen(0, &[4])]);
    world.hold(&sold).await;
    heard.expect(&scripts::BLOCK, &world.block(EPOCH, true, "111", &[3, 4]).await, "taken");
    heard.expect(&scripts::GROW, &world.grow(OLD, 8, 0).await, "stale");
    heard.expect(&scripts::GROW, &world.grow(EPOCH, 8, 0).await, "grown");
    heard.expect(&scripts::SNAPSHOT, &world.snapshot(OLD, "").await, "stale");
    let snapshot = world.snapshot(EPOCH, "").await;
    heard.expect(&scripts::SNAPSHOT, &snapshot, "snapshot");
    let seq = snapshot.number(1).expect("a number").to_string();
    heard.expect(&scripts::SNAPSHOT, &world.snapshot(EPOCH, &seq).await, "same");
}
