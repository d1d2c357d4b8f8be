//! The shop in other sites' pages: who may frame it, and which cookies its frames have.

use onsale::demo::seed::Seed;
use reqwest::{Client, Response};

use crate::support::{Env, TestServer, hall};

const FESTIVAL: &str = "https://festival.example";

/// A frame in a page of another site, without redirects.
struct Frame<'a> {
    server: &'a TestServer,
    http: Client,
}

impl<'a> Frame<'a> {
    fn new(server: &'a TestServer) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { server, http: http.expect("a client") }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.http.get(format!("{}{path}", self.server.url));
        let request = request.header("accept", "text/html");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.expect("an answer")
    }

    async fn enter(&self, host: &str, site: &str) -> Response {
        let host = host.replace(':', "%3A").replace('/', "%2F");
        let headers = [("sec-fetch-dest", "iframe"), ("sec-fetch-site", site)];
        self.get(&format!("/embed/show?host={host}&lang=de"), &headers).await
    }
}

fn cookies(response: &Response) -> Vec<String> {
    let all = response.headers().get_all("set-cookie").iter();
    all.map(|value| value.to_str().expect("text").to_owned()).collect()
}

/// Who may frame a page, by its policy.
fn ancestors(response: &Response) -> &str {
    let policy = response.headers()["content-security-policy"].to_str().expect("text");
    policy.split("frame-ancestors ").nth(1).expect("the rule")
}

#[tokio::test]
async fn a_frame_is_for_the_page_that_it_began_in_and_for_no_other() {
    let mut env = Env::start().await;
    env.config.http.embed_origins = vec![FESTIVAL.into(), "https://other.example".into()];
    env.event(&Seed::new("show", &hall(4, 10, 0))).await;
    let server = env.server().await;
    let frame = Frame::new(&server);

    let begun = frame.enter(FESTIVAL, "cross-site").await;
    assert_eq!(begun.status(), 303);
    assert_eq!(begun.headers()["location"], "/events/show/choose");
    let given = cookies(&begun);
    let apart = "; SameSite=None; Secure; Partitioned";
    assert!(given.iter().all(|cookie| cookie.ends_with(apart)), "{given:?}");
    let host = format!("onsale_host=far.{FESTIVAL}");
    assert!(given.iter().any(|cookie| cookie.starts_with(&format!("{host}; "))), "{given:?}");
    assert!(given.iter().any(|cookie| cookie.starts_with("onsale_language=de")), "{given:?}");

    let inside = [("sec-fetch-dest", "iframe"), ("cookie", host.as_str())];
    let page = frame.get("/events/show/choose", &inside).await;
    assert_eq!(ancestors(&page), FESTIVAL);
    let given = cookies(&page);
    let session = given.iter().find(|cookie| cookie.starts_with("onsale_session="));
    assert!(session.expect("a session").ends_with(apart), "{given:?}");
    let text = page.text().await.expect("a page");
    assert!(text.contains(&format!("class=\"framed\" data-host=\"{FESTIVAL}\"")), "{text}");

    // The same visitor in the shop's own window, and one whose browser keeps no such cookie.
    for headers in [[("sec-fetch-dest", "document"), inside[1]], [inside[0], ("x-none", "1")]] {
        let page = frame.get("/events/show/choose", &headers).await;
        assert_eq!(ancestors(&page), "'none'");
        let given = cookies(&page);
        assert!(given.iter().all(|cookie| cookie.ends_with("; SameSite=Lax")), "{given:?}");
        assert!(!page.text().await.expect("a page").contains("framed.js"));
    }
    // What isn't there, and what is none of the shop's pages.
    assert_eq!(ancestors(&frame.get("/events/none", &inside).await), FESTIVAL);
    assert_eq!(ancestors(&frame.get("/mailbox", &inside).await), "'none'");
    assert_eq!(ancestors(&frame.get("/docs", &inside).await), "'none'");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_page_of_the_shops_own_site_frames_it_with_its_usual_cookies() {
    let mut env = Env::start().await;
    env.config.http.embed_origins = vec![FESTIVAL.into()];
    env.event(&Seed::new("show", &hall(4, 10, 0))).await;
    let server = env.server().await;
    let frame = Frame::new(&server);
    let given = cookies(&frame.enter(FESTIVAL, "same-site").await);
    assert!(given.iter().all(|cookie| cookie.ends_with("; SameSite=Lax")), "{given:?}");
    let host = format!("onsale_host=near.{FESTIVAL}");
    let inside = [("sec-fetch-dest", "iframe"), ("cookie", host.as_str())];
    assert_eq!(ancestors(&frame.get("/events/show", &inside).await), FESTIVAL);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn who_is_not_configured_gets_no_frame() {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(4, 10, 0))).await;
    let server = env.server().await;
    let frame = Frame::new(&server);
    let refused = frame.enter(FESTIVAL, "cross-site").await;
    assert_eq!((refused.status().as_u16(), ancestors(&refused)), (403, "'none'"));
    assert!(cookies(&refused).iter().all(|cookie| !cookie.contains("onsale_host")));
    let host = format!("onsale_host=far.{FESTIVAL}");
    let inside = [("sec-fetch-dest", "iframe"), ("cookie", host.as_str())];
    assert_eq!(ancestors(&frame.get("/events/show", &inside).await), "'none'");

    let script = frame.get("/embed.js", &[]).await;
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    let script = script.text().await.expect("a script");
    assert!(script.contains("\"hosts\":[]") && script.contains("Tickets kaufen"), "{script}");
    server.stop().await;
    env.end().await;
}
