//! Terms that buyers accept at checkout: a text, and where more of it is.

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

/// Terms. Whoever accepts them names their digest, so that nobody accepts what they haven't seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct BuyerTerms {
    /// Sent as `terms_accepted` at checkout. Other terms have another one.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub digest: String,
    /// What is to be accepted: plain text.
    pub text: String,
    /// Where more is told (`https`).
    pub url: Option<String>,
}

impl BuyerTerms {
    /// Terms with their digest.
    #[must_use]
    pub fn new(text: String, url: Option<String>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"onsale terms 1");
        // The length keeps what belongs to the text from being read as the link.
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(&text);
        hash.update(url.as_deref().unwrap_or_default());
        Self { digest: hex::encode(hash.finalize()), text, url }
    }

    /// Keeps them for good, and says by which key.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn keep(&self, pg: &mut PgConnection) -> sqlx::Result<Vec<u8>> {
        let digest = hex::decode(&self.digest).unwrap_or_default();
        sqlx::query!(
            "INSERT INTO terms (digest, text, url) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            digest,
            self.text,
            self.url
        )
        .execute(pg)
        .await?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_terms_have_another_digest() {
        let terms = |text: &str, url: Option<&str>| {
            BuyerTerms::new(text.to_owned(), url.map(str::to_owned)).digest
        };
        let all = [
            terms("No refunds.", None),
            terms("No refunds!", None),
            terms("No refunds.", Some("https://a.example")),
            terms("No refunds.https://a.example", None),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], terms("No refunds.", None));
    }
}
