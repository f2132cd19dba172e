//! What happens to a spool behind its back: octets and rows that are not what they were.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::Run;
use super::model::Hurt;
use crate::spool::writer::Question;
use crate::spool::{SpoolError, bodies, read, rows};

impl Run {
    /// One that has rows.
    fn a_sound_mail(&mut self) -> Option<u64> {
        self.fold();
        let sound: Vec<u64> =
            self.model.mails.iter().filter(|(_, kept)| kept.hurt.is_none()).map(|(id, _)| *id).collect();
        sound.get(self.dice.below(sound.len())).copied()
    }

    pub(super) fn hurt_body(&mut self) {
        let Some(mail) = self.a_sound_mail() else { return };
        let at = rows::body_at(self.reader(), mail).unwrap().unwrap();
        let (len, flip) = (self.model.mails[&mail].content.len(), 1 << self.dice.below(8));
        let octet = usize::try_from(at.offset).unwrap() + self.dice.below(20 + len);
        self.disk.damage(&bodies::segment_path(Path::new("/bodies"), at.segment), octet, |octet| *octet ^= flip);
        self.model.mails.get_mut(&mail).unwrap().hurt = Some(Hurt::Body);
        self.done.damaged += 1;
        assert!(matches!(read(&self.place(), mail, at), Err(SpoolError::Damaged { .. })));
        let kept = self.disk.octets(&PathBuf::from(format!("/bodies/damaged-{mail}")));
        assert!(kept.is_some() || self.disk.free_octets() < 30_000, "the bytes of mail {mail} were not set aside");
    }

    pub(super) fn hurt_row(&mut self) {
        let Some(mail) = self.a_sound_mail() else { return };
        let at = rows::body_at(self.reader(), mail).unwrap().unwrap();
        let database = Connection::open(self.dir().join("queue.sqlite")).unwrap();
        self.done.damaged += 1;
        let kept = self.model.mails.get_mut(&mail).unwrap();
        let sql = match self.dice.below(5) {
            0 => "UPDATE mail SET mail_from = 'no address' WHERE id = ?1",
            1 => "UPDATE mail SET stream = x'ff00' WHERE id = ?1",
            2 => "UPDATE mail SET octets = -5, segment = 'x' WHERE id = ?1",
            3 => "UPDATE mail SET offset = 'far' WHERE id = ?1",
            _ => {
                let index = *kept.recipients.keys().next().unwrap();
                kept.recipients.get_mut(&index).unwrap().is_readable = false;
                let sql = "UPDATE rcpt SET address = 'nowhere' WHERE mail = ?1 AND idx = ?2";
                database.execute(sql, params![mail, index]).unwrap();
                return;
            }
        };
        kept.hurt = Some(match sql {
            sql if sql.contains("segment") => Hurt::Place(at),
            sql if sql.contains("offset") => Hurt::Offset(at),
            _ => Hurt::Row,
        });
        database.execute(sql, params![mail]).unwrap();
        self.some_place_lost |= kept.hurt != Some(Hurt::Row);
        if let Some(Hurt::Offset(_)) = kept.hurt {
            assert!(rows::body_at(self.reader(), mail).is_err_and(|error| error.is_damage()));
        }
    }

    pub(super) fn hurt_outbox(&mut self) {
        self.fold();
        let ids: Vec<u64> = self.numbers.keys().copied().collect();
        let nth = self.dice.below(ids.len());
        let Some(id) = ids.get(nth).copied() else { return };
        let database = Connection::open(self.dir().join("queue.sqlite")).unwrap();
        let broken = ["{", "{\"v\":1}", "", "\u{fffd}"][self.dice.below(4)];
        database.execute("UPDATE outbox SET told = ?2 WHERE id = ?1", params![id, broken]).unwrap();
        assert_eq!(rows::outbox(self.reader(), 0, u64::MAX, 100_000).unwrap().unreadable, [id]);
        let (to, mut answer) = oneshot::channel();
        self.opened.as_mut().unwrap().writer.serve(vec![Question::SetAside(vec![id], to).into()]);
        answer.try_recv().unwrap().unwrap();
        let aside: String =
            database.query_row("SELECT octets FROM aside WHERE outbox = ?1", [id], |row| row.get(0)).unwrap();
        assert_eq!(aside, broken);
        self.model.told.remove(nth);
        self.numbers.remove(&id);
        self.done.damaged += 1;
    }
}
