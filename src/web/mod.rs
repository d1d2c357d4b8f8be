//! Pages.

pub mod docs;

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// The pages' routes.
pub fn routes(_app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
}
