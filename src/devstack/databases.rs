//! Databases of their own for tests, on the stack's Postgres, whoever runs it.

use sqlx::{AssertSqlSafe, Connection};

use super::Stack;
use super::error::{DevstackError, Result};
use super::postgres::connect;

/// Longest identifier that Postgres doesn't cut, in bytes.
const NAME_BYTES_MAX: usize = 63;

impl Stack {
    /// Creates an empty database, or a copy of `template` (to which nobody may be connected),
    /// and returns its URL.
    ///
    /// # Errors
    /// [`DevstackError::BadName`] for a name outside a-z, 0-9 and `_`; otherwise what Postgres
    /// answers, for example that the database exists.
    pub async fn fresh_database(&self, name: &str, template: Option<&str>) -> Result<String> {
        let name = plain_name(name)?;
        let statement = match template {
            Some(template) => format!("CREATE DATABASE {name} TEMPLATE {}", plain_name(template)?),
            None => format!("CREATE DATABASE {name}"),
        };
        self.administer(statement).await?;
        Ok(with_database(&self.database_url, name))
    }

    /// Drops a database, and cuts the connections to it; one that doesn't exist is no error.
    ///
    /// # Errors
    /// As [`Stack::fresh_database`].
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let name = plain_name(name)?;
        self.administer(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Runs one statement made of plain names only.
    async fn administer(&self, statement: String) -> Result<()> {
        let mut connection = connect(&self.database_url).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}

/// Names go into statements as they are, so nothing that needs quoting may pass.
pub(super) fn plain_name(name: &str) -> Result<&str> {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { Ok(name) } else { Err(DevstackError::BadName(name.to_owned())) }
}

/// The same server's URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, q)| (base, Some(q)));
    let authority = base.find("://").map_or(0, |at| at + "://".len());
    let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{}/{name}{query}", &base[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_only_the_database() {
        let cases = [
            ("postgres://u:p@h:1/old?sslmode=disable", "postgres://u:p@h:1/new?sslmode=disable"),
            ("postgres://u:p@h:1/old", "postgres://u:p@h:1/new"),
            ("postgres://u:p@h:1", "postgres://u:p@h:1/new"),
            ("postgres://h?host=/run/pg", "postgres://h/new?host=/run/pg"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "new"), expected);
        }
    }

    #[test]
    fn refuses_names_that_need_quoting() {
        for name in ["", "1a", "A", "a-b", "a;b", "a\"b", "é", &"a".repeat(64)] {
            assert!(matches!(plain_name(name), Err(DevstackError::BadName(_))), "{name:?}");
        }
        assert!(plain_name("test_42").is_ok());
    }
}
