//! The index on the disk says what a plain map in memory says, whatever happens to its files.

use std::collections::BTreeMap;

use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::Class;
use sm2tp_federation::tags::Tag;

use super::super::mark::Mark;
use super::*;
use crate::testing::TempDir;

/// What a segment says.
type Segment = Vec<(Tag, Mark)>;

/// An index and all that it was ever told.
struct Tried {
    dir: TempDir,
    random: u64,
    told: BTreeMap<u64, Segment>,
    /// What was erased and may stand in a run.
    gone: Vec<Place>,
    index: Arc<RwLock<Index>>,
    upkeep: Upkeep,
}

impl Tried {
    fn new(seed: u64) -> Self {
        let dir = TempDir::quick();
        let (index, upkeep, owed) = open(&dir);
        assert_eq!(owed, [Rows { first: 0, last: u64::MAX }]);
        Self { dir, random: seed, told: BTreeMap::new(), gone: Vec::new(), index, upkeep }
    }

    /// SplitMix64.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % below
    }

    fn segment(&mut self) -> Segment {
        let count = self.random(40);
        let origin = self.random(5) as u32;
        (0..count)
            .map(|_| {
                // Half of them in one place of the order, so that tags are said again and lie over blocks.
                let tag = match self.random(2) {
                    0 => u128::from(self.random(30)),
                    _ => u128::from(self.random(200)) << 120,
                };
                let (epoch, sequence) = (self.random(2) as u32, self.random(1_000_000));
                let class = [Class::HARD, Class::RETRACT][self.random(2) as usize];
                let mark = Mark { sequence, origin, epoch, hour: 7, class, ttl_weeks: 0, provider: 0, row: 1 };
                (Tag(tag.to_be_bytes()), mark)
            })
            .collect()
    }

    fn tell(&mut self) {
        let (row, segment) = (self.told.keys().last().map_or(1, |row| row + 1), self.segment());
        let coming = self.upkeep.coming();
        self.upkeep.note(row, &row.to_be_bytes());
        self.put(row, &segment);
        self.told.insert(row, segment);
        drop(coming);
    }

    fn put(&self, row: u64, segment: &Segment) {
        let mut index = self.index.write().unwrap();
        segment.iter().for_each(|(tag, mark)| index.tags.add(*tag, *mark));
        index.tags.note(row);
    }

    /// An origin erases all that it said of a tag: the segments are without it.
    fn erase(&mut self) {
        let all: Vec<(Tag, Mark)> = self.told.values().flatten().copied().collect();
        let Some((tag, of)) = all.get(self.random(all.len().max(1) as u64) as usize).copied() else { return };
        let is_gone = |(about, mark): &(Tag, Mark)| *about == tag && mark.origin == of.origin;
        self.told.values_mut().for_each(|segment| segment.retain(|one| !is_gone(one)));
        let mut index = self.index.write().unwrap();
        for (_, mark) in all.iter().filter(|one| is_gone(one)) {
            let place = (mark.origin, mark.epoch, mark.sequence);
            index.tags.erase(place, Some(tag));
            self.gone.push(place);
        }
    }

    fn sweep(&mut self) {
        let swept = self.upkeep.0.sweep().unwrap();
        self.index.write().unwrap().forget_gone(&swept);
        self.gone.retain(|place| !swept.contains(place));
        for run in self.runs() {
            let all = run.scan().filter_map(Result::ok).map(|entry| entry.mark);
            let is_there = |mark: Mark| swept.contains(&(mark.origin, mark.epoch, mark.sequence));
            assert!(all.into_iter().all(|mark| !is_there(mark)), "{}", run.path.display());
        }
    }

    /// The power fails: only what is on the disk is left.
    fn restart(&mut self) {
        let (index, upkeep, owed) = open(&self.dir);
        (self.index, self.upkeep) = (index, upkeep);
        // Of these only the places are known.
        self.gone.iter().for_each(|place| self.index.write().unwrap().tags.erase(*place, None));
        let newest = self.told.keys().last().copied().unwrap_or(0);
        self.upkeep.note(newest, &newest.to_be_bytes());
        let reading = owed.into_iter().map(|rows| self.upkeep.reading(rows)).collect();
        self.read_again(reading);
    }

    fn read_again(&self, reading: Vec<Reading>) {
        for one in reading {
            assert!(self.upkeep.is_reading());
            self.told.range(one.rows.first..=one.rows.last).for_each(|(row, segment)| self.put(*row, segment));
            one.done();
        }
        assert!(!self.upkeep.is_reading());
    }

    fn runs(&self) -> Vec<Arc<Run>> {
        self.index.read().unwrap().tags.runs().to_vec()
    }

    fn flip_a_bit(&mut self) {
        let runs = self.runs();
        if let Some(run) = runs.get(self.random(runs.len().max(1) as u64) as usize) {
            let mut octets = fs::read(&run.path).unwrap();
            let at = self.random(octets.len() as u64) as usize;
            octets[at] ^= 1 << self.random(8);
            // In its place, for the index holds the file open.
            use std::io::{Seek, SeekFrom, Write};
            let mut file = fs::OpenOptions::new().write(true).open(&run.path).unwrap();
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&octets[at..=at]).unwrap();
        }
    }

    /// The last word of each origin about each tag that was ever told.
    fn model(&self) -> BTreeMap<Tag, Vec<Mark>> {
        let mut model: BTreeMap<Tag, BTreeMap<u32, Mark>> = BTreeMap::new();
        for (tag, mark) in self.told.values().flatten() {
            let known = model.entry(*tag).or_default().entry(mark.origin).or_insert(*mark);
            if known.place() < mark.place() {
                *known = *mark;
            }
        }
        model.into_iter().map(|(tag, marks)| (tag, marks.into_values().collect())).collect()
    }

    fn differs(&self) -> bool {
        let index = self.index.read().unwrap();
        self.model().iter().any(|(tag, want)| {
            let mut found = index.tags.marks(tag);
            found.sort_unstable_by_key(|mark| mark.origin);
            found != *want
        })
    }

    /// Damage is noticed by the look-up that meets it, and mended then.
    fn is_found_out(&self) -> bool {
        let reading = self.upkeep.mend().unwrap();
        let found = !reading.is_empty();
        self.read_again(reading);
        found && !self.differs()
    }
}

fn open(dir: &TempDir) -> (Arc<RwLock<Index>>, Upkeep, Vec<Rows>) {
    let index = Arc::new(RwLock::new(Index::new(NodeKey([0; 32]))));
    let manifest = Manifest::read(dir.path()).unwrap().unwrap_or_else(Manifest::empty);
    let (upkeep, owed) = Upkeep::open(dir.path(), manifest, Arc::clone(&index), 100).unwrap();
    (index, upkeep, owed)
}

#[test]
fn whatever_happens_the_index_says_what_a_map_says() {
    for seed in 1..=12 {
        let mut tried = Tried::new(seed);
        for step in 0..200 {
            match tried.random(40) {
                0 => tried.restart(),
                1..=6 => {
                    tried.upkeep.0.write_run().unwrap();
                }
                7..=9 => tried.upkeep.0.merge_all(),
                10 => {
                    tried.flip_a_bit();
                    // Where a look-up finds it, the run is read again; else the checksums of the next start do.
                    tried.differs();
                    let reading = tried.upkeep.mend().unwrap();
                    tried.read_again(reading);
                }
                11..=12 => tried.erase(),
                13 => tried.sweep(),
                _ => tried.tell(),
            }
            if step % 25 == 0 {
                assert!(!tried.differs() || tried.is_found_out(), "seed {seed}, step {step}");
            }
        }
        tried.restart();
        assert!(!tried.differs() || tried.is_found_out(), "seed {seed}");
        tried.sweep();
        assert_eq!(tried.gone, [], "seed {seed}");
        assert!(!tried.differs() || tried.is_found_out(), "seed {seed}");
    }
}

#[test]
fn few_runs_are_left_of_many_and_their_files_alone() {
    let mut tried = Tried::new(7);
    let mut most = 0;
    for _ in 0..70 {
        while tried.index.read().unwrap().tags.fresh_len() < 100 {
            tried.tell();
        }
        tried.upkeep.0.write_run().unwrap();
        tried.upkeep.0.merge_all();
        most = most.max(tried.runs().len());
    }
    assert!(!tried.differs());
    assert!(most <= 6, "{most} runs");
    let files = fs::read_dir(tried.dir.path()).unwrap().count();
    assert_eq!(files, tried.runs().len() + 1, "runs and the list of them");
}

#[test]
fn a_segment_that_comes_while_a_run_is_cut_off_is_read_again_after_a_crash() {
    let mut tried = Tried::new(3);
    tried.tell();
    // Its row is there, its events are not in the index yet; one with a higher row was quicker.
    let coming = tried.upkeep.coming();
    let segment = tried.segment();
    tried.told.insert(2, segment);
    tried.tell();
    tried.upkeep.0.write_run().unwrap();
    drop(coming);
    tried.restart();
    assert!(!tried.differs());
}

#[test]
fn a_run_that_cannot_be_written_stays_in_memory_until_it_can() {
    let mut tried = Tried::new(9);
    (0..20).for_each(|_| tried.tell());
    let hidden = tried.dir.path().with_extension("hidden");
    fs::rename(tried.dir.path(), &hidden).unwrap();
    assert!(tried.upkeep.0.write_run().is_err());
    assert!(!tried.differs());
    // What comes meanwhile is not in what is tried again.
    (0..20).for_each(|_| tried.tell());
    assert!(!tried.differs());
    fs::rename(&hidden, tried.dir.path()).unwrap();
    tried.upkeep.0.write_run().unwrap();
    assert_eq!(tried.runs().len(), 1);
    tried.restart();
    assert!(!tried.differs());
}
