//! The body of a request, put together as it comes. A list of its pieces would keep a buffer of some kilobytes for each octet of
//! who sends them one by one.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::Body;
use hyper::body::Body as _;

/// All of it; none where it has more than `octets_max` octets, or breaks off.
pub(crate) async fn read(mut body: Body, octets_max: usize) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Fields behind a body say nothing to us.
        let Ok(piece) = frame.ok()?.into_data() else { continue };
        if octets_max < octets.len() + piece.len() {
            return None;
        }
        octets.extend_from_slice(&piece);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let check = async |text: &'static str, octets_max, want: Option<&str>| {
            assert_eq!(read(Body::from(text), octets_max).await.as_deref(), want.map(str::as_bytes), "{text}");
        };
        check("", 0, Some("")).await;
        check("four", 4, Some("four")).await;
        check("four", 3, None).await;
    }
}
