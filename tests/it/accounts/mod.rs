//! Accounts: signing in, sessions, and what only people who have signed in can do.

mod buying;
mod codes;
mod pages;
mod sessions;

use onsale::workers::sign_ins;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Buyer, Env, TestServer};

/// A session token's kind, and nothing else of it.
fn kind(token: &str) -> &str {
    token.split('.').next().unwrap_or_default()
}

async fn post(buyer: &Buyer, path: &str, body: Value) -> Answer {
    buyer.send(Method::POST, path, None, Some(body)).await
}

/// Asks for a code.
async fn ask(buyer: &Buyer, email: &str) -> Answer {
    post(buyer, "/v1/sign-in", json!({ "email": email })).await
}

/// Tries a code.
async fn confirm(buyer: &Buyer, email: &str, code: &str) -> Answer {
    post(buyer, "/v1/sign-in/confirm", json!({"email": email, "code": code})).await
}

/// Mails what is due.
async fn mail(server: &TestServer) {
    while sign_ins::run_once(&server.server.app).await.expect("Postgres works") {}
}

/// What was mailed last: to whom, the code and the link's token.
async fn mailed(env: &Env) -> (String, String, String) {
    mailed_first(env, "").await
}

/// The same, of the mails to this address if there are any.
async fn mailed_first(env: &Env, email: &str) -> (String, String, String) {
    let (to, body): (String, String) = sqlx::query_as(
        "SELECT recipient, body FROM mailbox WHERE kind = 'sign_in'
         ORDER BY recipient = $1 DESC, id DESC LIMIT 1",
    )
    .bind(email)
    .fetch_one(&env.pg)
    .await
    .expect("a mail");
    let code = body.lines().find(|line| line.len() == 6 && line.parse::<u32>().is_ok());
    let token = body.split("token=").nth(1).and_then(|rest| rest.lines().next());
    (to, code.expect("a code").to_owned(), token.expect("a link").to_owned())
}

/// Another code than this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().expect("digits") + 1) % 1_000_000)
}

/// Signs a new buyer in at `url`, whose mails `server` sends.
async fn signed_in_at(env: &Env, server: &TestServer, url: &str, email: &str) -> Buyer {
    let mut buyer = Buyer::new(url).await;
    ask(&buyer, email).await.expect(202);
    mail(server).await;
    let (_, code, _) = mailed_first(env, email).await;
    let session = confirm(&buyer, email, &code).await.expect(201);
    buyer.token = session.body["token"].as_str().expect("a token").to_owned();
    assert_eq!(kind(&buyer.token), "s2");
    buyer
}

/// Signs a new buyer in.
pub(crate) async fn signed_in(env: &Env, server: &TestServer, email: &str) -> Buyer {
    signed_in_at(env, server, &server.url, email).await
}

/// Runs a statement: time passes.
async fn run(env: &Env, sql: &'static str) {
    sqlx::query(sql).execute(&env.pg).await.expect("done");
}

async fn count(env: &Env, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&env.pg).await.expect("counted")
}
