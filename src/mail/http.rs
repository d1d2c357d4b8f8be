//! `/mailbox`: what buyers would have been sent. It shows everybody's secret links, so it is
//! there only where the configuration says so.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::mailbox::{self, Kept};
use crate::app::App;
use crate::http::extract::Path;
use crate::http::problem::{Code, Problem};

/// Mails on the page.
const SHOWN: i64 = 50;

/// The mailbox's routes: none unless `mail.mailbox` is set.
pub fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    if !app.config.mail.mailbox {
        return Router::new();
    }
    let pages = Router::new().route("/mailbox", get(page)).route("/mailbox/{mail}", get(source));
    crate::web::dressed(app, pages)
}

#[derive(Template)]
#[template(path = "mailbox.html")]
struct Page {
    mails: Vec<Shown>,
    shown: i64,
}

struct Shown {
    id: i64,
    recipient: String,
    subject: String,
    at: String,
    lines: Vec<Text>,
}

/// A line of a mail; links can be followed.
struct Text {
    text: String,
    link: bool,
}

impl From<Kept> for Shown {
    fn from(kept: Kept) -> Self {
        let line = |text: &str| Text {
            link: text.starts_with("https://") || text.starts_with("http://"),
            text: text.to_owned(),
        };
        Self {
            id: kept.id,
            recipient: kept.recipient,
            subject: kept.subject,
            at: kept.created_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            lines: kept.body.lines().map(line).collect(),
        }
    }
}

async fn page(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let mails = mailbox::newest(&app.pg, SHOWN).await?;
    let page = Page { mails: mails.into_iter().map(Shown::from).collect(), shown: SHOWN };
    let html = page.render().map_err(Problem::internal)?;
    Ok(Html(html).into_response())
}

async fn source(
    State(app): State<Arc<App>>,
    Path(mail): Path<String>,
) -> Result<Response, Problem> {
    let id = mail.strip_suffix(".eml").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Problem::new(Code::NotFound))?;
    let message = mailbox::message(&app.pg, id).await?;
    let message = message.ok_or_else(|| Problem::new(Code::NotFound))?;
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, message).into_response())
}
