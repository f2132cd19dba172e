//! What a report says of a recipient, as something to classify.

use sm2tp_proto::report::{Recipient, Unnamed};

use super::Said;
use crate::outcome::Stage;

impl<'a> Said<'a> {
    /// What a report says of this recipient. `reporter` is who wrote the report: the recipient's own server where it names
    /// no other.
    #[must_use]
    pub fn reported(recipient: &'a Recipient, reporter: Option<&'a str>) -> Self {
        let said = Self::of_text(recipient.diagnostic.as_deref().unwrap_or_default());
        // What the server said is surer than what the reporter made of it.
        let enhanced = said.enhanced.or(recipient.status);
        Self { stage: Some(Stage::Dsn), mx: recipient.remote_mta.as_deref().or(reporter), enhanced, ..said }
    }

    /// What a report says that names nobody.
    #[must_use]
    pub fn of_unnamed(unnamed: &'a Unnamed) -> Self {
        let said = Self::of_text(&unnamed.diagnostic);
        Self { stage: Some(Stage::Dsn), enhanced: said.enhanced.or(unnamed.status), ..said }
    }
}
