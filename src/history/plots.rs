//! The table `plots`: where each plot was when somebody told of it last, so that what is not there after a restart of the
//! farmer is noticed.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use super::columns::unsigned;
use crate::farmer::{ListedPlots, PlotNews, PlotPlace};
use crate::ids::{PeerId, PlotId};
use crate::snapshot::HarvesterId;

/// Plots that a harvester had and has not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MissingPlots {
    pub(super) harvester: HarvesterId,
    pub(super) plots: Vec<PlotPlace>,
}

/// Writes where plots are. Gives what is missing if all plots of a harvester were listed.
pub(super) fn write(transaction: &Transaction<'_>, news: &PlotNews) -> Result<Option<MissingPlots>, rusqlite::Error> {
    match news {
        PlotNews::Listed {
            harvester,
            certificate,
            plots,
        } => {
            let plots = compare(transaction, *certificate, plots)?;
            return Ok(Some(MissingPlots {
                harvester: *harvester,
                plots,
            }));
        }
        PlotNews::Added { certificate, plots } => {
            let certificate = number(transaction, *certificate)?;
            let plots = plots.iter().map(|plot| (&plot.plot_id, &*plot.path));
            put(transaction, certificate, plots)?;
        }
        PlotNews::Forgotten { certificate, plots } => {
            let certificate = number(transaction, *certificate)?;
            let mut delete = transaction.prepare_cached("DELETE FROM plots WHERE certificate = ?1 AND plot_id = ?2")?;
            for plot_id in plots {
                delete.execute(params![certificate, plot_id.0])?;
            }
        }
        PlotNews::CertificateChanged { from, to } => {
            let (from, to) = (number(transaction, *from)?, number(transaction, *to)?);
            transaction.execute(
                "UPDATE OR REPLACE plots SET certificate = ?2 WHERE certificate = ?1",
                [from, to],
            )?;
        }
        PlotNews::Left { certificate } => {
            let certificate = number(transaction, *certificate)?;
            transaction.execute("DELETE FROM plots WHERE certificate = ?1", [certificate])?;
        }
    }
    Ok(None)
}

/// How many plots each harvester had when it was told of last.
pub(super) fn counts(connection: &Connection) -> Result<BTreeMap<PeerId, u64>, rusqlite::Error> {
    let mut counts = connection.prepare(
        "SELECT certificate, of_it FROM (SELECT certificate AS number, count(*) AS of_it FROM plots GROUP BY certificate)
         JOIN certificates ON certificates.id = number",
    )?;
    let counts = counts.query_map([], |row| Ok((PeerId(row.get(0)?), unsigned(row.get(1)?))))?;
    counts.collect()
}

/// The row of a certificate, made if there is none.
fn number(transaction: &Transaction<'_>, certificate: PeerId) -> Result<i64, rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO certificates (certificate) VALUES (?1)
             ON CONFLICT DO UPDATE SET certificate = excluded.certificate RETURNING id",
        )?
        .query_row([certificate.0], |row| row.get(0))
}

/// Writes what is new in a list of all plots of a harvester, and gives what is written of it and not in the list. Both are
/// gone through in order of plot ids: so most of a long list costs no more than reading it.
fn compare(
    transaction: &Transaction<'_>,
    certificate: PeerId,
    listed: &ListedPlots,
) -> Result<Vec<PlotPlace>, rusqlite::Error> {
    let mut now: Vec<(&PlotId, &str)> = listed.iter().map(|(path, plot_id)| (plot_id, path)).collect();
    now.sort_unstable();
    // A harvester may have a plot twice.
    now.dedup_by_key(|(plot_id, _)| *plot_id);
    let mut now = now.into_iter().peekable();
    let certificate = number(transaction, certificate)?;
    let (mut missing, mut news) = (Vec::new(), Vec::new());
    let mut known =
        transaction.prepare_cached("SELECT plot_id, path FROM plots WHERE certificate = ?1 ORDER BY plot_id")?;
    let mut known = known.query([certificate])?;
    while let Some(row) = known.next()? {
        let plot_id = PlotId(row.get(0)?);
        while let Some(new) = now.next_if(|(listed, _)| **listed < plot_id) {
            news.push(new);
        }
        let path = row.get_ref(1)?.as_str()?;
        match now.next_if(|(listed, _)| **listed == plot_id) {
            Some((_, listed)) if listed == path => {}
            Some(moved) => news.push(moved),
            None => missing.push(PlotPlace {
                path: path.into(),
                plot_id,
            }),
        }
    }
    news.extend(now);
    put(transaction, certificate, news)?;
    Ok(missing)
}

fn put<'a>(
    transaction: &Transaction<'_>,
    certificate: i64,
    plots: impl IntoIterator<Item = (&'a PlotId, &'a str)>,
) -> Result<(), rusqlite::Error> {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO plots (certificate, plot_id, path) VALUES (?1, ?2, ?3)")?;
    for (plot_id, path) in plots {
        put.execute(params![certificate, plot_id.0, path])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use rusqlite::Connection;

    use super::super::fact::Fact;
    use super::super::store::Store;
    use super::*;
    use crate::farmer::tests::story::{Story, SyncStep, certificate, config, plots, seconds};
    use crate::farmer::{Command, FleetStatus, Input, Output};
    use crate::ids::SessionId;
    use crate::snapshot::AlarmKind;
    use crate::wire::Plot;

    /// A run of a farmer with its history.
    struct Run {
        story: Story,
        store: Store,
    }

    impl Run {
        fn start(file: &Path) -> Self {
            Self {
                story: Story::of(config()),
                store: Store::open(file, 1, 1).unwrap(),
            }
        }

        /// Writes what there is to write, and tells what is missing. Gives the number of such answers.
        fn keep(&mut self) -> usize {
            let facts = self.story.take(|output| match output {
                Output::PlotNews(news) => Some(Fact::PlotNews(news.clone())),
                _ => None,
            });
            let answers = self.store.write(1, &facts).unwrap();
            let count = answers.len();
            for MissingPlots { harvester, plots } in answers {
                self.story.input(Input::PlotsMissing { harvester, plots });
            }
            count
        }

        fn sync_all(&mut self, session: SessionId, plots: &[Plot]) {
            self.story.sync_all(session, plots);
            self.keep();
        }

        fn comes(&mut self, name: &str, plots: &[Plot]) -> SessionId {
            let session = self.story.connect(name);
            self.sync_all(session, plots);
            session
        }

        fn pass(&mut self, time: u64) {
            self.story.pass(seconds(time));
            self.keep();
        }

        /// Directories of lost plots, with their number.
        fn lost(&self) -> Vec<(String, u64)> {
            let alarms = self.story.alarms().into_iter();
            let lost = alarms.filter_map(|kind| match kind {
                AlarmKind::PlotsLost { directory, lost, .. } => Some((directory.unwrap_or_default(), lost)),
                _ => None,
            });
            lost.collect()
        }
    }

    fn lost(directory: &str, plots: u64) -> Vec<(String, u64)> {
        vec![(directory.to_owned(), plots)]
    }

    /// Plots that are remembered, by harvester.
    fn remembered(file: &Path) -> BTreeMap<PeerId, u64> {
        counts(&Connection::open(file).unwrap()).unwrap()
    }

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.sqlite");
        (dir, file)
    }

    #[test]
    fn drive_that_died_while_the_farmer_was_down_is_noticed_until_a_person_has_seen_it() {
        let (_dir, file) = file();
        let (stays, goes) = (plots("/mnt/d1", 40), plots("/mnt/d2", 40));
        let mut run = Run::start(&file);
        let barn = run.comes("barn", &stays);
        run.pass(9);
        let added = SyncStep {
            loaded: &goes,
            ..SyncStep::default()
        };
        run.story.sync(barn, added);
        run.keep();
        assert_eq!(remembered(&file), [(certificate("barn"), 80)].into());

        for acknowledged in [false, true] {
            let mut run = Run::start(&file);
            let barn = run.comes("barn", &stays);
            run.pass(119);
            assert_eq!(run.lost(), [], "others may have them");
            run.pass(1);
            assert_eq!(run.lost(), lost("/mnt/d2", 40));
            run.story.disconnect(barn);
            run.pass(5);
            run.comes("barn", &stays);
            run.pass(300);
            assert_eq!(run.lost(), lost("/mnt/d2", 40), "told once");
            if acknowledged {
                run.story
                    .input(Input::Command(Command::AcknowledgeAlarm { number: None }));
                run.keep();
            }
        }
        assert_eq!(remembered(&file), [(certificate("barn"), 40)].into());
        let mut run = Run::start(&file);
        run.comes("barn", &stays);
        run.pass(300);
        assert_eq!(run.lost(), []);
    }

    #[test]
    fn plots_that_are_farmed_elsewhere_or_were_tidied_up_while_the_farmer_was_down_are_not_missed() {
        let (_dir, file) = file();
        let (stays, moves) = (plots("/mnt/d1", 300), plots("/mnt/d2", 40));
        let mut run = Run::start(&file);
        run.comes("barn", &[stays.clone(), moves.clone()].concat());

        let mut run = Run::start(&file);
        run.comes("barn", &stays[2..]);
        run.pass(60);
        run.comes("shelf", &moves);
        run.pass(300);
        assert_eq!(run.lost(), []);
        let counts = [(certificate("barn"), 298), (certificate("shelf"), 40)];
        assert_eq!(remembered(&file), counts.into(), "two are forgotten");

        // Back again, and the one who had them comes last.
        let mut run = Run::start(&file);
        run.comes("shelf", &[]);
        run.pass(30);
        run.comes("barn", &[stays[2..].to_vec(), moves].concat());
        run.pass(300);
        assert_eq!(run.lost(), []);
        assert_eq!(remembered(&file), [(certificate("barn"), 338)].into());
    }

    #[test]
    fn machines_that_share_a_certificate_do_not_forget_each_others_plots() {
        let (_dir, file) = file();
        let (first, second) = (plots("/mnt/d1", 40), plots("/mnt/d2", 40));
        for _ in 0..2 {
            let mut run = Run::start(&file);
            let barn = run.comes("barn", &first);
            run.pass(9);
            let other = run.story.connect_as("barn", "10.0.0.8:1", "0.0.38");
            run.story.input(Input::HarvesterHeard { session: barn });
            run.sync_all(other, &second);
            run.pass(300);
            assert_eq!(run.lost(), []);
            assert_eq!(remembered(&file), [(certificate("barn"), 80)].into());
        }
    }

    #[test]
    fn lost_plots_stay_missed_over_a_restart_and_return_on_any_harvester() {
        let (_dir, file) = file();
        let (stays, goes) = (plots("/mnt/d1", 40), plots("/mnt/d2", 40));
        let mut run = Run::start(&file);
        let barn = run.comes("barn", &[stays.clone(), goes.clone()].concat());
        run.pass(9);
        let names: Vec<_> = goes.iter().map(|plot| plot.filename.as_str()).collect();
        let removed = SyncStep {
            removed: &names,
            ..SyncStep::default()
        };
        run.story.sync(barn, removed);
        run.keep();
        assert_eq!(run.lost(), lost("/mnt/d2", 40));

        let mut run = Run::start(&file);
        run.comes("barn", &stays);
        run.pass(120);
        assert_eq!(run.lost(), lost("/mnt/d2", 40));
        run.comes("shelf", &goes);
        assert_eq!(run.lost(), []);
        assert_eq!(remembered(&file).values().sum::<u64>(), 80);
    }

    #[test]
    fn harvester_that_comes_again_before_its_plots_are_compared_is_compared_once_more_and_no_oftener() {
        let (_dir, file) = file();
        let (first, last) = (plots("/mnt/d1", 40), plots("/mnt/d2", 10));
        let mut run = Run::start(&file);
        for _ in 0..5 {
            let barn = run.story.connect_with("barn", &first);
            run.story.disconnect(barn);
        }
        run.story.connect_with("barn", &last);
        assert_eq!(run.keep(), 1);
        assert_eq!(run.keep(), 1);
        assert_eq!(run.keep(), 0);
        assert_eq!(
            remembered(&file),
            [(certificate("barn"), 50)].into(),
            "those that are lost, too"
        );
        run.pass(300);
        assert_eq!(run.lost(), lost("/mnt/d1", 40));
    }

    #[test]
    fn harvester_that_is_revoked_while_its_plots_are_compared_and_let_in_again_is_compared_again() {
        let (_dir, file) = file();
        let all = plots("/mnt/d1", 40);
        let mut run = Run::start(&file);
        let revoked = |names: &[&str]| {
            Input::Fleet(FleetStatus {
                revoked: names.iter().map(|name| certificate(name)).collect(),
                ..FleetStatus::default()
            })
        };
        let barn = run.story.connect_with("barn", &all);
        run.story.disconnect(barn);
        run.story.input(revoked(&["barn"]));
        run.keep();
        assert_eq!(remembered(&file), BTreeMap::new());
        run.story.input(revoked(&[]));
        run.comes("barn", &all);
        assert_eq!(remembered(&file), [(certificate("barn"), 40)].into());
    }

    #[test]
    fn plots_of_a_harvester_follow_its_certificates_and_go_with_the_last_one() {
        let (_dir, file) = file();
        let all = [plots("/mnt/d1", 40), plots("/mnt/d2", 40)].concat();
        let mut run = Run::start(&file);
        let barn = run.comes("barn", &all);
        run.story.disconnect(barn);
        let fleet = |revoked: &[&str]| {
            Input::Fleet(FleetStatus {
                names: ["barn", "shelf"]
                    .map(|name| (certificate(name), "barn".to_owned()))
                    .into(),
                revoked: revoked.iter().map(|name| certificate(name)).collect(),
                ..FleetStatus::default()
            })
        };
        // A renewed certificate is called as the one before.
        run.story.input(fleet(&[]));
        let barn = run.story.connect("shelf");
        run.keep();
        assert_eq!(
            remembered(&file),
            [(certificate("shelf"), 80)].into(),
            "before it has told"
        );
        run.sync_all(barn, &all[..40]);
        run.story.disconnect(barn);
        run.story.input(fleet(&["shelf"]));
        run.pass(300);
        assert_eq!((run.lost(), remembered(&file)), (vec![], BTreeMap::new()));
    }
}
