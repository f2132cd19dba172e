//! Reasons as sentences, in English and in French.

use super::{Reason, Sign, Window};

impl Reason {
    /// One sentence without a full stop.
    #[must_use]
    pub fn english(&self) -> String {
        let Self { count, of, limit, usual, .. } = *self;
        let when = match self.window {
            Window::Minutes => "in ten minutes",
            Window::Hour => "in an hour",
            Window::Day => "in a day",
            Window::Week => "in a week",
        };
        let [share, own] = [limit, usual].map(|permille| percent(permille, '.'));
        let seen = percent(permille(count, of), '.');
        match self.sign {
            Sign::Volume => format!("{count} recipients {when}; {limit} are in order, {usual} are usual"),
            Sign::New => format!(
                "{count} recipients {when} to whom this sender never wrote before; {limit} are in order, {usual} are usual"
            ),
            Sign::Elsewhere => {
                format!(
                    "{count} recipients {when} from a network that this sender did not use before; {limit} are in order"
                )
            }
            Sign::OddHours => format!(
                "{count} recipients {when} at a time of day at which this sender never writes; {limit} are in order"
            ),
            Sign::LargeMails => {
                format!("{count} recipients {when} beyond the usual number in one mail; {limit} are in order")
            }
            Sign::Networks => {
                format!("{count} networks {when} that this sender never used before; {limit} are too many")
            }
            Sign::Dead => format!(
                "{count} of {of} recipients {when} do not exist ({seen} %); {share} % are in order, {own} % are usual"
            ),
            Sign::Suppressed => format!(
                "{count} of {of} recipients {when} are on the list of addresses that are not written to ({seen} %); \
                 {share} % are in order, {own} % are usual"
            ),
            Sign::Refused => format!(
                "the content of {count} of {of} mails {when} was refused ({seen} %); {share} % are in order, \
                 {own} % are usual"
            ),
            Sign::Complained => {
                format!("{count} complaints about {of} mails {when} ({seen} %); {share} % are in order")
            }
            Sign::Org => format!(
                "all senders of the organisation together are unusual, and this one wrote to {count} people {when} to \
                 whom it never wrote before; {limit} are in order"
            ),
        }
    }

    /// Une phrase sans point final.
    #[must_use]
    pub fn french(&self) -> String {
        let Self { count, of, limit, usual, .. } = *self;
        let when = match self.window {
            Window::Minutes => "en dix minutes",
            Window::Hour => "en une heure",
            Window::Day => "en un jour",
            Window::Week => "en une semaine",
        };
        let [share, own] = [limit, usual].map(|permille| percent(permille, ','));
        let seen = percent(permille(count, of), ',');
        match self.sign {
            Sign::Volume => {
                format!("{count} destinataires {when}\u{a0}; limite\u{a0}: {limit}, d’habitude\u{a0}: {usual}")
            }
            Sign::New => format!(
                "{count} destinataires {when} auxquels cet émetteur n’avait jamais écrit\u{a0}; limite\u{a0}: {limit}, d’habitude\u{a0}: {usual}"
            ),
            Sign::Elsewhere => format!(
                "{count} destinataires {when} depuis un réseau que cet émetteur n’utilisait pas\u{a0}; limite\u{a0}: {limit}"
            ),
            Sign::OddHours => {
                format!(
                    "{count} destinataires {when} à des heures où cet émetteur n’écrit jamais\u{a0}; limite\u{a0}: {limit}"
                )
            }
            Sign::LargeMails => {
                format!(
                    "{count} destinataires {when} au-delà du nombre habituel par message\u{a0}; limite\u{a0}: {limit}"
                )
            }
            Sign::Networks => {
                format!("{count} réseaux {when} que cet émetteur n’avait jamais utilisés\u{a0}; {limit} sont de trop")
            }
            Sign::Dead => format!(
                "{count} destinataires sur {of} {when} n’existent pas ({seen}\u{a0}%)\u{a0}; limite\u{a0}: {share}\u{a0}%, d’habitude\u{a0}: {own}\u{a0}%"
            ),
            Sign::Suppressed => format!(
                "{count} destinataires sur {of} {when} figurent sur la liste de blocage ({seen}\u{a0}%)\u{a0}; limite\u{a0}: {share}\u{a0}%, \
                 d’habitude\u{a0}: {own}\u{a0}%"
            ),
            Sign::Refused => format!(
                "le contenu de {count} messages sur {of} {when} a été refusé ({seen}\u{a0}%)\u{a0}; limite\u{a0}: {share}\u{a0}%, \
                 d’habitude\u{a0}: {own}\u{a0}%"
            ),
            Sign::Complained => {
                format!(
                    "{count} plaintes pour {of} messages {when} ({seen}\u{a0}%)\u{a0}; limite\u{a0}: {share}\u{a0}%"
                )
            }
            Sign::Org => format!(
                "l’ensemble des émetteurs de l’organisation est inhabituel, et celui-ci a écrit {when} à {count} personnes \
                 auxquelles il n’avait jamais écrit\u{a0}; limite\u{a0}: {limit}"
            ),
        }
    }
}

fn permille(count: u32, of: u32) -> u32 {
    let permille = u64::from(count) * 1000 / u64::from(of.max(1));
    u32::try_from(permille).unwrap_or(u32::MAX)
}

/// Thousandths as a percentage: 53 is 5.3, 50 is 5.
fn percent(permille: u32, point: char) -> String {
    match permille % 10 {
        0 => format!("{}", permille / 10),
        tenth => format!("{}{point}{tenth}", permille / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Level;

    #[test]
    fn a_reason_says_its_numbers_in_both_languages() {
        #[track_caller]
        fn check(sign: Sign, window: Window, english: &str, french: &str) {
            let reason = Reason { sign, window, count: 12, of: 100, limit: 53, usual: 10, level: Level::Slow };
            assert_eq!((reason.english().as_str(), reason.french().as_str()), (english, french));
        }
        check(
            Sign::Volume,
            Window::Hour,
            "12 recipients in an hour; 53 are in order, 10 are usual",
            "12 destinataires en une heure\u{a0}; limite\u{a0}: 53, d’habitude\u{a0}: 10",
        );
        check(
            Sign::Dead,
            Window::Day,
            "12 of 100 recipients in a day do not exist (12 %); 5.3 % are in order, 1 % are usual",
            "12 destinataires sur 100 en un jour n’existent pas (12\u{a0}%)\u{a0}; limite\u{a0}: 5,3\u{a0}%, d’habitude\u{a0}: 1\u{a0}%",
        );
        for sign in Sign::ALL {
            let reason =
                Reason { sign: *sign, window: Window::Week, count: 7, of: 0, limit: 1, usual: 0, level: Level::Slow };
            assert!(reason.english().contains('7') && reason.french().contains('7'));
        }
    }
}
