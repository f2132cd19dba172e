//! Table: the reasons of peerings, of contacts with peers, and of what this node says of itself.

use sm2tp_federation::descriptor::DescriptorError;

use super::Reason;
use crate::alerts::webhook::NotTaken;
use crate::follow::{ApiFault, FetchError, FollowError};
use crate::identity::IdentityError;
use crate::outgoing::{NoAnswer, Silence};
use crate::peering::PeeringError;

impl From<&PeeringError> for Reason {
    fn from(error: &PeeringError) -> Self {
        let new = Self::new;
        match error {
            PeeringError::Fetch(error) => error.into(),
            PeeringError::Store(error) => error.into(),
            PeeringError::Descriptor { host, source } => {
                new("not-peer-descriptor").text("host", host).because("why", source)
            }
            PeeringError::Elsewhere { typed, says } => {
                new("not-peer-elsewhere").text("typed", typed).text("says", says)
            }
            PeeringError::Own => new("not-peer-own"),
            PeeringError::Already { name, fingerprint } => {
                new("not-peer-twice").text("name", name).text("fingerprint", fingerprint)
            }
            PeeringError::NotAsked { name } => new("not-peer-asked").text("name", name),
            PeeringError::NotAccepted { name } => new("not-peer-accepted").text("name", name),
            PeeringError::Unknown(who) => new("not-peer").text("who", who),
            PeeringError::Ambiguous { who, candidates } => {
                new("not-peer-one").text("who", who).text("candidates", candidates.join(", "))
            }
            PeeringError::Weight(_) => new("not-weight"),
        }
    }
}

impl From<&FetchError> for Reason {
    fn from(error: &FetchError) -> Self {
        let new = Self::new;
        match error {
            FetchError::Url { text, why } => new("not-api").text("text", text).because("why", why),
            FetchError::Unreachable { host, why } => new("not-reached").text("host", host).because("why", why),
            FetchError::Private { host } => new("not-private").text("host", host),
            FetchError::Redirect { host, status } => new("not-redirect").text("host", host).number("status", *status),
            FetchError::Stranger { host } => new("not-stranger").text("host", host),
            FetchError::Busy { host } => new("not-busy").text("host", host),
            FetchError::Status { host, path, status, says: None } => {
                new("not-status").text("host", host).text("path", path).number("status", *status)
            }
            FetchError::Status { host, path, status, says: Some(why) } => {
                let reason = new("not-status-says").text("host", host).text("path", path);
                reason.number("status", *status).said("why", why)
            }
            FetchError::TooLong { host, path, octets_max } => {
                new("not-answer-long").text("host", host).text("path", path).number("max", *octets_max)
            }
            FetchError::Meaning { host, why } => new("not-meaning").text("host", host).said("why", why),
            FetchError::Client(why) => new("not-client").said("why", why),
            FetchError::Keys(error) => error.into(),
            FetchError::Sign(error) => new("not-signed").said("why", error),
        }
    }
}

impl From<&ApiFault> for Reason {
    fn from(fault: &ApiFault) -> Self {
        Self::new(match fault {
            ApiFault::NoServer => "not-api-server",
            ApiFault::Scheme => "not-api-scheme",
            ApiFault::Plain => "not-api-plain",
            ApiFault::More => "not-api-more",
            ApiFault::Path => "not-api-path",
        })
    }
}

impl From<&NoAnswer> for Reason {
    fn from(NoAnswer { kind, said, .. }: &NoAnswer) -> Self {
        let new = Self::new;
        match kind {
            Silence::Late => new("not-answer-late").said("why", said),
            Silence::NoName => new("not-answer-name").said("why", said),
            Silence::NoPublicAddress => new("not-answer-private"),
            Silence::Refused => new("not-answer-refused").said("why", said),
            Silence::Broken => new("not-answer-broken").said("why", said),
            Silence::NoWay => new("not-answer-way").said("why", said),
            Silence::Certificate => new("not-answer-certificate").said("why", said),
            Silence::Tls => new("not-answer-tls").said("why", said),
            Silence::Other => new("not-answer").said("why", said),
        }
    }
}

impl From<&NotTaken> for Reason {
    fn from(error: &NotTaken) -> Self {
        let new = Self::new;
        match error {
            NotTaken::Status(status) => new("not-hook-status").number("status", status.as_u16()),
            NotTaken::Elsewhere(status) => new("not-hook-elsewhere").number("status", status.as_u16()),
            NotTaken::NoAnswer(error) => error.into(),
            NotTaken::Client(why) => new("not-client").said("why", why),
            NotTaken::Late => new("not-hook-late"),
            NotTaken::Unnamed => new("not-hook-unnamed"),
        }
    }
}

impl From<&FollowError> for Reason {
    fn from(error: &FollowError) -> Self {
        let new = Self::new;
        match error {
            FollowError::Fetch(error) => error.into(),
            FollowError::Store(error) => error.into(),
            FollowError::Feed(error) => new("not-feed").said("why", error),
            FollowError::Descriptor(error) => new("not-descriptor").because("why", error),
            FollowError::OtherNode { found } => new("not-other-node").text("node", found),
            FollowError::NoDescriptor(node) => new("not-no-descriptor").text("node", node),
            FollowError::Segment { origin, at, source } => {
                new("not-segment-forged").text("segment", at).text("node", origin).said("why", source)
            }
            FollowError::Refused { origin, at, why } => {
                new("not-segment-refused").text("segment", at).text("node", origin).said("why", why)
            }
            FollowError::OtherSegment { origin, at } => {
                new("not-segment-other").text("segment", at).text("node", origin)
            }
            FollowError::Gap { origin, at } => new("not-segment-gap").text("segment", at).text("node", origin),
            FollowError::TagKeys(why) => new("not-tag-keys").said("why", why),
        }
    }
}

impl From<&DescriptorError> for Reason {
    fn from(error: &DescriptorError) -> Self {
        let new = Self::new;
        match error {
            DescriptorError::TooLong { octets } => new("not-descriptor-long").number("octets", *octets),
            DescriptorError::Json(why) => new("not-descriptor-json").said("why", why),
            DescriptorError::Base64 => new("not-descriptor-base64"),
            DescriptorError::Signature(node) => new("not-descriptor-signature").text("node", node),
            DescriptorError::OtherKey(node) => new("not-descriptor-key").text("node", node),
            DescriptorError::Seq(seq) => new("not-descriptor-seq").text("seq", seq),
            DescriptorError::Text { field, octets } => {
                new("not-descriptor-text").text("field", field).number("octets", *octets)
            }
            DescriptorError::Api(text) => new("not-descriptor-api").text("text", text),
        }
    }
}

impl From<&IdentityError> for Reason {
    fn from(error: &IdentityError) -> Self {
        let new = Self::new;
        match error {
            IdentityError::Store(error) => error.into(),
            IdentityError::Keys(error) => error.into(),
            IdentityError::Descriptor(error) => error.into(),
            IdentityError::Retired => new("not-retired"),
            IdentityError::NeverSigned => new("not-ever-signed"),
            IdentityError::Waiting(why) => new("not-waiting-read").said("why", why),
            IdentityError::Older { seq, known } => new("not-older").text("seq", seq).text("known", known),
            IdentityError::Unknown(node) => new("not-known").text("name", node),
            IdentityError::After(wanted, last) => new("not-after").text("segment", wanted).text("last", last),
        }
    }
}
