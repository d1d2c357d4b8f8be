//! The line of asks in Redis: calling the scripts and reading what is there.

use super::hold_of;
use crate::catalog::cache::Sale;
use crate::holds::record::Record;
use crate::holds::redis::Args;
use crate::ids::{AccountId, AskId};
use crate::redis::{Redis, Trouble, scripts};

/// An ask to be put in line.
#[derive(Debug)]
pub struct NewAsk {
    /// Its id.
    pub id: AskId,
    /// Of the request.
    pub digest: String,
    /// Whose it is.
    pub account: AccountId,
    /// The price levels that it is for.
    pub levels: Vec<i16>,
    /// The wish, as JSON.
    pub wish: String,
}

/// Where in line an ask is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Until when it stays, by Redis's clock in milliseconds.
    pub until_ms: i64,
    /// Redis's clock now.
    pub now_ms: i64,
    /// Asks before it, whatever they ask for.
    pub ahead: i64,
}

/// What became of an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is in line.
    Waiting(Waiting),
    /// It was in line before.
    Again(Waiting),
    /// Its hold was made.
    Served,
    /// The same key was used with another wish.
    Mismatch,
    /// The account asks for one of these price levels already.
    Other(AskId),
    /// The line is as long as it may be.
    Full,
    /// The epoch has passed.
    Stale,
}

/// Puts an ask in line.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn ask(
    redis: &Redis,
    sale: &Sale,
    ask: &NewAsk,
    life_ms: u64,
    most: usize,
) -> Result<Asked, Trouble> {
    let levels: Vec<String> = ask.levels.iter().map(i16::to_string).collect();
    let mut args = Args::new(sale);
    args.push(ask.id);
    args.push(hold_of(ask.id));
    args.push(&ask.digest);
    args.push(ask.account);
    args.push(levels.join(","));
    args.push(life_ms);
    args.push(most);
    args.push(&ask.wish);
    let keys = &sale.keys;
    let keys = [&*keys.head, &keys.asks, &keys.holds, &keys.asked];
    let reply = args.eval(redis, sale, &scripts::ASK, &keys).await?;
    let waiting = || {
        Some(Waiting {
            until_ms: reply.number(1)?,
            now_ms: reply.number(2)?,
            ahead: reply.number(3)?,
        })
    };
    let asked = match reply.word() {
        Some("waiting") => waiting().map(Asked::Waiting),
        Some("again") => waiting().map(Asked::Again),
        Some("served") => Some(Asked::Served),
        Some("mismatch") => Some(Asked::Mismatch),
        Some("other") => reply.text(1).and_then(|id| id.parse().ok()).map(Asked::Other),
        Some("full") => Some(Asked::Full),
        Some("stale") => Some(Asked::Stale),
        _ => None,
    };
    asked.ok_or_else(|| reply.bad(&scripts::ASK))
}

/// Takes asks out of the line; of an account only its own, of nobody in particular any. How many
/// there were. `None`: the epoch has passed.
///
/// # Errors
/// See [`Trouble`]; doing it again is harmless.
pub async fn unask(
    redis: &Redis,
    sale: &Sale,
    account: Option<AccountId>,
    ids: &[AskId],
) -> Result<Option<i64>, Trouble> {
    let mut args = Args::new(sale);
    args.push(account.map_or_else(|| "*".to_owned(), |account| account.to_string()));
    for id in ids {
        args.push(id);
    }
    let keys = &sale.keys;
    let keys = [&*keys.head, &keys.asks, &keys.asked];
    let reply = args.eval(redis, sale, &scripts::UNASK, &keys).await?;
    match reply.word() {
        Some("left") => reply.number(1).map(Some).ok_or_else(|| reply.bad(&scripts::UNASK)),
        Some("stale") => Ok(None),
        _ => Err(reply.bad(&scripts::UNASK)),
    }
}

/// An ask in line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InLine {
    /// Its id.
    pub id: AskId,
    /// Of the request.
    pub digest: String,
    /// Whose it is.
    pub account: AccountId,
    /// The wish, as JSON.
    pub wish: String,
}

impl InLine {
    /// Reads `account|digest|levels|wish`. `None` if it isn't that.
    fn parse(id: AskId, text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '|');
        let account = parts.next()?.parse().ok()?;
        let digest = parts.next()?.to_owned();
        let wish = parts.nth(1)?.to_owned();
        Some(Self { id, digest, account, wish })
    }
}

/// What there is of an ask: itself while it is in line, later the record of its hold.
#[derive(Debug)]
pub struct Found {
    /// Whose it is and where it stands, if it is in line.
    pub waiting: Option<(AccountId, Waiting)>,
    /// Its hold's record.
    pub record: Option<Record>,
    /// Redis's clock now, in milliseconds.
    pub now_ms: i64,
}

/// Looks an ask up, as of one instant.
///
/// # Errors
/// If Redis gives no answer.
pub async fn find(redis: &Redis, sale: &Sale, ask: AskId) -> Result<Found, Trouble> {
    type Parts = (Option<String>, Option<f64>, Option<i64>, Option<String>, (i64, i64));
    let keys = &sale.keys;
    let mut bulk = redis.bulk().await?;
    let (text, until, ahead, record, time): Parts = ::redis::pipe()
        .atomic()
        .hget(&keys.asked, ask.to_string())
        .zscore(&keys.asks, ask.to_string())
        .zrank(&keys.asks, ask.to_string())
        .hget(&keys.holds, hold_of(ask).to_string())
        .cmd("TIME")
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)?;
    let now_ms = time.0 * 1_000 + time.1 / 1_000;
    let waiting = text.and_then(|text| InLine::parse(ask, &text)).and_then(|ask| {
        #[expect(clippy::cast_possible_truncation, reason = "scores are whole milliseconds")]
        let until_ms = until? as i64;
        let waiting = Waiting { until_ms, now_ms, ahead: ahead? };
        (until_ms > now_ms).then_some((ask.account, waiting))
    });
    Ok(Found { waiting, record: record.as_deref().and_then(Record::parse), now_ms })
}

/// The asks in line, oldest first, without those whose time is over.
///
/// # Errors
/// If Redis gives no answer.
pub async fn line(redis: &Redis, sale: &Sale) -> Result<Vec<InLine>, Trouble> {
    let keys = &sale.keys;
    let mut bulk = redis.bulk().await?;
    let time: (i64, i64) =
        ::redis::cmd("TIME").query_async(&mut bulk).await.map_err(Trouble::Unknown)?;
    let ids: Vec<String> = ::redis::cmd("ZRANGEBYSCORE")
        .arg(&keys.asks)
        .arg(time.0 * 1_000 + time.1 / 1_000 + 1)
        .arg("+inf")
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<Option<String>> = ::redis::cmd("HMGET")
        .arg(&keys.asked)
        .arg(&ids)
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)?;
    let read = |(id, text): (String, Option<String>)| InLine::parse(id.parse().ok()?, &text?);
    Ok(ids.into_iter().zip(texts).filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_is_read_with_whatever_its_wish_contains() {
        let (id, account) = (AskId::fresh(), AccountId::fresh());
        let ask = InLine::parse(id, &format!("{account}|d|0,2|{{\"a|b\":1}}")).unwrap();
        assert_eq!((ask.account, ask.digest.as_str()), (account, "d"));
        assert_eq!(ask.wish, "{\"a|b\":1}");
        for text in ["", "x|d|0|{}", "a|b"] {
            assert_eq!(InLine::parse(id, text), None, "{text}");
        }
    }
}
