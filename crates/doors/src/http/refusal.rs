//! Answers that mean no: short for the other side, whole in our log.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sm2tp_federation::feed::{DeadCursor, FeedId};
use sm2tp_federation::request::RequestError;
use sm2tp_store::federated::FederatedError;
use thiserror::Error;

/// Why a request is not answered as hoped.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// To the other side a bare 401: what is wrong would help whoever tries.
    #[error("not signed by an accepted peer: {0}")]
    Unsigned(#[from] RequestError),
    #[error("the nonce {0:?} was used before")]
    Replay(String),
    #[error("{what}; come again in {after_s} s")]
    TooMany { what: &'static str, after_s: u64 },
    #[error("{0}")]
    Bad(&'static str),
    #[error("the body has more than {0} octets, or did not arrive in time")]
    Body(usize),
    #[error("{0}")]
    Absent(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("the cursor is not of this feed")]
    DeadCursor(FeedId),
    #[error(transparent)]
    Store(#[from] FederatedError),
    #[error("{0}")]
    Trouble(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Unsigned(_) | Self::Replay(_) => {
                tracing::info!(why = %text, "a federation request was refused");
                StatusCode::UNAUTHORIZED.into_response()
            }
            Self::TooMany { after_s, .. } => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", after_s.to_string())], text + "\n").into_response()
            }
            Self::Bad(_) => (StatusCode::BAD_REQUEST, text + "\n").into_response(),
            Self::Body(_) => (StatusCode::PAYLOAD_TOO_LARGE, text + "\n").into_response(),
            Self::Absent(_) => (StatusCode::NOT_FOUND, text + "\n").into_response(),
            Self::Conflict(_) => (StatusCode::CONFLICT, text + "\n").into_response(),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, text + "\n").into_response(),
            Self::DeadCursor(feed) => (StatusCode::GONE, Json(DeadCursor { feed })).into_response(),
            Self::Store(FederatedError::NotKept { .. }) => {
                (StatusCode::NOT_FOUND, "it is not kept here\n").into_response()
            }
            Self::Store(_) | Self::Trouble(_) => {
                tracing::error!(why = %text, "an HTTP request could not be answered");
                (StatusCode::SERVICE_UNAVAILABLE, "not now\n").into_response()
            }
        }
    }
}
