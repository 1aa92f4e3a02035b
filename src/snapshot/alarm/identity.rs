//! What an alarm is about: which incident, whose, and how bad it is.

use super::super::Concern;
use super::super::peer::HarvesterId;
use super::kind::{AlarmKind, Severity};
use crate::ids::LauncherId;

impl AlarmKind {
    /// The names of all rules, as [`Self::rule`] says them.
    pub const RULES: [&str; 47] = [
        "no_signage_points",
        "node_certificate_changed",
        "node_takes_nothing",
        "signage_points_missed",
        "no_keys",
        "no_reward_target",
        "pool_reward_unsigned",
        "harvester_absent",
        "harvester_silent",
        "harvester_late",
        "harvester_clock_differs",
        "certificate_shared",
        "plots_lost",
        "failed_plots",
        "no_key_plots",
        "duplicate_plots",
        "shared_plots",
        "plot_sync_failing",
        "invalid_proofs",
        "proof_lost",
        "too_many_proofs",
        "signing_refused",
        "eligible_mismatch",
        "alarm_hook_failing",
        "history_not_written",
        "reward_override_refused",
        "connection_refused",
        "harvester_pending",
        "certificate_ends",
        "invitation_guessed",
        "harvester_missing",
        "pool_failing",
        "pool_key_missing",
        "pool_needs_owner",
        "pool_clock_differs",
        "partials_lost",
        "partials_rare",
        "partials_absent",
        "plot_nft_gone",
        "pools_unreadable",
        "settings_unreadable",
        "plot_directory_unlisted",
        "drive_trouble",
        "clock_wrong",
        "ca_key_locked",
        "ca_key_unusable",
        "registry_damaged",
    ];

    /// Identity of the incident: the same while only its numbers change.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::NoSignagePoints { node, .. } => format!("no_signage_points/{node}"),
            Self::NodeCertificateChanged { node, .. } => format!("node_certificate_changed/{node}"),
            Self::NodeTakesNothing { node } => format!("node_takes_nothing/{node}"),
            Self::SignagePointsMissed { node, .. } => format!("signage_points_missed/{node}"),
            Self::NoKeys => "no_keys".to_owned(),
            Self::NoRewardTarget { target } => format!("no_reward_target/{target}"),
            Self::PoolRewardUnsigned { .. } => "pool_reward_unsigned".to_owned(),
            Self::HarvesterAbsent { harvester, .. } => format!("harvester_absent/{harvester}"),
            Self::HarvesterSilent { harvester, .. } => format!("harvester_silent/{harvester}"),
            Self::HarvesterLate { harvester, .. } => format!("harvester_late/{harvester}"),
            Self::HarvesterClockDiffers { harvester, .. } => format!("harvester_clock_differs/{harvester}"),
            Self::CertificateShared { peer_id, .. } => format!("certificate_shared/{peer_id}"),
            Self::PlotsLost {
                harvester, directory, ..
            } => {
                format!("plots_lost/{harvester}/{}", directory.as_deref().unwrap_or_default())
            }
            Self::FailedPlots { harvester, .. } => format!("failed_plots/{harvester}"),
            Self::NoKeyPlots { harvester, .. } => format!("no_key_plots/{harvester}"),
            Self::DuplicatePlots { harvester, .. } => format!("duplicate_plots/{harvester}"),
            Self::SharedPlots { .. } => "shared_plots".to_owned(),
            Self::PlotSyncFailing { harvester, .. } => format!("plot_sync_failing/{harvester}"),
            Self::InvalidProofs { harvester, .. } => format!("invalid_proofs/{harvester}"),
            Self::ProofLost { .. } => "proof_lost".to_owned(),
            Self::TooManyProofs { harvester, .. } => format!("too_many_proofs/{harvester}"),
            Self::SigningRefused { node, .. } => format!("signing_refused/{node}"),
            Self::EligibleMismatch { harvester, .. } => format!("eligible_mismatch/{harvester}"),
            Self::AlarmHookFailing { hook, .. } => format!("alarm_hook_failing/{hook}"),
            Self::HistoryNotWritten { .. } => "history_not_written".to_owned(),
            Self::RewardOverrideRefused { harvester, .. } => format!("reward_override_refused/{harvester}"),
            Self::ConnectionRefused { address, cause, .. } => format!("connection_refused/{address}/{}", cause.word()),
            Self::HarvesterPending { fingerprint } => format!("harvester_pending/{fingerprint}"),
            Self::CertificateEnds { name, .. } => format!("certificate_ends/{name}"),
            Self::InvitationGuessed { name, .. } => format!("invitation_guessed/{name}"),
            Self::HarvesterMissing { fingerprint, .. } => format!("harvester_missing/{fingerprint}"),
            Self::PoolFailing { launcher_id, .. } => format!("pool_failing/{launcher_id}"),
            Self::PoolKeyMissing { launcher_id, .. } => format!("pool_key_missing/{launcher_id}"),
            Self::PoolNeedsOwner { launcher_id, .. } => format!("pool_needs_owner/{launcher_id}"),
            Self::PoolClockDiffers { launcher_id, .. } => format!("pool_clock_differs/{launcher_id}"),
            Self::PartialsLost {
                launcher_id, outcome, ..
            } => format!("partials_lost/{launcher_id}/{}", outcome.word()),
            Self::PartialsRare { launcher_id, .. } => format!("partials_rare/{launcher_id}"),
            Self::PartialsAbsent { launcher_id, .. } => format!("partials_absent/{launcher_id}"),
            Self::PlotNftGone { contract, .. } => format!("plot_nft_gone/{contract}"),
            Self::PoolsUnreadable { .. } => "pools_unreadable".to_owned(),
            Self::SettingsUnreadable { .. } => "settings_unreadable".to_owned(),
            Self::PlotDirectoryUnlisted { directory, .. } => format!("plot_directory_unlisted/{directory}"),
            Self::ClockWrong { .. } => "clock_wrong".to_owned(),
            Self::DriveTrouble { trouble, .. } => format!("drive_trouble/{}", of_drive(trouble)),
            Self::CaKeyLocked { .. } => "ca_key_locked".to_owned(),
            Self::CaKeyUnusable { file, .. } => format!("ca_key_unusable/{file}"),
            Self::RegistryDamaged => "registry_damaged".to_owned(),
        }
    }

    /// The harvester it is about, if it is about one.
    #[must_use]
    pub const fn harvester(&self) -> Option<HarvesterId> {
        match self {
            Self::HarvesterAbsent { harvester, .. }
            | Self::HarvesterSilent { harvester, .. }
            | Self::HarvesterLate { harvester, .. }
            | Self::HarvesterClockDiffers { harvester, .. }
            | Self::PlotsLost { harvester, .. }
            | Self::FailedPlots { harvester, .. }
            | Self::NoKeyPlots { harvester, .. }
            | Self::DuplicatePlots { harvester, .. }
            | Self::PlotSyncFailing { harvester, .. }
            | Self::InvalidProofs { harvester, .. }
            | Self::TooManyProofs { harvester, .. }
            | Self::EligibleMismatch { harvester, .. }
            | Self::DriveTrouble { harvester, .. }
            | Self::RewardOverrideRefused { harvester, .. } => Some(*harvester),
            Self::NoSignagePoints { .. }
            | Self::NodeCertificateChanged { .. }
            | Self::NodeTakesNothing { .. }
            | Self::SignagePointsMissed { .. }
            | Self::NoKeys
            | Self::NoRewardTarget { .. }
            | Self::PoolRewardUnsigned { .. }
            | Self::CertificateShared { .. }
            | Self::SharedPlots { .. }
            | Self::ProofLost { .. }
            | Self::SigningRefused { .. }
            | Self::HistoryNotWritten { .. }
            | Self::AlarmHookFailing { .. }
            | Self::ConnectionRefused { .. }
            | Self::HarvesterPending { .. }
            | Self::CertificateEnds { .. }
            | Self::InvitationGuessed { .. }
            | Self::HarvesterMissing { .. }
            | Self::PoolFailing { .. }
            | Self::PoolKeyMissing { .. }
            | Self::PoolNeedsOwner { .. }
            | Self::PoolClockDiffers { .. }
            | Self::PartialsLost { .. }
            | Self::PartialsRare { .. }
            | Self::PartialsAbsent { .. }
            | Self::PlotNftGone { .. }
            | Self::PoolsUnreadable { .. }
            | Self::SettingsUnreadable { .. }
            | Self::PlotDirectoryUnlisted { .. }
            | Self::ClockWrong { .. }
            | Self::CaKeyLocked { .. }
            | Self::CaKeyUnusable { .. }
            | Self::RegistryDamaged => None,
        }
    }

    /// Name of the harvester it is about ([`Self::harvester`]), to change it.
    pub(crate) const fn harvester_name_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::HarvesterAbsent { name, .. }
            | Self::HarvesterSilent { name, .. }
            | Self::HarvesterLate { name, .. }
            | Self::HarvesterClockDiffers { name, .. }
            | Self::PlotsLost { name, .. }
            | Self::FailedPlots { name, .. }
            | Self::NoKeyPlots { name, .. }
            | Self::DuplicatePlots { name, .. }
            | Self::PlotSyncFailing { name, .. }
            | Self::InvalidProofs { name, .. }
            | Self::TooManyProofs { name, .. }
            | Self::EligibleMismatch { name, .. }
            | Self::DriveTrouble { name, .. }
            | Self::RewardOverrideRefused { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The plotNFT it is about, if it is about one.
    #[must_use]
    pub const fn launcher_id(&self) -> Option<LauncherId> {
        match self {
            Self::PoolFailing { launcher_id, .. }
            | Self::PoolKeyMissing { launcher_id, .. }
            | Self::PoolNeedsOwner { launcher_id, .. }
            | Self::PoolClockDiffers { launcher_id, .. }
            | Self::PartialsLost { launcher_id, .. }
            | Self::PartialsRare { launcher_id, .. }
            | Self::PartialsAbsent { launcher_id, .. } => Some(*launcher_id),
            Self::PlotNftGone { left: Some(left), .. } => Some(left.launcher_id),
            _ => None,
        }
    }

    /// Name of the rule, the same for all incidents of this kind: `harvester_silent`. Alarms are silenced by it.
    #[must_use]
    pub fn rule(&self) -> String {
        let key = self.key();
        key.split('/').next().unwrap_or_default().to_owned()
    }

    /// Identity of the incident over a restart of the farmer: like [`Self::key`], but with names, since numbers of
    /// harvesters are given anew.
    #[must_use]
    pub fn incident(&self) -> String {
        let place = match self {
            Self::PlotsLost { directory, .. } => directory.as_deref().unwrap_or_default(),
            Self::PlotDirectoryUnlisted { directory, .. } => directory,
            Self::PlotNftGone { contract, .. } => &contract.to_string(),
            Self::DriveTrouble { trouble, .. } => &of_drive(trouble),
            _ => "",
        };
        format!("{}/{}/{place}", self.rule(), self.machine().unwrap_or_default())
    }

    /// Machine it is about: the name of a harvester or node, or an address.
    #[must_use]
    pub fn machine(&self) -> Option<String> {
        match self {
            Self::NoSignagePoints { node, .. }
            | Self::NodeCertificateChanged { node, .. }
            | Self::NodeTakesNothing { node }
            | Self::SignagePointsMissed { node, .. }
            | Self::SigningRefused { node, .. } => Some(node.clone()),
            Self::HarvesterAbsent { name, .. }
            | Self::HarvesterSilent { name, .. }
            | Self::HarvesterLate { name, .. }
            | Self::HarvesterClockDiffers { name, .. }
            | Self::PlotsLost { name, .. }
            | Self::FailedPlots { name, .. }
            | Self::NoKeyPlots { name, .. }
            | Self::DuplicatePlots { name, .. }
            | Self::PlotSyncFailing { name, .. }
            | Self::InvalidProofs { name, .. }
            | Self::ProofLost { name, .. }
            | Self::TooManyProofs { name, .. }
            | Self::EligibleMismatch { name, .. }
            | Self::DriveTrouble { name, .. }
            | Self::CertificateEnds { name, .. }
            | Self::InvitationGuessed { name, .. }
            | Self::HarvesterMissing { name, .. }
            | Self::RewardOverrideRefused { name, .. } => Some(name.clone()),
            Self::HarvesterPending { fingerprint } => Some(fingerprint.clone()),
            Self::ConnectionRefused { address, .. } => Some(address.to_string()),
            Self::PoolFailing { pool, .. }
            | Self::PoolKeyMissing { pool, .. }
            | Self::PoolNeedsOwner { pool, .. }
            | Self::PoolClockDiffers { pool, .. }
            | Self::PartialsLost { pool, .. }
            | Self::PartialsRare { pool, .. }
            | Self::PartialsAbsent { pool, .. } => Some(pool.clone()),
            Self::NoKeys
            | Self::NoRewardTarget { .. }
            | Self::PoolRewardUnsigned { .. }
            | Self::CertificateShared { .. }
            | Self::SharedPlots { .. }
            | Self::PlotNftGone { .. }
            | Self::PoolsUnreadable { .. }
            | Self::SettingsUnreadable { .. }
            | Self::PlotDirectoryUnlisted { .. }
            | Self::AlarmHookFailing { .. }
            | Self::HistoryNotWritten { .. }
            | Self::ClockWrong { .. }
            | Self::CaKeyLocked { .. }
            | Self::CaKeyUnusable { .. }
            | Self::RegistryDamaged => None,
        }
    }

    /// Whether it is one of those that [`crate::farmer::FleetStatus`] lists in full.
    #[must_use]
    pub const fn is_of_certificates(&self) -> bool {
        matches!(
            self,
            Self::HarvesterPending { .. }
                | Self::CertificateEnds { .. }
                | Self::InvitationGuessed { .. }
                | Self::HarvesterMissing { .. }
                | Self::ClockWrong { .. }
                | Self::CaKeyLocked { .. }
                | Self::CaKeyUnusable { .. }
                | Self::RegistryDamaged
        )
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::DriveTrouble { trouble, .. } => trouble.severity(),
            Self::NoSignagePoints { others_do: false, .. }
            | Self::NodeCertificateChanged { .. }
            | Self::NodeTakesNothing { .. }
            | Self::NoKeys
            | Self::NoRewardTarget { .. }
            | Self::PoolRewardUnsigned { .. }
            | Self::HarvesterAbsent { .. }
            | Self::HarvesterMissing { .. }
            | Self::HarvesterSilent { .. }
            | Self::PlotsLost { .. }
            | Self::PlotDirectoryUnlisted { .. }
            | Self::PlotSyncFailing { .. }
            | Self::InvalidProofs { .. }
            | Self::ProofLost { .. }
            | Self::TooManyProofs { .. }
            | Self::SigningRefused { .. }
            | Self::RewardOverrideRefused { .. }
            | Self::PoolFailing { .. }
            | Self::PoolKeyMissing { .. }
            | Self::PoolNeedsOwner { .. }
            | Self::PartialsAbsent { .. }
            | Self::PlotNftGone { .. }
            | Self::RegistryDamaged => Severity::Critical,
            Self::NoSignagePoints { others_do: true, .. }
            | Self::SignagePointsMissed { .. }
            | Self::HarvesterLate { .. }
            | Self::HarvesterClockDiffers { .. }
            | Self::CertificateShared { .. }
            | Self::FailedPlots { .. }
            | Self::NoKeyPlots { .. }
            | Self::DuplicatePlots { .. }
            | Self::SharedPlots { .. }
            | Self::EligibleMismatch { .. }
            | Self::HistoryNotWritten { .. }
            | Self::AlarmHookFailing { .. }
            | Self::ConnectionRefused { .. }
            | Self::HarvesterPending { .. }
            | Self::CertificateEnds { .. }
            | Self::InvitationGuessed { .. }
            | Self::PoolClockDiffers { .. }
            | Self::PartialsLost { .. }
            | Self::PartialsRare { .. }
            | Self::PoolsUnreadable { .. }
            | Self::SettingsUnreadable { .. }
            | Self::ClockWrong { .. }
            | Self::CaKeyLocked { .. }
            | Self::CaKeyUnusable { .. } => Severity::Warning,
        }
    }
}

/// Which trouble of which drive.
fn of_drive(trouble: &Concern) -> String {
    let word = match trouble {
        Concern::PlotsDamaged { .. } => "damaged",
        Concern::LookUpsFail { .. } => "want",
        Concern::DriveSlow { .. } => "slow",
        _ => "sick",
    };
    format!("{word}/{}", trouble.drive().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_rules_has_every_kind() {
        // The reader of JSON knows them all, and names them when it is given another.
        let other = serde_json::json!({ "kind": "no_such_rule" });
        let error = serde_json::from_value::<AlarmKind>(other).unwrap_err().to_string();
        let known: Vec<_> = error.split('`').skip(1).step_by(2).skip(1).collect();
        assert_eq!(known.len(), AlarmKind::RULES.len(), "{error}");
        for rule in known {
            assert!(AlarmKind::RULES.contains(&rule), "{rule}");
        }
        assert!(AlarmKind::RULES.contains(&AlarmKind::NoKeys.rule().as_str()));
    }
}
