//! Brings visitors the codes that they are mailed: the servers have no other mail server than the
//! mailbox in their database.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;

use crate::visitors::Crowd;
use crate::visitors::letters::{Letter, Letters, Waiting};

/// How often it is looked whether mail has come, while somebody waits for some.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Digits of a code.
const DIGITS: usize = 6;

/// Brings the mails to this generator's visitors.
pub async fn work(crowd: Arc<Crowd>, pg: PgPool) {
    loop {
        // A database that is away for a moment brings the mail later.
        let found = newest(&pg, &waiting(&crowd).await).await;
        found.into_iter().flatten().for_each(|letter| crowd.deliver(letter));
    }
}

/// Who waits for a mail, once anybody does.
pub async fn waiting(crowd: &Crowd) -> Vec<Waiting> {
    loop {
        sleep(LOOK_EVERY).await;
        let waiting = crowd.letters.as_ref().map(Letters::waiting).unwrap_or_default();
        if !waiting.is_empty() {
            return waiting;
        }
    }
}

/// The newest mail to each of those who wait.
///
/// # Errors
/// If Postgres fails.
pub async fn newest(pg: &PgPool, waiting: &[Waiting]) -> sqlx::Result<Vec<Letter>> {
    let emails: Vec<&str> = waiting.iter().map(|waiting| waiting.email.as_str()).collect();
    let after: Vec<i64> = waiting.iter().map(|waiting| waiting.after).collect();
    let rows: Vec<(String, i64, String)> = sqlx::query_as(
        "SELECT DISTINCT ON (m.recipient) m.recipient, m.id, m.body
         FROM mailbox m
         JOIN unnest($1::text[], $2::bigint[]) AS w (recipient, after)
           ON m.recipient = w.recipient AND m.id > w.after
         WHERE m.kind = 'sign_in'
         ORDER BY m.recipient, m.id DESC",
    )
    .bind(emails)
    .bind(after)
    .fetch_all(pg)
    .await?;
    let letter = |(email, id, body): (String, i64, String)| {
        code(&body).map(|code| Letter { email, id, code: code.to_owned() })
    };
    Ok(rows.into_iter().filter_map(letter).collect())
}

/// The code, which stands on a line of its own.
fn code(body: &str) -> Option<&str> {
    let mut lines = body.lines().map(str::trim);
    lines.find(|line| line.len() == DIGITS && line.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use onsale::mail::letter::Letter;
    use onsale::words::Language;

    use super::*;

    #[test]
    fn the_code_is_found_in_the_mail_that_is_sent() {
        let link = "https://shop.example/sign-in/link?token=123456".to_owned();
        let id = uuid::Uuid::from_u128(123_456);
        for language in [Language::ENGLISH, Language::of(Some("de"))] {
            let mail = Letter::sign_in(language, id, "012345".to_owned(), link.clone()).unwrap();
            assert_eq!(code(&mail.text), Some("012345"));
        }
        assert_eq!(code("Dear 123456,\n1234567\n12345\n"), None);
    }
}
