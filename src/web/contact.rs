//! Where mails about an order go, on its page: the confirmation once more, and another address.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::order::{link, render};
use super::page::{Fields, Oops, see_other};
use super::refusals;
use super::session::Visitor;
use crate::app::App;
use crate::http::extract::Path;
use crate::http::problem::{Code, Problem};
use crate::ids::OrderId;
use crate::orders::contact::{self, http as contacts};
use crate::orders::http as orders;
use crate::orders::{Order, OrderStatus};
use crate::say;

/// What the page says about a form of this part.
pub enum Told {
    /// No form was sent.
    Nothing,
    /// The confirmation is on its way again.
    Sent,
    /// The address was changed.
    Changed,
    /// Sending again was refused.
    NotSent(Problem),
    /// The address that was typed was refused.
    NotChanged(Problem, String),
}

impl Told {
    /// What the page's address says was done.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "sent" => Self::Sent,
            "changed" => Self::Changed,
            _ => Self::Nothing,
        }
    }

    /// The page's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotSent(problem) | Self::NotChanged(problem, _) => problem.code.status(),
            _ => StatusCode::OK,
        }
    }
}

/// Who may name another address.
pub enum Change {
    /// Who looks at the page.
    Allowed,
    /// Perhaps they, once they have signed in.
    SignIn,
    /// Another account.
    Other,
}

/// The part of the page.
pub struct Contact {
    /// Who may name another address.
    pub change: Change,
    /// What was done.
    pub done: String,
    /// What was refused.
    pub refused: String,
    /// Whether that is about the address in the field.
    pub wrong: bool,
    /// What is in the field.
    pub typed: String,
}

impl Contact {
    /// The part, for a paid order.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn of(
        app: &App,
        order: &Order,
        visitor: &Visitor,
        told: Told,
    ) -> Result<Option<Self>, Problem> {
        if order.status != OrderStatus::Paid {
            return Ok(None);
        }
        let change = match contact::check(app, order, visitor.session()).await {
            Ok(()) => Change::Allowed,
            Err(problem) if problem.code == Code::SignInNeeded => Change::SignIn,
            Err(problem) if problem.code == Code::Forbidden => Change::Other,
            Err(problem) => return Err(problem),
        };
        let blank = Self {
            change,
            done: String::new(),
            refused: String::new(),
            wrong: false,
            typed: String::new(),
        };
        let email = order.email.as_deref().unwrap_or_default();
        Ok(Some(match told {
            Told::Nothing => blank,
            Told::Sent => Self { done: say("contact.sent").put("email", email).into(), ..blank },
            Told::Changed => {
                Self { done: say("contact.changed").put("email", email).into(), ..blank }
            }
            Told::NotSent(problem) => Self { refused: words(&problem, "contact.often"), ..blank },
            Told::NotChanged(problem, typed) => Self {
                wrong: problem.code == Code::Invalid,
                refused: words(&problem, "contact.often_changed"),
                typed,
                ..blank
            },
        }))
    }
}

/// A refusal in words; what is said of a limit is said of this one.
fn words(problem: &Problem, often: &str) -> String {
    if problem.code == Code::TooManyRequests {
        return say(often).into();
    }
    refusals::advice(problem).text
}

/// Has the confirmation sent again.
pub async fn resend(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let whole = orders::visible(&app, id, visitor.buyer(), link(&fields)).await?;
    let page = app.keyring.order_path(id);
    match contacts::again(&app, &whole.order, visitor.buyer()).await {
        Ok(()) => Ok(see_other(&format!("{page}&told=sent#contact"))),
        Err(problem) if problem.code == Code::OrderState => Ok(see_other(&page)),
        Err(problem) => render(&app, whole, &visitor, None, Told::NotSent(problem)).await,
    }
}

/// Has the mails go to the address that was typed.
pub async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let whole = orders::visible(&app, id, visitor.buyer(), link(&fields)).await?;
    let page = app.keyring.order_path(id);
    let typed = fields.text("email").unwrap_or_default().to_owned();
    match contacts::to(&app, &whole.order, visitor.session(), &typed).await {
        Ok(()) => Ok(see_other(&format!("{page}&told=changed#contact"))),
        // The page says who may; or it isn't paid any more.
        Err(problem)
            if matches!(problem.code, Code::OrderState | Code::SignInNeeded | Code::Forbidden) =>
        {
            Ok(see_other(&page))
        }
        Err(problem) => render(&app, whole, &visitor, None, Told::NotChanged(problem, typed)).await,
    }
}
