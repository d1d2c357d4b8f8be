//! The same on pages: refused, in line, and led to what came back.

use reqwest::{Client, Response};

use super::{Shop, give_back};
use crate::support::stage::{SHOW, returns_are_due};
use crate::support::{Buyer, until};

/// A buyer's browser, without redirects.
struct Browser<'a> {
    shop: &'a Shop,
    buyer: Buyer,
    http: Client,
}

impl<'a> Browser<'a> {
    async fn open(shop: &'a Shop) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { shop, buyer: shop.server.buyer().await, http: http.expect("a client") }
    }

    async fn send(&self, path: &str, form: Option<&[(String, String)]>) -> Response {
        let url = format!("{}/events/{SHOW}{path}", self.shop.server.url);
        let request = match form {
            Some(form) => self.http.post(url).form(form),
            None => self.http.get(url),
        };
        let cookie = format!("onsale_session={}", self.buyer.token);
        let request = request.header("cookie", cookie).header("accept", "text/html");
        request.send().await.expect("an answer")
    }

    async fn state(&self, ask: &str) -> serde_json::Value {
        self.send(&format!("{ask}/state"), None).await.json().await.expect("JSON")
    }
}

/// Where an answer leads, below the event's address.
fn leads(answer: &Response) -> String {
    let to = answer.headers()["location"].to_str().expect("text");
    to.strip_prefix(&format!("/events/{SHOW}")).expect("the event's page").to_owned()
}

/// The hidden fields of the page's form for asks.
fn ask_form(page: &str) -> Vec<(String, String)> {
    let form = page.split("class=\"ask sheet\"").nth(1).expect("a form");
    let form = form.split("</form>").next().expect("its end");
    let value = |text: &str, name: &str| {
        let rest = text.split(&format!(" {name}=\"")).nth(1).expect("an attribute");
        rest.split('"').next().expect("its end").to_owned()
    };
    let inputs = form.split("<input ").skip(1);
    inputs.map(|input| (value(input, "name"), value(input, "value"))).collect()
}

#[tokio::test]
async fn who_is_refused_on_a_page_waits_there_and_is_led_to_what_comes_back() {
    let shop = Shop::open(0).await;
    let ada = shop.server.buyer().await;
    let mut pairs = Vec::new();
    for number in 0..6 {
        let hold = ada.hold_best(SHOW, &shop.offer, &format!("k{number}"), 2).await;
        pairs.push(hold.expect(201));
    }
    let zoe = Browser::open(&shop).await;
    let wish = [("n-0".to_owned(), "2".to_owned()), ("key".to_owned(), "a".to_owned())];
    let refused = zoe.send("/holds", Some(&wish)).await;
    assert_eq!(refused.status(), 409);
    let form = ask_form(&refused.text().await.expect("a page"));
    assert!(form.contains(&wish[0]), "{form:?}");

    let asked = zoe.send("/asks", Some(&form)).await;
    assert_eq!(asked.status(), 303);
    let ask = leads(&asked);
    // Sent twice, and asked anew: it stays one ask.
    assert_eq!(leads(&zoe.send("/asks", Some(&form)).await), ask);
    let another = [wish[0].clone(), ("key".to_owned(), "b".to_owned())];
    assert_eq!(leads(&zoe.send("/asks", Some(&another)).await), ask);
    let page = zoe.send(&ask, None).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.expect("a page").contains("in line for places that come back"));
    assert_eq!(zoe.state(&ask).await["state"], "waiting");
    // It is nobody else's.
    let eve = Browser::open(&shop).await;
    assert_eq!(eve.send(&ask, None).await.status(), 410);

    give_back(&ada, &pairs[0]).await;
    until("what comes back is held", || async {
        returns_are_due(&shop.env).await;
        shop.sweep().await;
        zoe.state(&ask).await["state"] == "held"
    })
    .await;
    let led = zoe.send(&ask, None).await;
    assert_eq!(led.status(), 303);
    let hold = leads(&led);
    assert!(hold.starts_with("/holds/"), "{hold}");
    assert_eq!(zoe.send(&hold, None).await.status(), 200);
    shop.end().await;
}

#[tokio::test]
async fn who_waits_no_longer_is_out_of_the_line() {
    let shop = Shop::open(0).await;
    let zoe = Browser::open(&shop).await;
    // More than any row has.
    let wish = [("n-0".to_owned(), "7".to_owned()), ("key".to_owned(), "a".to_owned())];
    let refused = zoe.send("/holds", Some(&wish)).await;
    let form = ask_form(&refused.text().await.expect("a page"));
    let ask = leads(&zoe.send("/asks", Some(&form)).await);
    let left = zoe.send(&format!("{ask}/withdraw"), Some(&[])).await;
    assert_eq!((left.status().as_u16(), leads(&left).as_str()), (303, "/choose"));
    assert_eq!(zoe.send(&ask, None).await.status(), 410);
    shop.end().await;
}
