//! Answers in JSON.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Problem;

/// Room that an answer begins with, in bytes. Nearly all fit; one that grows is copied each time.
const ROOM: usize = 1_024;

/// An answer's body. Unlike axum's it is written into memory of about the right size, in pieces
/// that a plain vector takes faster than a shared buffer does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut bytes = Vec::with_capacity(ROOM);
        if let Err(error) = serde_json::to_writer(&mut bytes, &self.0) {
            return Problem::internal(error).into_response();
        }
        let mut response = Response::new(Body::from(bytes));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    async fn read(response: Response) -> (StatusCode, String, String) {
        let status = response.status();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind, String::from_utf8(bytes.into()).unwrap())
    }

    #[tokio::test]
    async fn answers_are_json_or_a_problem() {
        let long = "x".repeat(3 * ROOM);
        let (status, kind, text) = read(Json(&long).into_response()).await;
        assert_eq!((status, &*kind), (StatusCode::OK, "application/json"));
        assert_eq!(text, format!("\"{long}\""));
        // Keys of a map have to be texts.
        let map = std::collections::HashMap::from([(vec![1], 1)]);
        let (status, kind, _) = read(Json(map).into_response()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(kind, "application/problem+json");
    }
}
