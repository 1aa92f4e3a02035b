//! The commands about harvesters' certificates that the farmer carries out: invite, sign, name, revoke, list.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use farmconsole::config::HarvesterName;
use farmconsole::config::files::{CERTIFICATE_FILE, FileMode, replace_file};
use farmconsole::control::{Answer, Ask};
use farmconsole::handle::{FleetAnswer, FleetAsk, FleetView};
use farmconsole::registry::{Member, MemberOrigin, Standing};
use farmconsole::wire::token::Token;

use crate::args::HarvesterInvite;
use crate::context::{Attached, Context};
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{plural, safe, span};
use crate::json::json_line;
use crate::out::Out;

/// `farmconsole harvester invite`.
pub(crate) async fn invite(context: &Context, options: HarvesterInvite) -> Outcome {
    let mut attached = context.attach().await?;
    let before = view(&mut attached).await?;
    let was_invited = before.invited.iter().any(|(name, _)| *name == options.name);
    let is_said = !options.address.is_empty();
    let ask = FleetAsk::Invite {
        name: options.name.clone(),
        ttl_seconds: options.ttl.as_secs(),
        from: options.from,
        addresses: options.address,
    };
    let FleetAnswer::Invited { token, ttl_seconds } = ask_fleet(&mut attached, ask).await? else {
        return Err(strange());
    };
    let fleet = view(&mut attached).await?;
    let is_there = |it: &&Member| it.standing == Standing::Allowed && it.name.as_ref() == Some(&options.name);
    let mut out = context.out(options.output.json);
    if options.output.json {
        #[derive(serde::Serialize)]
        struct Invited<'a> {
            name: &'a HarvesterName,
            token: &'a str,
            ttl_seconds: u64,
        }
        let invited = Invited {
            name: &options.name,
            token: &token,
            ttl_seconds,
        };
        writeln!(out, "{}", json_line(&invited)?)?;
        return Ok(Ended::Fine);
    }
    let official = if options.official { " --official" } else { "" };
    writeln!(
        out,
        "Run this once on {} (good for {}, one use, while this farmer runs):\n",
        options.name,
        span(ttl_seconds)
    )?;
    writeln!(out, "  farmconsole harvester join {token}{official}")?;
    writeln!(out, "\n{}", where_it_leads(&options.name, &token, is_said))?;
    if was_invited {
        writeln!(
            out,
            "\nThe token that {} was given before is good no more",
            options.name
        )?;
    }
    if let Some(member) = fleet.members.iter().find(is_there) {
        let address = member
            .last_address
            .as_deref()
            .unwrap_or("a machine that never connected");
        writeln!(
            out,
            "\n{} is a member already ({}): whoever joins by this takes its place",
            options.name,
            safe(address)
        )?;
    }
    Ok(Ended::Fine)
}

/// Where a token leads, for people who know better at which address this machine is reached, and have not said so.
fn where_it_leads(name: &HarvesterName, token: &str, is_said: bool) -> String {
    let addresses = token.parse::<Token>().map(|token| token.addresses).unwrap_or_default();
    let is_here = |address: &String| {
        let parsed = address.parse::<SocketAddr>();
        parsed.is_ok_and(|it| it.ip().is_loopback())
    };
    let here_only = if addresses.iter().all(is_here) {
        ", which only this machine can reach"
    } else {
        ""
    };
    let leads = format!("It leads to {}{here_only}", addresses.join(" or "));
    if is_said {
        leads
    } else {
        format!("{leads}; if {name} is to reach this machine at another address, say it with --address")
    }
}

/// `farmconsole harvester members`.
pub(crate) async fn members(context: &Context, json: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let view = view(&mut attached).await?;
    let mut out = context.out(json);
    if view.members.is_empty() && view.invited.is_empty() && !json {
        let invite = context.commands.here("`farmconsole harvester invite NAME`");
        writeln!(
            out,
            "nobody has joined: {invite} prints the command that joins a machine"
        )?;
    }
    for member in &view.members {
        if json {
            writeln!(out, "{}", json_line(member)?)?;
        } else {
            writeln!(out, "{}", line(member))?;
        }
    }
    if json {
        return Ok(Ended::Fine);
    }
    for (name, left) in &view.invited {
        writeln!(out, "{:<20} invited, for {} still", name.as_str(), span(*left))?;
    }
    let legacy = view.members.iter().filter(|it| is_legacy(it)).count();
    if legacy > 0 {
        writeln!(
            out,
            "{} with certificates of Chia's private CA: whoever made those holds a copy of the CA's key",
            plural(legacy as u64, "harvester")
        )?;
    }
    Ok(Ended::Fine)
}

/// An order about one harvester, and what to say when it is done.
pub(crate) async fn order(context: &Context, ask: FleetAsk, done: &str) -> Outcome {
    let mut attached = context.attach().await?;
    let FleetAnswer::Done { who } = ask_fleet(&mut attached, ask).await? else {
        return Err(strange());
    };
    writeln!(
        Out::for_people(),
        "{}",
        format!("{} {}", context.commands.here(done), safe(&who)).trim_end()
    )?;
    Ok(Ended::Fine)
}

/// `farmconsole harvester sign-csr`.
pub(crate) async fn sign_csr(context: &Context, name: HarvesterName, request: &Path, out: &Path) -> Outcome {
    let mut text = String::new();
    if request == Path::new("-") {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(request)
            .map_err(|error| Failure::new(Status::Failed, format!("read {}: {error}", request.display())))?;
    }
    let mut attached = context.attach().await?;
    let ask = FleetAsk::SignRequest {
        name: name.clone(),
        request: text,
    };
    let of_file = |refused: Failure| refused.about(format_args!("sign {}", request.display()));
    let FleetAnswer::Signed { certificate, server_ca } = ask_fleet(&mut attached, ask).await.map_err(of_file)? else {
        return Err(strange());
    };
    let files: [(PathBuf, &str); 2] = [
        (out.join("private_harvester.crt"), &certificate),
        (out.join("private_ca.crt"), &server_ca),
    ];
    let mut stdout = Out::for_people();
    for (path, text) in files {
        replace_file(&path, text.as_bytes(), FileMode::Exactly(CERTIFICATE_FILE))
            .map_err(|error| Failure::new(Status::Failed, format!("write {}: {error}", path.display())))?;
        writeln!(stdout, "wrote {}", path.display())?;
    }
    writeln!(
        stdout,
        "On {name}: private_ca.crt belongs in config/ssl/ca, private_harvester.crt and its key in config/ssl/harvester"
    )?;
    Ok(Ended::Fine)
}

/// Asks the farmer something about its fleet.
pub(crate) async fn ask_fleet(attached: &mut Attached, ask: FleetAsk) -> Result<FleetAnswer, Failure> {
    match attached.ask(Ask::Fleet(ask)).await? {
        Answer::Fleet(answer) => Ok(*answer),
        _ => Err(strange()),
    }
}

/// The registry of the farmer.
pub(crate) async fn view(attached: &mut Attached) -> Result<FleetView, Failure> {
    match ask_fleet(attached, FleetAsk::Members).await? {
        FleetAnswer::Members(view) => Ok(view),
        _ => Err(strange()),
    }
}

/// Whether a harvester is let in by a certificate of Chia's private CA.
pub(crate) fn is_legacy(member: &Member) -> bool {
    member.origin == MemberOrigin::Legacy && member.standing == Standing::Allowed
}

fn line(member: &Member) -> String {
    let standing = match (member.standing, member.origin) {
        (Standing::Revoked { .. }, _) => "revoked",
        (Standing::Pending, _) => "waits to be let in",
        (_, MemberOrigin::Own) => "joined",
        (_, MemberOrigin::Official) => "joined (official)",
        (_, MemberOrigin::Csr) => "signed by hand",
        (_, MemberOrigin::Legacy) => "Chia's private CA",
    };
    let name = member.name.as_ref().map_or("-", HarvesterName::as_str);
    let fingerprint = member.newest().map(|it| it.sha256.to_string()).unwrap_or_default();
    let from = member.last_address.as_deref().unwrap_or("never connected");
    let text = format!(
        "{name:<20} {standing:<20} {:<16} {:<22} {}",
        fingerprint.get(..16).unwrap_or_default(),
        safe(from),
        safe(&member.note)
    );
    text.trim_end().to_owned()
}

fn strange() -> Failure {
    Failure::new(Status::Failed, "the farmer gave another answer than asked for")
}

#[cfg(test)]
mod tests {
    use farmconsole::wire::token::TokenSecret;

    use super::*;

    #[test]
    fn invitation_says_where_it_leads_and_whether_others_get_there() {
        let barn: HarvesterName = "barn".parse().unwrap();
        let leads = |addresses: &[&str], is_said| {
            let token = Token {
                addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
                id: [1; 4],
                secret: TokenSecret([2; 16]),
                ca_key: [2; 33],
            };
            where_it_leads(&barn, &token.to_string(), is_said)
        };
        let (far, near) = ("10.0.0.5:8447", "127.0.0.1:8447");
        assert!(leads(&[far], false).starts_with("It leads to 10.0.0.5:8447; if barn is to reach"));
        assert!(leads(&[far, "[::1]:8447"], false).starts_with("It leads to 10.0.0.5:8447 or [::1]:8447; "));
        assert!(leads(&[near], false).starts_with("It leads to 127.0.0.1:8447, which only this machine can reach; "));
        assert_eq!(leads(&[far], true), "It leads to 10.0.0.5:8447");
        assert_eq!(
            leads(&[near], true),
            "It leads to 127.0.0.1:8447, which only this machine can reach"
        );
    }
}
