//! What alarms say to people: what is wrong, and what to do about it.

use std::fmt;

use super::kind::{AlarmKind, OwnerNeed, PlotNftLeft, RewardTarget};
use crate::snapshot::{DisconnectCause, PartialOutcome, shell_word};

/// What [`AlarmKind::CertificateEnds`] calls the private CA of Chia's layout, which is no harvester.
pub const CHIAS_CA: &str = "Chia's private CA";

impl AlarmKind {
    /// What to do, as an imperative sentence without full stop.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoSignagePoints { node, .. } => format!("check that {node} runs and is synced"),
            Self::NodeCertificateChanged { node, kept, .. } => {
                format!("if {node} was set up anew, remove {kept}; if not, find out who answers there")
            }
            Self::NodeTakesNothing { node } => format!("check the load of the full node {node}"),
            Self::SignagePointsMissed { node, .. } => {
                format!("check the load and the network of the full node {node}")
            }
            Self::NoKeys => "import farming keys with `farmconsole keys import --mnemonic`".to_owned(),
            Self::NoRewardTarget {
                target: RewardTarget::Farmer,
            } => "set `farmer.xch_target_address` in the settings file (`farmconsole config path`)".to_owned(),
            Self::NoRewardTarget {
                target: RewardTarget::Pool,
            } => "set `pool.xch_target_address` in the settings file (`farmconsole config path`)".to_owned(),
            Self::PoolRewardUnsigned { is_elsewhere: true, .. } => "sign for it with `farmconsole keys import --mnemonic` and \
                start the farmer again, or set `pool.xch_target_address` back in the settings file"
                .to_owned(),
            Self::PoolRewardUnsigned { is_elsewhere: false, .. } => "import the key with `farmconsole keys import --mnemonic` \
                and start the farmer again"
                .to_owned(),
            Self::HarvesterAbsent { name, why, .. } if *why == DisconnectCause::Revoked.to_string() => {
                format!("nothing, if it was meant; to take {name} back: `farmconsole harvester invite {}`", word(name))
            }
            Self::HarvesterAbsent {
                name,
                refused: Some(_),
                ..
            } => {
                format!(
                    "its machine is on and tries to connect: look at the harvester log of {name}, and at what \
                     `farmconsole harvester doctor` says"
                )
            }
            Self::HarvesterAbsent { name, .. } => {
                format!(
                    "check power, network and the harvester process of {name}; if it is gone for good: \
                     `farmconsole harvester revoke {}`",
                    word(name)
                )
            }
            Self::HarvesterSilent { name, .. } => {
                format!("look at the harvester log of {name}: a hanging drive, missing keys or a network that stands still stop its answers")
            }
            Self::HarvesterLate {
                name, late, on_the_way, ..
            } if 2 * on_the_way > *late => format!(
                "its look-ups were quick, so look at the network between {name} and the farmer, or at what else keeps \
                 {name} busy"
            ),
            Self::HarvesterLate { name, .. } => format!("look for a slow, sleeping or dying drive on {name}"),
            Self::HarvesterClockDiffers { name, .. } => format!(
                "set the clock of {name}: `timedatectl` there says whether it is synchronised; with one that is wrong \
                 {name} may refuse this farmer when it connects again"
            ),
            Self::CertificateShared { .. } => {
                "give all but one of them certificates of their own: `farmconsole harvester invite NAME` here, and there \
                 the command that this prints"
                    .to_owned()
            }
            Self::PlotsLost { name, directory, .. } => match directory {
                Some(dir) => format!(
                    "check the drive mounted at {dir} on {name}; if it was taken out of the settings there, acknowledge \
                     this"
                ),
                None => format!("check the drives of {name}; if plots were taken away on purpose, acknowledge this"),
            },
            Self::FailedPlots { name, .. } => {
                format!("list them with `farmconsole harvester list --failed`; check permissions and drives of {name}")
            }
            Self::NoKeyPlots { name, .. } => {
                format!("import the keys those plots on {name} were made for, or remove the plots")
            }
            Self::DuplicatePlots { name, .. } => format!("remove one copy of each on {name}"),
            Self::SharedPlots { .. } => {
                "where two harvesters read the same files, as two programs on one machine do or two with a shared mount, stop \
                 one or take the directory from it; of files that are copies, remove one of each: a plot earns once"
                    .to_owned()
            }
            Self::PlotSyncFailing { name, .. } => format!("restart the harvester on {name}"),
            Self::InvalidProofs { plot_file, name, .. } => {
                format!("check {plot_file} on {name} with `chia plots check`: its drive may be failing")
            }
            Self::ProofLost { name, .. } => {
                format!("look at the logs of {name} and of the full node, at the time of the alarm")
            }
            Self::TooManyProofs { name, .. } => {
                format!("check that {name} farms this network and that its difficulty is that of the chain")
            }
            Self::SigningRefused { node, .. } => {
                format!("find out who runs the full node {node} and whether its software is genuine")
            }
            Self::EligibleMismatch { name, .. } => {
                format!("restart the harvester on {name}; if it stays, check its version and its plots")
            }
            Self::AlarmHookFailing { .. } => {
                "see `farmconsole.alarms` in the settings file (`farmconsole config path`)".to_owned()
            }
            Self::HistoryNotWritten { .. } => {
                "make room on the disk of this root, or mend what is named; farming goes on meanwhile".to_owned()
            }
            Self::RewardOverrideRefused { name, .. } => {
                format!(
                    "if you agreed to a fee for the harvester software on {name}, allow it with \
                     `farmconsole.harvester_fees` in the settings; else find out why it wants your reward"
                )
            }
            Self::ConnectionRefused { address, cause, .. } => cause.remedy(*address),
            Self::HarvesterPending { fingerprint } => {
                let short = fingerprint.get(..16).unwrap_or(fingerprint);
                format!(
                    "if it is yours: `farmconsole harvester approve {short} --name NAME`, else `farmconsole harvester revoke {short}`"
                )
            }
            Self::CertificateEnds { name, .. } if name == CHIAS_CA => {
                "invite every harvester that `farmconsole harvester members` lists as of that CA, then \
                 `farmconsole ca harden`; if it should have years left, look at this machine's clock"
                    .to_owned()
            }
            Self::CertificateEnds { name, .. } => {
                format!("`farmconsole harvester invite {name}` here, and there the command that this prints")
            }
            Self::HarvesterMissing {
                name,
                fingerprint,
                address,
                ..
            } => {
                let from = address.as_ref().map(|it| format!(", which came from {it}")).unwrap_or_default();
                let short = fingerprint.get(..16).unwrap_or(fingerprint);
                format!(
                    "check power, network and the harvester process of {name}{from}; if it is gone for good: \
                     `farmconsole harvester revoke {short}`"
                )
            }
            Self::InvitationGuessed { name, .. } => {
                format!("find out who that is; `farmconsole harvester invite {name}` makes a new one")
            }
            Self::PoolFailing { pool, .. } => {
                format!("look at what {pool} says of itself, and at this machine's network and clock")
            }
            Self::PoolKeyMissing {
                is_wallet_key: false, ..
            } => "import the farming keys again with `farmconsole keys import --mnemonic`, and restart the farmer".to_owned(),
            Self::PoolKeyMissing {
                is_wallet_key: true, ..
            } => "this plotNFT speaks with a wallet key: if its address holds no coins, import it with `farmconsole keys import --mnemonic --pool-wallet-keys`, and restart the farmer".to_owned(),
            Self::PoolNeedsOwner {
                need: OwnerNeed::Payout { .. },
                launcher_id,
                ..
            } => format!("`farmconsole pool set-payout {launcher_id}` tells the pool: it asks for the mnemonic once"),
            Self::PoolNeedsOwner { launcher_id, .. } => {
                format!("`farmconsole pool join {launcher_id}` registers it: it asks for the mnemonic once")
            }
            Self::PoolClockDiffers { .. } => "set this machine's clock: `timedatectl` says whether it is synchronised".to_owned(),
            Self::PartialsLost {
                pool,
                outcome: PartialOutcome::Late | PartialOutcome::Stale,
                ..
            } => format!(
                "screen 5 of the console shows where the time goes: on a slow drive (`farmconsole harvester list` has \
                 look-up times), in the network, or at {pool}"
            ),
            Self::PartialsLost { pool, .. } => format!("see screen 5 of the console for what {pool} answers"),
            Self::PartialsRare { launcher_id, .. } => format!(
                "ask the pool for a lower difficulty on its site (`farmconsole pool login-link {launcher_id}`), or join one \
                 that takes less; days without a partial are to be expected until then"
            ),
            Self::PartialsAbsent { .. } => "the pool answers, so look at the harvesters that have its plots: `farmconsole \
                plots check` there tells whether they find proofs, screen 4 of the console what becomes of proofs"
                .to_owned(),
            Self::PlotNftGone { .. } => "if that plotNFT is yours, this root needs its entry: a copy of \
                `pooling/pooling_share_state.yaml` of its wallet's root (before 2.7.2: of `pool.pool_list` of its settings); if \
                it is not, these plots earn you an eighth of a block at most: plot anew"
                .to_owned(),
            Self::PoolsUnreadable { .. } => "let the wallet write it again, or mend the entry".to_owned(),
            Self::SettingsUnreadable { .. } => "mend that (`farmconsole config check` tells every mistake in the file), then \
                `systemctl reload farmconsole`, or send SIGHUP; farming goes on with what was read before"
                .to_owned(),
            Self::PlotDirectoryUnlisted { directory, .. } => format!(
                "see whether its drive is mounted and whether this user may read it; if nothing is to be farmed there: \
                 `farmconsole plots remove -d {}`",
                shell_word(directory)
            ),
            Self::DriveTrouble { trouble, .. } => trouble.remedy(),
            Self::ClockWrong { .. } => "set it: `timedatectl` says whether it is synchronised".to_owned(),
            Self::RegistryDamaged => "`farmconsole harvester members` shows it: revoke again who was revoked last \
                (audit.log, beside the list, has it); then remove harvesters.json.damaged, which ends this alarm"
                .to_owned(),
            Self::CaKeyLocked { .. } => {
                "`farmconsole ca unlock` asks for the passphrase; it is signed then by itself".to_owned()
            }
            Self::CaKeyUnusable { remedy, .. } => remedy.clone(),
        }
    }
}

/// A name as it is typed in a shell. Most are plain; that of the second machine of an address is `10.0.0.5 (2)`.
fn word(name: &str) -> String {
    if name.chars().all(|c| c.is_alphanumeric() || "._-:".contains(c)) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSignagePoints {
                node,
                last_unix_ms,
                why,
                others_do,
            } => {
                write!(f, "no signage point from {node}")?;
                if let Some(ms) = last_unix_ms {
                    let seconds = ms / 1000 % 86_400;
                    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                    write!(f, " since {hours:02}:{minutes:02}:{:02} UTC", seconds % 60)?;
                }
                if let Some(why) = why {
                    write!(f, ": not connected, {why}")?;
                }
                f.write_str(if *others_do { "; another node brings them" } else { "" })
            }
            Self::NodeCertificateChanged {
                node, expected, got, ..
            } => {
                write!(
                    f,
                    "the certificate of {node} has changed: SHA-256 {got} instead of {expected}"
                )
            }
            Self::NodeTakesNothing { node } => write!(f, "{node} does not take what it is sent"),
            Self::SignagePointsMissed { node, missed } => {
                write!(f, "{} missed from {node}", count(*missed, "signage point"))
            }
            Self::NoKeys => f.write_str("no farming key is loaded"),
            Self::NoRewardTarget { target } => write!(f, "no address is set for the {target} reward"),
            Self::PoolRewardUnsigned { plots, is_elsewhere } => {
                let plots = count(*plots, "plot");
                let why = if *is_elsewhere {
                    "the pool key has signed for another address than `pool.xch_target_address`"
                } else {
                    "no pool key here has signed for the pool reward"
                };
                write!(f, "no block of {plots} with a pool public key can be claimed: {why}")
            }
            Self::HarvesterAbsent {
                name,
                plots,
                why,
                refused,
                ..
            } => {
                write!(f, "{name} is gone with {}: {why}", count(*plots, "plot"))?;
                match refused {
                    Some(cause) => write!(f, "; since then its address was refused: {cause}"),
                    None => Ok(()),
                }
            }
            Self::HarvesterSilent { name, unanswered, .. } => {
                write!(
                    f,
                    "{name} is connected but has not answered {}",
                    count(*unanswered, "signage point")
                )
            }
            Self::HarvesterLate { name, late, .. } => {
                write!(f, "{name} answered later than 8 s, {late} of its last 10 answers")
            }
            Self::HarvesterClockDiffers { name, ahead_s, .. } => {
                let (by, word) = (ahead_s.unsigned_abs(), if *ahead_s < 0 { "behind" } else { "ahead of" });
                write!(f, "the clock of {name} is {} {word} this machine's", span(by))
            }
            Self::CertificateShared { addresses, .. } => {
                write!(
                    f,
                    "one certificate is used by several harvesters: {}",
                    addresses.join(", ")
                )
            }
            Self::PlotsLost {
                name, lost, directory, ..
            } => match directory {
                Some(dir) => write!(f, "{name} lost {} in {dir}", count(*lost, "plot")),
                None => write!(f, "{name} lost {}", count(*lost, "plot")),
            },
            Self::FailedPlots { name, files, .. } => {
                write!(f, "{} on {name} cannot be opened", count(*files, "plot file"))
            }
            Self::NoKeyPlots { name, files, .. } => {
                write!(f, "{} on {name} made for other keys", count(*files, "plot"))
            }
            Self::DuplicatePlots { name, files, .. } => write!(f, "{} on {name}", count(*files, "duplicate plot")),
            Self::SharedPlots { plots, harvesters } => {
                write!(f, "{} farmed twice: {}", count(*plots, "plot"), harvesters.join(", "))
            }
            Self::PlotSyncFailing { name, error, .. } => write!(f, "plot sync of {name} fails: {error}"),
            Self::InvalidProofs {
                name,
                proofs,
                plot_file,
                reason,
                ..
            } => {
                write!(
                    f,
                    "{} from {name}, last {plot_file}: {reason}",
                    count(*proofs, "invalid proof")
                )
            }
            Self::ProofLost { name, reason } => write!(f, "a proof from {name} was lost: {reason}"),
            Self::TooManyProofs { name, dropped, .. } => {
                write!(
                    f,
                    "{name} sends more proofs than can be verified; {} dropped",
                    count(*dropped, "proof")
                )
            }
            Self::SigningRefused { node, reason } => write!(f, "refused to sign a block for {node}: {reason}"),
            Self::EligibleMismatch {
                name,
                in_a_row,
                expected,
                passed,
                ..
            } => write!(
                f,
                "{name} says {passed} eligible plots where its plot ids make {expected}, {} in a row",
                count(*in_a_row, "answer")
            ),
            Self::AlarmHookFailing { hook, why } => write!(f, "nobody is told of alarms by {hook}: {why}"),
            Self::HistoryNotWritten { why } => write!(f, "the history is not written: {why}"),
            Self::RewardOverrideRefused { name, reason, .. } => {
                write!(f, "{name} wanted the farmer reward of a proof; refused: {reason}")
            }
            Self::ConnectionRefused { address, cause, times } => write!(f, "refused {address} ({times}×): {cause}"),
            Self::HarvesterPending { fingerprint } => {
                let short = fingerprint.get(..16).unwrap_or(fingerprint);
                write!(f, "a harvester waits to be let in (certificate {short})")
            }
            Self::CertificateEnds { name, days_left: 0 } => write!(f, "the certificate of {name} has ended"),
            Self::CertificateEnds { name, days_left } => {
                write!(f, "the certificate of {name} ends in {}", count(*days_left, "day"))
            }
            Self::HarvesterMissing { name, plots, .. } => {
                write!(f, "{name} has not come since this farmer was started")?;
                match plots {
                    0 => Ok(()),
                    _ => write!(f, "; it had {}", count(*plots, "plot")),
                }
            }
            Self::InvitationGuessed { name, address } => {
                write!(
                    f,
                    "{address} tried to join as {name} without the right token; the invitation is cancelled"
                )
            }
            Self::PoolFailing { pool, why, .. } => write!(f, "pool {pool} gives no usable answer: {why}"),
            Self::PoolKeyMissing { pool, .. } => {
                write!(
                    f,
                    "no partial can be sent to {pool}: the key that speaks to it is not here"
                )
            }
            Self::PoolNeedsOwner { pool, need, .. } => match need {
                OwnerNeed::Register => write!(f, "{pool} does not know this farmer"),
                OwnerNeed::OtherKey => write!(f, "{pool} knows this farmer by another key"),
                OwnerNeed::Payout { wanted, pays_to } => write!(f, "{pool} pays to {pays_to} instead of {wanted}"),
            },
            Self::PoolClockDiffers { pool, ahead_s, .. } => {
                let (by, word) = (ahead_s.unsigned_abs(), if *ahead_s < 0 { "behind" } else { "ahead of" });
                write!(
                    f,
                    "the clock of {pool} is {} {word} this machine's",
                    count(by, "second")
                )
            }
            Self::PartialsLost {
                pool,
                outcome,
                partials,
                step,
                reason,
                ..
            } => write!(
                f,
                "{} for {pool} {} in the last hour, the last one while {}: {reason}",
                count(*partials, "partial"),
                outcome.word(),
                step.word()
            ),
            Self::PartialsRare {
                pool,
                difficulty,
                plots,
                every_s,
                ..
            } => write!(
                f,
                "{pool} wants difficulty {difficulty}: {} for it make {}",
                count(*plots, "plot"),
                match *every_s {
                    0..A_LIFETIME_S => format!("one partial in {}", span(*every_s)),
                    _ => "no partial".to_owned(),
                }
            ),
            Self::PartialsAbsent { pool, expected, .. } => {
                write!(f, "no partial was found for {pool} where {expected} were to be expected")
            }
            Self::PlotNftGone {
                contract,
                plots,
                harvesters,
                left,
            } => {
                match left.as_deref() {
                    Some(PlotNftLeft { launcher_id, pool }) => {
                        let of = pool.as_ref().map(|pool| format!(" of {pool}")).unwrap_or_default();
                        write!(f, "plotNFT {launcher_id}{of} is not in the list of pools any more")?;
                    }
                    None => write!(f, "no plotNFT in the list of pools has the contract {contract}")?,
                }
                let (plots, names) = (count(*plots, "plot"), harvesters.join(", "));
                write!(f, ": no partial is sent for {plots} of it on {names}")
            }
            Self::PoolsUnreadable { why } => write!(f, "the list of pools cannot be read: {why}"),
            Self::SettingsUnreadable { why } => write!(f, "the changed settings are not followed: {why}"),
            Self::PlotDirectoryUnlisted { directory, why } => write!(f, "nothing is farmed from {directory}: {why}"),
            Self::ClockWrong { ahead_s } => {
                let word = if *ahead_s < 0 { "behind" } else { "ahead" };
                write!(
                    f,
                    "the clock of this machine is wrong: {} {word}",
                    span(ahead_s.unsigned_abs())
                )
            }
            Self::DriveTrouble { name, trouble, .. } => write!(f, "{name}: {trouble}"),
            Self::RegistryDamaged => f.write_str(
                "the list of harvesters was damaged or gone, and the version before its last change is used: whoever was \
                 revoked then may be in again",
            ),
            Self::CaKeyLocked { wanted } => write!(
                f,
                "the keys of the farm's authorities are locked, and a certificate is due: {}",
                wanted.join(", ")
            ),
            Self::CaKeyUnusable { why, .. } => {
                write!(
                    f,
                    "{why}: the farm's authorities cannot sign, nobody new can join and nothing is renewed"
                )
            }
        }
    }
}

/// A span of time, roughly.
pub(in super::super) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => count(seconds, "second"),
        120..=7_199 => count(seconds / 60, "minute"),
        7_200..=172_799 => count(seconds / 3_600, "hour"),
        _ => count(seconds / 86_400, "day"),
    }
}

/// What comes once in so many seconds, nobody waits for.
const A_LIFETIME_S: u64 = 100 * 365 * 86_400;

/// So many of something.
pub(in super::super) fn count(n: u64, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Concern, HarvesterId};

    #[test]
    fn plots_of_a_directory_that_was_taken_out_of_the_settings_are_thought_of() {
        for directory in [Some("/mnt/d7".to_owned()), None] {
            let lost = AlarmKind::PlotsLost {
                harvester: HarvesterId(1),
                name: "barn".to_owned(),
                lost: 2,
                directory,
            };
            assert!(lost.remedy().ends_with(", acknowledge this"), "{}", lost.remedy());
        }
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_named_in_the_command_that_takes_it_out() {
        let (directory, why) = ("/mnt/Ann's drive".to_owned(), String::new());
        let command = r"`farmconsole plots remove -d '/mnt/Ann'\''s drive'`";
        let concern = Concern::NoDirectory {
            directory: directory.clone(),
            why: why.clone(),
        };
        let alarm = AlarmKind::PlotDirectoryUnlisted { directory, why };
        for remedy in [alarm.remedy(), concern.remedy()] {
            assert!(remedy.ends_with(command), "{remedy}");
        }
    }

    #[test]
    fn nobody_is_sent_to_the_machine_of_a_harvester_that_was_revoked() {
        let gone = |why: DisconnectCause| AlarmKind::HarvesterAbsent {
            harvester: HarvesterId(1),
            name: "barn".to_owned(),
            plots: 2,
            why: why.to_string(),
            refused: None,
        };
        let remedy = gone(DisconnectCause::Silent).remedy();
        assert!(
            remedy.starts_with("check power") && remedy.ends_with("`farmconsole harvester revoke barn`"),
            "{remedy}"
        );
        let remedy = gone(DisconnectCause::Revoked).remedy();
        assert!(remedy.contains("`farmconsole harvester invite barn`"), "{remedy}");
        assert_eq!(
            (word("fe80::1"), word("10.0.0.5 (2)")),
            ("fe80::1".into(), "'10.0.0.5 (2)'".into())
        );
    }

    #[test]
    fn authority_that_ends_is_not_invited_as_if_it_were_a_harvester() {
        let ends = |name: &str| AlarmKind::CertificateEnds {
            name: name.to_owned(),
            days_left: 3,
        };
        assert!(ends("barn").remedy().contains("invite barn`"));
        let remedy = ends(CHIAS_CA).remedy();
        assert!(
            !remedy.contains(CHIAS_CA) && remedy.contains("`farmconsole ca harden`"),
            "{remedy}"
        );
    }
}
