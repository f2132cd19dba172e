//! Answers that mean no, as RFC 9457 has them: for programs by `status` and `code`, for people by `detail`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sm2tp_rules::access::Why;
use sm2tp_store::SpoolError;
use sm2tp_store::dkim::DkimError;
use sm2tp_store::federated::FederatedError;
use sm2tp_store::tokens::TokenError;
use sm2tp_store::webhooks::WebhookError;

use super::schema::Wrong;
use crate::confirm::NotAsked;
use crate::control;
use crate::exports::ExportError;
use crate::identity::IdentityError;
use crate::peering::PeeringError;

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: StatusCode,
    /// One word for programs; words are added, never renamed.
    pub code: &'static str,
    pub detail: String,
    /// Which part of the body or which parameter (RFC 6901).
    pub pointer: Option<String>,
    /// Seconds after which it may work.
    pub after_s: Option<u64>,
    /// A field more.
    pub more: Option<Box<(&'static str, Value)>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), pointer: None, after_s: None, more: None }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing at this path; /api/v1/openapi.json names all of them.",
        )
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn too_many(detail: impl Into<String>, after_s: u64) -> Self {
        Self { after_s: Some(after_s), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail) }
    }

    /// What is wrong is ours: the other side hears that it may try again, the log hears why.
    pub(super) fn ours(why: &dyn std::fmt::Display) -> Self {
        tracing::error!(%why, "a request of the interface could not be done");
        let detail = "This cannot be done now; the log of the node says why.";
        Self { after_s: Some(AGAIN_S), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }

    pub(super) fn unfit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", detail)
    }

    /// As JSON.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(pointer) = &self.pointer {
            body["pointer"] = pointer.as_str().into();
        }
        if let Some((name, value)) = self.more.as_deref() {
            body[*name] = value.clone();
        }
        body
    }
}

impl From<Wrong> for Problem {
    fn from(Wrong { pointer, why }: Wrong) -> Self {
        let detail = format!("{} {why}", if pointer.is_empty() { "the body" } else { &pointer });
        Self { pointer: Some(pointer), ..Self::new(StatusCode::BAD_REQUEST, "invalid", detail) }
    }
}

impl From<Why> for Problem {
    fn from(why: Why) -> Self {
        match why {
            // Who may not see it does not learn that it is there.
            Why::OtherOrg { .. } => Self::new(StatusCode::NOT_FOUND, "not-found", why.to_string()),
            Why::Scope(_) => Self::new(StatusCode::FORBIDDEN, "scope-missing", why.to_string()),
            Why::Role { .. } | Why::WholeNode { .. } => Self::new(StatusCode::FORBIDDEN, "forbidden", why.to_string()),
        }
    }
}

impl From<control::Problem> for Problem {
    fn from(problem: control::Problem) -> Self {
        use control::Problem as P;
        let detail = problem.to_string();
        match problem {
            P::Forbidden(why) => why.into(),
            P::NotFound(_)
            | P::Spool(SpoolError::NotQueued { .. })
            | P::Token(TokenError::Unknown(_))
            | P::Webhook(WebhookError::Unknown(_))
            | P::Peering(PeeringError::Unknown(_))
            | P::Dkim(DkimError::NoKey(_))
            | P::Export(ExportError::Nothing)
            | P::Federated(FederatedError::Unknown(_) | FederatedError::NotKept { .. })
            | P::Identity(IdentityError::Unknown(_)) => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
            P::NotAsked(NotAsked::Strangers(after_s)) => Self::too_many(detail, after_s),
            P::NotAsked(_) | P::Token(TokenError::TooMany) | P::Webhook(WebhookError::TooMany) => {
                Self::new(StatusCode::CONFLICT, "conflict", detail)
            }
            P::Peering(error) if error.exit() == 69 => Self::new(StatusCode::BAD_GATEWAY, "peer-unreachable", detail),
            // A queue that is damaged is no fault of who asks, though trying again does not mend it.
            P::Spool(error) => Self::ours(&error),
            // What a person can put right is told apart from what may work later (sysexits).
            other if other.exit() == 65 => Self::unfit(detail),
            other => Self::ours(&other),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body().to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sm2tp\""));
        }
        if let Some(after_s) = self.after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after_s));
        }
        response
    }
}

pub(super) const CONTENT_TYPE: &str = "application/problem+json";
/// A disk or a database that is back in half a minute is no news.
const AGAIN_S: u64 = 30;

#[cfg(test)]
mod tests {
    use sm2tp_store::keys::KeysError;
    use sm2tp_store::{LedgerError, Refused};

    use super::*;
    use crate::control::Refusal;

    #[track_caller]
    fn check(problem: impl Into<control::Problem>, status: u16, code: &str) {
        let problem = Problem::from(problem.into());
        assert_eq!((problem.status.as_u16(), problem.code), (status, code), "{}", problem.detail);
    }

    #[test]
    fn whoever_can_put_it_right_is_told_what_is_wrong_and_nobody_else() {
        check(control::Problem::Input(Refusal::Weight), 422, "unprocessable");
        check(control::Problem::NotFound(Refusal::NoReturns), 404, "not-found");
        check(control::Problem::Failed("no".into()), 503, "unavailable");
        check(FederatedError::Unknown("x".into()), 404, "not-found");
        check(FederatedError::Refused("x".into()), 503, "unavailable");
        check(LedgerError::Refused(Refused::WrongCode), 422, "unprocessable");
        check(LedgerError::Failed("no".into()), 503, "unavailable");
        check(TokenError::Name, 422, "unprocessable");
        check(TokenError::Unknown("7".into()), 404, "not-found");
        check(TokenError::TooMany, 409, "conflict");
        check(TokenError::Random("none".into()), 503, "unavailable");
        check(SpoolError::NotQueued { mail: 7 }, 404, "not-found");
        check(NotAsked::NoTag, 409, "conflict");
        check(NotAsked::Strangers(9), 429, "too-many-requests");
        check(PeeringError::Own, 422, "unprocessable");
        check(PeeringError::Unknown("x".into()), 404, "not-found");
        check(IdentityError::Retired, 422, "unprocessable");
        check(IdentityError::Keys(KeysError::UnderWay), 422, "unprocessable");
        check(ExportError::Nothing, 404, "not-found");
        check(ExportError::Postmap("hangs".into()), 503, "unavailable");
        check(LedgerError::Closed, 503, "unavailable");
    }
}
