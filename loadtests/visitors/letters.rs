//! Mails with codes to sign in, and the visitors who wait for one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot::{Sender, channel};
use tokio::time::timeout;

/// Who waits for a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// To this address.
    pub email: String,
    /// The number of the last one that they had.
    pub after: i64,
}

/// A mail with a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// To whom.
    pub email: String,
    /// Its number: later ones have larger ones.
    pub id: i64,
    /// The six digits.
    pub code: String,
}

/// Everybody who waits for one.
#[derive(Default)]
pub struct Letters(Mutex<BTreeMap<String, (i64, Sender<Letter>)>>);

impl Letters {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, (i64, Sender<Letter>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long for a later one than the last; nothing if none comes.
    pub async fn wait_for(&self, email: &str, after: i64, within: Duration) -> Option<Letter> {
        let (sender, letter) = channel();
        self.locked().insert(email.to_owned(), (after, sender));
        let letter = timeout(within, letter).await.ok().and_then(Result::ok);
        self.locked().remove(email);
        letter
    }

    /// Who waits.
    pub fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.locked();
        let waiting = waiting.iter();
        waiting.map(|(email, (after, _))| Waiting { email: email.clone(), after: *after }).collect()
    }

    /// Hands one over, if it is waited for.
    pub fn deliver(&self, letter: Letter) {
        if let Some((_, sender)) = self.locked().remove(&letter.email) {
            // Who has gone in the meantime needs none.
            let _ = sender.send(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_letter_comes_to_who_waits_for_it() {
        let letters = Letters::default();
        let letter = Letter { email: "ada@x.org".to_owned(), id: 7, code: "012345".to_owned() };
        letters.deliver(letter.clone());
        let wait = letters.wait_for("ada@x.org", 6, Duration::from_secs(60));
        let bring = async {
            let waiting = Waiting { email: "ada@x.org".to_owned(), after: 6 };
            assert_eq!(letters.waiting(), [waiting]);
            letters.deliver(Letter { email: "eve@x.org".to_owned(), ..letter.clone() });
            letters.deliver(letter.clone());
        };
        assert_eq!(tokio::join!(wait, bring).0, Some(letter.clone()));
        assert!(letters.waiting().is_empty());
        assert_eq!(letters.wait_for("ada@x.org", 7, Duration::ZERO).await, None);
        assert!(letters.waiting().is_empty(), "who has gone waits no longer");
    }
}
