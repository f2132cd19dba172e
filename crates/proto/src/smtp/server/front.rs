//! XCLIENT: a front takes the place of its client.

use super::{Answer, Ask, Greeting, Session, State, Step};
use crate::Enhanced;
use crate::smtp::refusal::{Refusal, plain_reply};
use crate::smtp::xclient::Xclient;

/// Whether this client is a front that may say XCLIENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XclientOffer {
    No,
    Yes,
}

impl Session {
    pub(super) fn xclient(&mut self, told: Xclient) -> Step {
        if self.offers.xclient == XclientOffer::No {
            // The words of an unknown command: whoever may not say it need not know that it is one.
            return self.bad(&Refusal::new(500, Enhanced(5, 5, 1), "Unknown command"));
        }
        let before = match self.take_state() {
            State::Fresh => None,
            State::Greeted(greeting) => Some(greeting),
            state => {
                self.state = state;
                return self.bad(&Refusal::new(503, Enhanced(5, 5, 1), "Not inside a transaction"));
            }
        };
        // A front may need several commands, since lines have a limit.
        let told = Box::new(self.front.as_deref().cloned().unwrap_or_default().and(told));
        self.state = State::FrontAsked(before, told.clone());
        Step::Ask(Ask::Front { told })
    }

    pub(super) fn front_answered(&mut self, before: Option<Greeting>, told: Box<Xclient>, answer: Answer) -> Step {
        if let Answer::No(refusal) = answer {
            self.state = before.map_or(State::Fresh, State::Greeted);
            return self.bad(&refusal);
        }
        // As after the connection: a banner, and everything but what the front said is forgotten.
        self.state = State::Fresh;
        self.front = Some(told);
        // What lies before the front may not be this machine.
        self.offers.loopback = false;
        self.idle(plain_reply(220, &[format!("{} ESMTP SM2TP", self.offers.hostname)]))
    }
}
