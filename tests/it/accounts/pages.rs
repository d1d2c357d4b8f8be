//! The same on pages, without scripts.

use jiff::{SignedDuration, Timestamp};
use onsale::demo::seed::Seed;
use reqwest::{Client, Response, StatusCode};

use super::{kind, mail, mailed, run, wrong};
use crate::support::{Env, TestServer, hall};

/// A browser that keeps the cookies it is given.
struct Browser {
    http: Client,
    url: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(server: &TestServer) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { http: http.expect("a client"), url: server.url.clone(), cookies: Vec::new() }
    }

    fn session(&self) -> &str {
        let found = self.cookies.iter().find(|(name, _)| name == "onsale_session");
        found.map_or("", |(_, value)| value)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    /// Status, where it leads, and the page.
    async fn read(&mut self, response: Response) -> (StatusCode, String, String) {
        for header in response.headers().get_all("set-cookie") {
            let cookie = header.to_str().expect("text").split(';').next().expect("a cookie");
            let (name, value) = cookie.split_once('=').expect("a value");
            self.set(name, value);
        }
        let to = response.headers().get("location").map(|to| to.to_str().expect("text").to_owned());
        (response.status(), to.unwrap_or_default(), response.text().await.expect("a page"))
    }

    fn cookie(&self) -> String {
        let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        cookies.join("; ")
    }

    async fn get(&mut self, path: &str) -> (StatusCode, String, String) {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = request.header("accept", "text/html").header("cookie", self.cookie());
        let response = request.send().await.expect("an answer");
        self.read(response).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> (StatusCode, String, String) {
        let request = self.http.post(format!("{}{path}", self.url)).form(form);
        let request = request.header("accept", "text/html").header("cookie", self.cookie());
        let response = request.send().await.expect("an answer");
        self.read(response).await
    }
}

#[tokio::test]
async fn signing_in_buying_and_signing_out_with_forms() {
    let env = Env::start().await;
    let event = env.event(&Seed { name: "Night", ..Seed::new("show", &hall(4, 10, 0)) }).await;
    sqlx::query("UPDATE events SET needs_account = true WHERE id = $1")
        .bind(event.0)
        .execute(&env.pg)
        .await
        .expect("updated");
    let server = env.server().await;
    let mut browser = Browser::new(&server);
    let (_, _, home) = browser.get("/").await;
    assert!(home.contains("<a href=\"/sign-in\">Sign in</a>"), "{home}");
    // The event leads to signing in, and signing in leads back.
    let (_, to, _) = browser.get("/events/show/choose").await;
    assert_eq!(to, "/sign-in?next=/events/show/choose");
    let (_, _, page) = browser.get(&to).await;
    assert!(page.contains("value=\"/events/show/choose\""), "{page}");
    let asked = [("email", "ada@example.org"), ("next", "/events/show/choose")];
    let (status, _, page) = browser.post("/sign-in", &asked).await;
    assert_eq!(status, 200);
    assert!(page.contains("one-time-code"), "{page}");
    mail(&server).await;
    let (_, code, _) = mailed(&env).await;
    let bad = wrong(&code);
    let (status, _, page) =
        browser.post("/sign-in/code", &[asked[0], asked[1], ("code", &bad)]).await;
    assert_eq!(status, 403);
    assert!(page.contains("That did not sign you in") && page.contains("one-time-code"), "{page}");
    let (_, to, _) = browser.post("/sign-in/code", &[asked[0], asked[1], ("code", &code)]).await;
    assert_eq!(to, "/events/show/choose");
    assert_eq!(kind(browser.session()), "s2");
    let (status, _, page) = browser.get(&to).await;
    assert_eq!(status, 200);
    assert!(page.contains("<a href=\"/tickets\">My tickets</a>"), "{page}");
    assert_eq!(kind(browser.session()), "s2", "pages that renew anonymous sessions leave it");

    // A hold of seats, checked out without typing an address.
    let (_, _, section) = browser.get("/events/show/sections/S").await;
    let key = section.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let key = key.expect("a key").to_owned();
    let form = [("section", "S"), ("key", key.as_str()), ("place", "0"), ("place", "1")];
    let (status, hold, page) = browser.post("/events/show/holds", &form).await;
    assert_eq!(status, 303, "{page}");
    let (_, _, page) = browser.get(&hold).await;
    assert!(page.contains("value=\"ada@example.org\""), "{page}");
    let (_, _, none) = browser.get("/tickets").await;
    assert!(none.contains("You have no tickets yet"), "{none}");
    let (status, pay, page) = browser.post(&format!("{hold}/checkout"), &[("email", "")]).await;
    assert_eq!(status, 303, "{page}");
    let card = serde_json::json!({"card": "4242424242424242"});
    let paid = browser.http.post(format!("{pay}?wait=webhook")).json(&card).send().await;
    assert_eq!(paid.expect("an answer").status(), 200);
    let (_, _, tickets) = browser.get("/tickets").await;
    assert!(tickets.contains("Night") && tickets.contains("2\u{a0}valid"), "{tickets}");
    assert!(tickets.contains("row 1, seat 1") && tickets.contains("Coming up"), "{tickets}");
    let (_, _, account) = browser.get("/account").await;
    assert!(account.contains("Night") && account.contains("2\u{a0}places"), "{account}");
    let order = account.split("href=\"/orders/").nth(1).and_then(|rest| rest.split('"').next());
    let (status, ..) = browser.get(&format!("/orders/{}", order.expect("an order"))).await;
    assert_eq!(status, 200);

    let before = browser.session().to_owned();
    let (_, to, _) = browser.post("/account/sign-out", &[]).await;
    assert_eq!((to.as_str(), browser.session()), ("/", ""));
    browser.set("onsale_session", &before);
    let (_, to, _) = browser.get("/account").await;
    assert_eq!(to, "/sign-in?next=/account", "the old cookie is worth nothing");
    assert_eq!(browser.get("/tickets").await.1, "/sign-in?next=/tickets");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_mailed_link_signs_in_and_pages_rotate_by_themselves() {
    let env = Env::start().await;
    let server = env.server().await;
    let mut browser = Browser::new(&server);
    browser.post("/sign-in", &[("email", "ada@example.org")]).await;
    mail(&server).await;
    let (_, _, token) = mailed(&env).await;
    let (_, _, page) = browser.get(&format!("/sign-in/link?token={token}")).await;
    assert!(page.contains("ada@example.org"), "{page}");
    let (_, to, _) = browser.post("/sign-in/link", &[("token", &token)]).await;
    assert_eq!(to, "/account");
    let (status, ..) = browser.post("/sign-in/link", &[("token", &token)]).await;
    assert_eq!(status, 403);

    // Hours later: the token is too old to be used, and the page brings the next.
    let app = &server.server.app;
    let session = app.keyring.read_token(browser.session(), Timestamp::now()).expect("ours");
    let id = session.session.signed_in.expect("signed in");
    let hours_ago = Timestamp::now() - SignedDuration::from_hours(3);
    let old = app.keyring.signed_in(id, session.session.account, 1, hours_ago);
    browser.set("onsale_session", &old);
    let (status, _, page) = browser.get("/account").await;
    assert_eq!(status, 200, "{page}");
    assert_ne!(browser.session(), old);
    let next = app.keyring.read_token(browser.session(), Timestamp::now()).expect("ours");
    assert_eq!(next.generation, 2);
    // Another tab that had not heard of it, within the grace.
    browser.set("onsale_session", &old);
    assert_eq!(browser.get("/account").await.0, 200);
    // And a thief, after it: both are out.
    run(&env, "UPDATE account_sessions SET rotated_at = rotated_at - interval '31 s'").await;
    let good = browser.session().to_owned();
    browser.set("onsale_session", &old);
    assert_eq!(browser.get("/account").await.1, "/sign-in?next=/account");
    assert_eq!(browser.session(), "");
    browser.set("onsale_session", &good);
    assert_eq!(browser.get("/account").await.1, "/sign-in?next=/account");
    // What a cache may keep never carries a cookie.
    env.event(&Seed::new("show", &hall(2, 8, 0))).await;
    let style = browser.http.get(format!("{}/events/show/levels.css", server.url));
    let style = style.header("cookie", format!("onsale_session={old}")).send().await.expect("css");
    assert_eq!(style.status(), 200);
    assert!(style.headers().get("set-cookie").is_none());
    server.stop().await;
    env.end().await;
}
