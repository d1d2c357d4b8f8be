//! Pages and mails in their reader's language.

use onsale::demo::seed::Seed;
use reqwest::{Client, RequestBuilder, Response};

use crate::support::{Env, TestServer, hall};

/// A reader's browser, without redirects.
struct Reader<'a> {
    server: &'a TestServer,
    http: Client,
}

impl<'a> Reader<'a> {
    fn new(server: &'a TestServer) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { server, http: http.expect("a client") }
    }

    fn asked(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
        let request = request.header("accept", "text/html");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.http.get(format!("{}{path}", self.server.url));
        Self::asked(request, headers).send().await.expect("an answer")
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

const GERMAN: (&str, &str) = ("accept-language", "de-AT,de;q=0.9,en;q=0.7");

#[tokio::test]
async fn the_address_the_choice_or_the_browser_says_in_which_language_a_page_is() {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(4, 10, 0))).await;
    let server = env.server().await;
    let reader = Reader::new(&server);

    let plain = reader.get("/", &[]).await;
    assert_eq!(header(&plain, "content-language"), "en");
    let german = reader.get("/events/show", &[GERMAN]).await;
    assert_eq!(header(&german, "content-language"), "de");
    let vary: Vec<_> = german.headers().get_all("vary").iter().collect();
    assert!(vary.iter().any(|v| v.to_str().expect("text").contains("accept-language")), "{vary:?}");
    let page = german.text().await.expect("a page");
    assert!(page.contains("<html lang=\"de\">") && page.contains("Endpreise"), "{page}");
    assert!(page.contains("153,73\u{a0}€"), "money as Germans write it: {page}");

    let chosen = reader.get("/events/show?lang=en", &[GERMAN]).await;
    assert_eq!(header(&chosen, "content-language"), "en");
    let cookie = header(&chosen, "set-cookie").split(';').next().expect("a cookie").to_owned();
    assert_eq!(cookie, "onsale_language=en");
    let later = reader.get("/", &[GERMAN, ("cookie", &cookie)]).await;
    assert_eq!(header(&later, "content-language"), "en");
    // Where only a form leads, a choice is kept on the way to its page.
    let up = reader.get("/sign-in/code?lang=de", &[]).await;
    assert_eq!((up.status().as_u16(), header(&up, "location")), (303, "/sign-in"));
    assert!(header(&up, "set-cookie").starts_with("onsale_language=de"));

    // Pages that know all parameters of theirs don't wonder about this one.
    let account = reader.get("/account?lang=de", &[]).await;
    assert_eq!(header(&account, "location"), "/sign-in?next=/account");

    let missing = reader.get("/nothing/here", &[GERMAN]).await;
    assert_eq!((missing.status().as_u16(), header(&missing, "content-language")), (404, "de"));
    assert!(missing.text().await.expect("a page").contains("Hier ist nichts"));
    let api = reader.get("/v1/events/show", &[GERMAN]).await;
    assert_eq!(header(&api, "content-language"), "", "the API speaks to programs");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn refusals_and_mails_are_in_the_language_of_the_page() {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(4, 10, 0))).await;
    let server = env.server().await;
    let reader = Reader::new(&server);
    let form = |path: &str, fields: &[(&str, &str)]| {
        let request = reader.http.post(format!("{}{path}", server.url)).form(fields);
        Reader::asked(request, &[GERMAN]).send()
    };
    let refused = form("/events/show/holds", &[("key", "one")]).await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 422);
    let page = refused.text().await.expect("a page");
    assert!(page.contains("Wählen Sie aus, wie viele Tickets Sie möchten."), "{page}");
    let wrong = form("/sign-in", &[("email", "nobody")]).await.expect("an answer");
    let page = wrong.text().await.expect("a page");
    assert!(page.contains("An diese Adresse kann keine E-Mail gesendet werden."), "{page}");

    let asked = form("/sign-in", &[("email", "ada@example.org")]).await.expect("an answer");
    assert_eq!(asked.status().as_u16(), 200);
    let locale = sqlx::query_scalar::<_, Option<String>>("SELECT locale FROM sign_ins");
    assert_eq!(locale.fetch_one(&env.pg).await.expect("read").as_deref(), Some("de"));
    server.stop().await;
    env.end().await;
}
