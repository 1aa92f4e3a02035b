//! Farms in virtual time: volumes that answer, hang, fail or are slow, and a signage point every nine seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

/// What a volume does with a look-up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Disk {
    Takes(Duration),
    Hangs,
    /// The medium fails.
    Fails,
    /// It takes as long, and one plot of ten cannot be read: its place on the medium, or the drive of a pool that it is on.
    HasBadPlaces(Duration),
    /// Its files are not there.
    IsUnmounted,
}

/// Milliseconds.
const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Seconds from the start.
fn at(seconds: u64) -> Now {
    let mono = Mono(seconds * 1_000_000);
    Now {
        mono,
        unix: UnixMillis(seconds * 1000),
    }
}

struct Volume {
    queue: Queue<u32>,
    disk: Disk,
    /// Look-ups that hang.
    stuck: Vec<u64>,
    /// Every plot whose look-up began, with its signage point's number.
    begun: Vec<(usize, u32)>,
    most_running: usize,
}

struct Point {
    tally: Arc<Tally>,
    passed: usize,
    answered: Option<Duration>,
}

struct Farm {
    now: Mono,
    volumes: Vec<Volume>,
    points: Vec<Point>,
    /// Ends of look-ups: when, in order of their beginning, on which volume, which.
    ends: BTreeMap<(Mono, u64), (usize, u64, u32)>,
    begun: u64,
}

impl Farm {
    fn new(volumes: usize, lanes: usize, disk: Disk) -> Self {
        let volume = || Volume {
            queue: Queue::new(lanes),
            disk,
            stuck: Vec::new(),
            begun: Vec::new(),
            most_running: 0,
        };
        Self {
            now: Mono(0),
            volumes: (0..volumes).map(|_| volume()).collect(),
            points: Vec::new(),
            ends: BTreeMap::new(),
            begun: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: self.now,
            unix: UnixMillis(self.now.0 / 1000),
        }
    }

    /// A signage point comes that so many plots of each volume pass the filter of.
    fn point(&mut self, plots: u32) {
        self.points.iter().for_each(|older| older.tally.supersede());
        let tally = Arc::new(Tally::new(self.now, CancellationToken::new()));
        let passed = plots as usize * self.volumes.len();
        tally.expect(passed);
        let number = self.points.len() as u32;
        let now = self.now();
        for volume in &mut self.volumes {
            let jobs = (0..plots).map(|plot| number * 1_000_000 + plot).collect();
            volume.queue.add(now, &tally, jobs);
        }
        self.points.push(Point {
            tally,
            passed,
            answered: None,
        });
        self.settle();
    }

    /// Lets threads take up work, and notes who is answered.
    fn settle(&mut self) {
        for (number, volume) in self.volumes.iter_mut().enumerate() {
            while let Some(Start { id, jobs, .. }) = volume.queue.next(self.now) {
                assert_eq!(jobs.len(), 1, "what a device is read for is done one by one");
                volume.begun.push(((jobs[0] / 1_000_000) as usize, jobs[0] % 1_000_000));
                self.begun += 1;
                match volume.disk {
                    Disk::Takes(time) | Disk::HasBadPlaces(time) => {
                        self.ends.insert((self.now + time, self.begun), (number, id, jobs[0]));
                    }
                    Disk::Hangs => volume.stuck.push(id),
                    Disk::Fails | Disk::IsUnmounted => {
                        self.ends.insert((self.now + ms(1), self.begun), (number, id, jobs[0]));
                    }
                }
            }
            volume.most_running = volume.most_running.max(volume.queue.busy());
        }
        for point in &mut self.points {
            if point.tally.left() == 0 && point.answered.is_none() {
                point.answered = Some(self.now.since(point.tally.came()));
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let timeout = self
                .volumes
                .iter()
                .filter_map(|volume| volume.queue.poll_timeout())
                .min();
            let next = self.ends.keys().next().map(|(at, _)| *at);
            let Some(next) = timeout.into_iter().chain(next).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            let now = self.now();
            while let Some(entry) = self.ends.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (number, id, job) = entry.remove();
                let volume = &mut self.volumes[number];
                let outcome = match volume.disk {
                    Disk::HasBadPlaces(_) if job % 10 == 3 => Outcome::Unreadable("Input/output error".to_owned()),
                    Disk::Fails => Outcome::VolumeFailed("Input/output error".to_owned()),
                    Disk::IsUnmounted => Outcome::PlotFailed("No such file or directory".to_owned()),
                    Disk::Takes(_) | Disk::HasBadPlaces(_) | Disk::Hangs => Outcome::Done,
                };
                volume.queue.handle_end(now, id, &[outcome]);
            }
            for volume in &mut self.volumes {
                volume.queue.handle_timeout(now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// A signage point every nine seconds.
    fn farm(&mut self, points: usize, plots: u32) {
        for _ in 0..points {
            self.point(plots);
            self.run(Duration::from_secs(9));
        }
    }

    /// The disk changes; what hung on it comes back.
    fn set(&mut self, volume: usize, disk: Disk) {
        let now = self.now();
        let volume = &mut self.volumes[volume];
        volume.disk = disk;
        for id in std::mem::take(&mut volume.stuck) {
            volume.queue.handle_end(now, id, &[Outcome::Done]);
        }
        self.settle();
    }

    fn state(&self, volume: usize) -> VolumeState {
        self.volumes[volume].queue.state(self.now)
    }

    /// Times to the answers and plots not waited for, from this point on.
    fn answers(&self, from: usize) -> Vec<(Option<Duration>, usize)> {
        let answer = |point: &Point| (point.answered, point.tally.missed());
        self.points[from..].iter().map(answer).collect()
    }
}

#[test]
fn ten_plots_on_one_disk_are_all_looked_up() {
    let mut farm = Farm::new(1, 4, Disk::Takes(ms(100)));
    farm.farm(10, 10);
    assert_eq!(farm.answers(0), [(Some(ms(300)), 0); 10]);
    let begun: BTreeSet<_> = farm.volumes[0].begun.iter().collect();
    assert_eq!((begun.len(), farm.volumes[0].begun.len()), (100, 100), "each once");
    assert_eq!(farm.volumes[0].queue.percentiles(), (100_000, 100_000));
    assert_eq!(farm.state(0), VolumeState::Fine);
}

#[test]
fn one_disk_of_sixty_that_hangs_delays_one_answer_and_costs_only_its_own_plots() {
    // 20,000 plots, filter 1/64: five plots of each drive pass.
    let mut farm = Farm::new(60, 4, Disk::Takes(ms(90)));
    farm.set(7, Disk::Hangs);
    farm.farm(40, 5);
    let answers = farm.answers(0);
    assert_eq!(answers[0], (Some(WARN_AFTER), 5), "it is known to hang after 8 s");
    for (number, answer) in answers[1..].iter().enumerate() {
        assert_eq!(*answer, (Some(ms(180)), 5), "signage point {}", number + 1);
    }
    for (number, volume) in farm.volumes.iter().enumerate().filter(|(number, _)| *number != 7) {
        let record = volume.queue.record();
        assert_eq!(
            (record.lookups, record.max_us, record.missed),
            (200, 90_000, 0),
            "volume {number}"
        );
    }
    assert!(matches!(farm.state(7), VolumeState::Sick { since_unix_ms: 25_000 }));
    let hung = &farm.volumes[7];
    assert!(
        hung.most_running < 4 + 2 + 10,
        "probes are ever more seldom: {}",
        hung.most_running
    );
    assert_eq!(hung.begun.len(), hung.stuck.len());

    farm.set(7, Disk::Takes(ms(90)));
    farm.farm(2, 5);
    assert_eq!(farm.state(7), VolumeState::Fine);
    farm.farm(3, 5);
    assert_eq!(farm.answers(42), [(Some(ms(180)), 0); 3], "it is farmed again");
}

#[test]
fn probes_of_a_disk_that_never_comes_back_use_up_its_threads_and_then_stop() {
    let mut farm = Farm::new(1, 4, Disk::Hangs);
    farm.farm(500, 50);
    assert_eq!(farm.volumes[0].most_running, MAX_THREADS);
    assert_eq!(farm.volumes[0].begun.len(), MAX_THREADS);
    let record = farm.volumes[0].queue.record();
    assert_eq!(record.missed, 500 * 50, "every plot counts as missed, each once");
}

#[test]
fn a_disk_that_fails_is_left_out_after_three_failures_and_farmed_again_when_it_is_back() {
    let mut farm = Farm::new(2, 4, Disk::Takes(ms(90)));
    farm.set(1, Disk::Fails);
    farm.farm(10, 20);
    assert!(matches!(farm.state(1), VolumeState::Sick { .. }));
    let failed = farm.volumes[1].queue.record();
    assert_eq!(failed.last_error.as_deref(), Some("Input/output error"));
    assert!((3..=12).contains(&failed.errors), "{}", failed.errors);
    assert_eq!(failed.errors + failed.missed, 200);
    assert_eq!(farm.volumes[0].queue.record().lookups, 200);
    assert!(farm.points.iter().all(|point| point.answered == Some(ms(450))));
    farm.set(1, Disk::Takes(ms(90)));
    farm.farm(8, 20);
    assert_eq!(farm.state(1), VolumeState::Fine);
    assert_eq!(farm.answers(17), [(Some(ms(450)), 0)]);
}

#[test]
fn plots_that_cannot_be_read_cost_no_others_of_their_volume_and_are_told_as_damaged() {
    // Many drives may be one volume, as under mergerfs, and one of them dead.
    let mut farm = Farm::new(1, 4, Disk::HasBadPlaces(ms(90)));
    farm.farm(30, 20);
    assert_eq!(farm.state(0), VolumeState::Fine);
    let record = farm.volumes[0].queue.record();
    assert_eq!((record.lookups, record.missed, record.errors), (600, 0, 60));
    assert_eq!(record.damaged, 60, "each is told once more has been read");
    let (_, last) = record.last_damage.as_ref().unwrap();
    assert_eq!(last, "Input/output error");
    // When nothing can be read any more, it is the volume and no plot of it.
    farm.set(0, Disk::Fails);
    farm.farm(10, 20);
    assert!(matches!(farm.state(0), VolumeState::Sick { .. }));
    assert_eq!(farm.volumes[0].queue.record().damaged, 60);
}

#[test]
fn files_that_are_gone_are_errors_of_the_files_and_not_of_the_disk() {
    let mut farm = Farm::new(1, 4, Disk::IsUnmounted);
    farm.farm(3, 20);
    assert_eq!(farm.state(0), VolumeState::Fine);
    let record = farm.volumes[0].queue.record();
    assert_eq!((record.errors, record.missed), (60, 0));
}

#[test]
fn a_disk_that_cannot_keep_up_looks_up_the_newest_and_drops_the_old_unread() {
    // Eighteen seconds of work every nine.
    let mut farm = Farm::new(1, 1, Disk::Takes(ms(900)));
    farm.farm(20, 20);
    assert_eq!(farm.state(0), VolumeState::Fine, "slow is not sick");
    let record = farm.volumes[0].queue.record();
    assert!(record.stale > 0 && record.stale == record.missed);
    let passed: usize = farm.points.iter().map(|point| point.passed).sum();
    let waiting = passed as u64 - record.lookups - record.stale;
    assert!(waiting < 80, "{waiting} wait: no more than four signage points' worth");
    // The first half of each is done before the next one comes.
    for number in 0..20 {
        let begun = farm.volumes[0]
            .begun
            .iter()
            .filter(|(point, _)| *point == number)
            .count();
        assert!(begun >= 9, "signage point {number}: {begun}");
    }
}

#[test]
fn an_old_signage_point_is_worth_its_reads_as_long_as_no_newer_one_comes() {
    let mut farm = Farm::new(1, 1, Disk::Takes(Duration::from_secs(2)));
    farm.point(20);
    farm.run(Duration::from_secs(29));
    assert_eq!(farm.volumes[0].begun.len(), 15);
    farm.point(1);
    farm.run(Duration::from_secs(9));
    let stale = farm.volumes[0].queue.record().stale;
    assert_eq!((stale, farm.volumes[0].begun.len()), (5, 16));
}

#[test]
fn one_file_that_hangs_holds_up_one_answer_and_not_its_disk() {
    let mut farm = Farm::new(1, 2, Disk::Hangs);
    farm.point(1);
    farm.volumes[0].disk = Disk::Takes(ms(90));
    farm.run(Duration::from_secs(9));
    assert_eq!(farm.answers(0), [(Some(WARN_AFTER), 1)]);
    farm.farm(10, 4);
    let state = farm.state(0);
    assert_eq!(
        farm.answers(1)[..3],
        [(Some(ms(0)), 4), (Some(ms(360)), 0), (Some(ms(180)), 0)],
        "it is under suspicion until it answers, and the file keeps a lane for 25 s"
    );
    assert_eq!(farm.answers(3), [(Some(ms(180)), 0); 8]);
    assert_eq!(state, VolumeState::Slow, "it is still shown");
}

#[test]
fn plots_in_memory_are_looked_up_together_each_with_its_own_outcome() {
    let mut queue = Queue::new(30);
    let tally = Arc::new(Tally::new(Mono(0), CancellationToken::new()));
    tally.expect(22);
    queue.add(at(0), &tally, (0..22).collect());
    assert_eq!(queue.ready(), 22, "nothing is known of the volume");
    let first = queue.next(Mono(0)).unwrap();
    assert_eq!(first.jobs.len(), 1);
    let after = |us| Now {
        mono: Mono(us),
        unix: UnixMillis(0),
    };
    queue.handle_end(after(90), first.id, &[Outcome::Done]);
    assert_eq!(queue.ready(), 4);
    let (six, four) = (queue.next(Mono(100)).unwrap(), queue.next(Mono(100)).unwrap());
    assert_eq!((six.jobs.len(), four.jobs.len(), queue.busy()), (6, 4, 10));
    let mut outcomes = vec![Outcome::Done; 6];
    outcomes[2] = Outcome::ProcessFailed("Too many open files".to_owned());
    outcomes[4] = Outcome::TooLate;
    queue.handle_end(after(100 + 6 * 70), six.id, &outcomes);
    let record = queue.record();
    assert_eq!(
        (record.lookups, record.errors, record.missed, record.max_us),
        (7, 1, 1, 90)
    );
    let want = record.last_want.as_ref().map(|(_, want)| want.as_str());
    assert_eq!(want, Some("Too many open files"));
    assert_eq!((tally.left(), tally.missed()), (15, 1));
    // One of these hangs.
    four.lane.handle_read(Mono(100));
    queue.handle_timeout(at(30));
    assert_eq!((tally.left(), tally.missed(), queue.record().missed), (11, 5, 5));
    queue.handle_end(at(31), four.id, &[const { Outcome::Done }; 4]);
    assert_eq!(queue.record().lookups, 11);
    assert_eq!(queue.next(at(31).mono).unwrap().jobs.len(), 3, "it may be an exception");
    let later = Arc::new(Tally::new(at(31).mono, CancellationToken::new()));
    later.expect(22);
    queue.add(at(31), &later, (0..22).collect());
    while let Some(slow) = queue.next(at(32).mono) {
        queue.handle_end(at(33), slow.id, &vec![Outcome::Done; slow.jobs.len()]);
    }
    assert_eq!((later.left(), queue.record().lookups), (0, 11 + 8 + 22));
    later.expect(22);
    queue.add(at(34), &later, (0..22).collect());
    assert_eq!(
        queue.next(at(34).mono).unwrap().jobs.len(),
        1,
        "it is read from a device"
    );
}

#[test]
fn computing_is_not_held_against_the_disk() {
    let mut queue = Queue::new(1);
    let tally = Arc::new(Tally::new(Mono(0), CancellationToken::new()));
    tally.expect(1);
    queue.add(at(0), &tally, vec![()]);
    let start = queue.next(at(0).mono).unwrap();
    start.lane.handle_computing();
    assert_eq!(queue.poll_timeout(), None);
    queue.handle_timeout(at(40));
    assert_eq!((tally.left(), queue.record().missed), (1, 0));
    start.lane.handle_read(at(40).mono);
    assert_eq!(queue.poll_timeout(), Some(at(48).mono));
}

#[test]
fn nothing_is_begun_for_a_farmer_that_is_gone() {
    let mut farm = Farm::new(1, 1, Disk::Takes(ms(90)));
    farm.point(5);
    farm.points[0].tally.stop().cancel();
    farm.run(Duration::from_secs(9));
    assert_eq!(farm.volumes[0].begun.len(), 1);
    assert_eq!(
        (farm.points[0].tally.left(), farm.volumes[0].queue.record().missed),
        (0, 0)
    );
}
