//! Sessions over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::ids::AccountId;
use crate::keyring::SESSION_S;

/// A session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Send it as `Authorization: Bearer …`.
    pub token: String,
    /// Whose holds and orders are made with it.
    pub account: AccountId,
    /// When it ends (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Begins an anonymous session: enough to hold and to buy. Nothing is stored.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions",
    operation_id = "createSession",
    responses((status = 201, description = "The session", body = SessionView))
)]
pub async fn create(State(app): State<Arc<App>>) -> (StatusCode, Json<SessionView>) {
    let (account, now) = (AccountId::fresh(), app.now());
    let token = app.keyring.session(account, now);
    let expires_at = now.saturating_add(SignedDuration::from_secs(SESSION_S)).unwrap_or(now);
    (StatusCode::CREATED, Json(SessionView { token, account, expires_at }))
}
