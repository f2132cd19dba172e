//! Who looks: by which way a request came, in which language, and whose session its cookie opens.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use sm2tp_rules::guess;
use sm2tp_store::persons::{LIFE_S, Person};

use super::form::encoded;
use crate::http::{Client, Lang, Refusal, Shared, language, local};
use crate::smtp::Guard;

/// Where browsers reach the pages through a web server: `https://relay.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Host, and port where it is not the usual one: what browsers send as `Host`.
    authority: String,
    /// The browser speaks TLS with the server in front.
    is_secure: bool,
}

/// Who guessed passwords of persons.
pub(crate) struct Logins(pub Guard);

impl Default for Logins {
    fn default() -> Self {
        Self(Guard::new(guess::Limits::default()))
    }
}

impl PublicUrl {
    /// From `https://host` or `http://host`, with or without a port; what is no such thing is none.
    #[must_use]
    pub fn new(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.trim_end_matches('/').to_ascii_lowercase();
        let is_secure = scheme == "https";
        (!authority.is_empty() && !authority.contains('/')).then_some(Self { authority, is_secure })
    }
}

/// By which way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A browser on this machine, or at the end of a tunnel.
    Here,
    /// Under the public address, in TLS.
    Secure,
    /// Under a public address without TLS, which only loopback may have.
    Clear,
}

/// Who is logged in.
pub(super) struct Visitor {
    pub person: Person,
    /// What the forms of this session carry.
    pub form_token: String,
    pub lang: Lang,
    pub way: Way,
    /// From where guesses are counted.
    pub client: IpAddr,
    /// What the browser shows; its hash is kept.
    pub session: String,
}

impl FromRequestParts<Arc<Shared>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let way = way(shared, parts).map_err(IntoResponse::into_response)?;
        let client = parts.extensions.get::<Client>().copied();
        let client = client.ok_or_else(|| Refusal::Trouble("a request of nobody".into()).into_response())?;
        let found = known(shared, &parts.headers, way, client).await.map_err(IntoResponse::into_response)?;
        found.ok_or_else(|| {
            let to = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            match to {
                "/" => Redirect::to("/login").into_response(),
                // What was asked for is shown after the login; a form that was sent is not sent again.
                to if parts.method == "GET" => Redirect::to(&format!("/login?next={}", encoded(to))).into_response(),
                _ => Redirect::to("/login").into_response(),
            }
        })
    }
}

/// The session that a request opens, if it does.
pub(super) async fn known(
    shared: &Shared,
    headers: &HeaderMap,
    way: Way,
    client: Client,
) -> Result<Option<Visitor>, Refusal> {
    let Some(session) = cookie(headers, way.cookie()) else { return Ok(None) };
    let found = shared.house.persons.session(session, crate::now()).await;
    let found = found.map_err(|error| Refusal::Trouble(error.to_string()))?;
    Ok(found.map(|found| Visitor {
        person: found.person,
        form_token: found.form_token,
        lang: lang(headers, shared),
        way,
        client: guesser(client.0, headers, way),
        session: session.to_owned(),
    }))
}

/// Pages of persons are shown under the names that this node has, and under no other: a page of another site that made its
/// name point here would send that name.
pub(super) fn way(shared: &Shared, parts: &Parts) -> Result<Way, Refusal> {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if let Some(public) = shared.public.as_ref().filter(|public| public.authority.eq_ignore_ascii_case(host)) {
        return Ok(if public.is_secure { Way::Secure } else { Way::Clear });
    }
    let client = parts.extensions.get::<Client>().ok_or_else(|| Refusal::Trouble("a request of nobody".into()))?;
    match local(*client, &parts.headers) {
        Ok(()) => Ok(Way::Here),
        Err(_) => Err(Refusal::Forbidden(ELSEWHERE)),
    }
}

/// Who guesses: the client, or behind a web server on this machine whom that one names last, which no client can write.
pub(super) fn guesser(client: SocketAddr, headers: &HeaderMap, way: Way) -> IpAddr {
    let named = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let last = named.and_then(|value| value.rsplit(',').next()?.trim().parse().ok());
    match last {
        Some(last) if way != Way::Here && client.ip().to_canonical().is_loopback() => last,
        _ => client.ip(),
    }
}

/// What was chosen on a page, before what the browser wants, before what the node speaks.
pub(super) fn lang(headers: &HeaderMap, shared: &Shared) -> Lang {
    let chosen = cookie(headers, LANGUAGE).and_then(Lang::from_tag);
    chosen.unwrap_or_else(|| language(headers, shared.lang))
}

impl Way {
    /// `__Host-`: a browser takes it over TLS only, from this host alone, for all its paths (RFC 6265bis §4.1.3.2).
    fn cookie(self) -> &'static str {
        match self {
            Self::Secure => "__Host-sm2tp",
            Self::Here | Self::Clear => "sm2tp",
        }
    }

    /// What a browser is told to keep.
    pub(super) fn set_session(self, session: &str) -> String {
        format!("{}={session}; Max-Age={LIFE_S}; {}", self.cookie(), self.attributes())
    }

    pub(super) fn forget_session(self) -> String {
        format!("{}=; Max-Age=0; {}", self.cookie(), self.attributes())
    }

    pub(super) fn set_language(self, lang: Lang) -> String {
        format!("{LANGUAGE}={}; Max-Age={YEAR_S}; {}", lang.tag(), self.attributes())
    }

    /// Lax: who follows a link from an alert is logged in, and a form of another site is not (RFC 6265bis §5.6.7).
    fn attributes(self) -> &'static str {
        match self {
            Self::Secure => "Path=/; HttpOnly; SameSite=Lax; Secure",
            Self::Here | Self::Clear => "Path=/; HttpOnly; SameSite=Lax",
        }
    }
}

/// The first cookie of this name.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|pairs| pairs.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

const LANGUAGE: &str = "sm2tp-language";
const YEAR_S: u64 = 365 * 86_400;
const ELSEWHERE: &str = "These pages are shown on the machine itself, for instance through ssh -L 8025:127.0.0.1:8025 as \
    http://127.0.0.1:8025/, and under the address that public_url in [http] names. This is neither.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "xsm2tp=1; sm2tp-language=fr;sm2tp=abc; sm2tp=later".parse().unwrap());
        assert_eq!(cookie(&headers, "sm2tp"), Some("abc"));
        assert_eq!(cookie(&headers, LANGUAGE), Some("fr"));
        assert_eq!(cookie(&headers, "__Host-sm2tp"), None);
    }

    #[test]
    fn only_a_web_server_on_this_machine_says_who_its_client_is() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.9".parse().unwrap());
        headers.append("x-forwarded-for", "203.0.113.1, 192.0.2.7".parse().unwrap());
        let here = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(guesser(here, &headers, Way::Secure), "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(guesser(here, &headers, Way::Here), "127.0.0.1".parse::<IpAddr>().unwrap());
        let other = "198.51.100.1:5000".parse().unwrap();
        assert_eq!(guesser(other, &headers, Way::Secure), "198.51.100.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_public_address_is_a_host() {
        let url = |text| PublicUrl::new(text).map(|url| (url.authority, url.is_secure));
        assert_eq!(url("https://Relay.example.org/"), Some(("relay.example.org".into(), true)));
        assert_eq!(url("http://127.0.0.1:8025"), Some(("127.0.0.1:8025".into(), false)));
        for none in ["relay.example.org", "https://", "https://a.example/x"] {
            assert_eq!(url(none), None, "{none}");
        }
    }
}
