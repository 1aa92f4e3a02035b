//! `farmconsole pool`: what pools say, and what only the owner of a plotNFT can tell them.
//!
//! Farming needs the owner's key for nothing, so it is not kept: `join` and `set-payout` ask for the mnemonic, use the
//! key for one request, and forget it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use farmconsole::config::{PoolList, Settings};
use farmconsole::crypto::FarmingKeys;
use farmconsole::farmer::{PoolAnswer, PoolFailure, PoolMembership, PoolReply, PoolRequest};
use farmconsole::keys::{self, PoolOwner};
use farmconsole::net::{
    OwnerRequest, PoolAccount, PoolClient, PoolClientOptions, SOFTWARE_VERSION, chance, mozilla_roots,
};
use farmconsole::snapshot::{AlarmKind, PartialCounts, PoolView, pool_label};
use farmconsole::system_clock::Clock;
use farmconsole::wire::pool::{PoolVersion, authentication_token, error_code};

use crate::args::{PoolCommand, PoolOwnerCommand};
use crate::context::Context;
use crate::errors::bad_keys;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{grouped, plural, pool_plots, safe};
use crate::json::json_line;
use crate::keys::{KeyringChoice, wallet};
use crate::out::Out;
use crate::secrets;

/// For each request to a pool.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn run(context: &Context, command: PoolCommand) -> Outcome {
    match command {
        PoolCommand::List { output } => list(context, output.json).await,
        PoolCommand::LoginLink { launcher_id } => login_link(context, launcher_id.as_deref()).await,
        PoolCommand::Join(owner) => tell(context, &owner, What::Join).await,
        PoolCommand::SetPayout(owner) => tell(context, &owner, What::SetPayout).await,
    }
}

/// What a pool is to be told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Join,
    SetPayout,
}

/// `farmconsole pool list`.
async fn list(context: &Context, json: bool) -> Outcome {
    let snapshot = context.attach().await?.snapshot().await?;
    let mut out = context.out(json);
    for pool in &snapshot.pools {
        if json {
            writeln!(out, "{}", json_line(pool)?)?;
        } else {
            print(&mut out, pool)?;
        }
    }
    if snapshot.pools.is_empty() && !json {
        writeln!(out, "no plotNFT")?;
    }
    let unlisted = snapshot
        .alarms
        .iter()
        .filter(|it| matches!(it.kind, AlarmKind::PlotNftGone { .. }));
    for alarm in unlisted.filter(|_| !json) {
        writeln!(out, "{}\n   {}", safe(&alarm.text), safe(&alarm.remedy))?;
    }
    let unreadable = snapshot
        .alarms
        .iter()
        .find(|it| matches!(it.kind, AlarmKind::PoolsUnreadable { .. }));
    if let Some(alarm) = unreadable {
        let failure = Failure::new(Status::Failed, format!("not every plotNFT is here: {}", alarm.text));
        return Err(failure.hint(alarm.remedy.clone()));
    }
    Ok(Ended::Fine)
}

fn print(out: &mut impl Write, pool: &PoolView) -> io::Result<()> {
    writeln!(out, "{} (plotNFT {})", safe(&pool.label()), pool.launcher_id)?;
    writeln!(out, "   State: {}", safe(&pool.state.to_string()))?;
    writeln!(out, "   Plots: {}", pool_plots(pool))?;
    if pool.url.is_empty() {
        return Ok(());
    }
    let number = |number: Option<u64>| number.map_or_else(|| "unknown".to_owned(), grouped);
    writeln!(out, "   Difficulty: {}", number(pool.difficulty))?;
    writeln!(
        out,
        "   Points over the last 24 hours: {} found, {} acknowledged",
        grouped(pool.points_found_24h),
        grouped(pool.points_acknowledged_24h)
    )?;
    writeln!(out, "   Points the pool counts: {}", number(pool.points))?;
    writeln!(
        out,
        "   Partials over the last 24 hours: {}",
        partials(&pool.partials_24h)
    )?;
    if let Some(answer) = pool.last_answers.first() {
        writeln!(out, "   Last answer: {}: {}", answer.request, safe(&answer.text))?;
    }
    Ok(())
}

/// As `212 accepted, 1 stale`.
fn partials(counts: &PartialCounts) -> String {
    let some = counts.each().into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<_> = some
        .map(|(outcome, count)| format!("{} {}", grouped(count), outcome.word()))
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// `farmconsole pool login-link`.
async fn login_link(context: &Context, launcher_id: Option<&str>) -> Outcome {
    let settings = context.settings()?;
    let pool = choose(context, launcher_id)?;
    let passphrase = secrets::to_unlock(context)?;
    let keys = keys::load(&context.root.keys_file(), passphrase.as_ref()).map_err(bad_keys)?;
    let mut asking = Asking {
        client: client(&settings, keys)?,
        pool,
    };
    let Terms { token_timeout, .. } = asking.terms().await?;
    let account = PoolAccount {
        unix_seconds: unix_seconds(),
        token_timeout,
    };
    let link = asking.client.login_link(&asking.pool, account).map_err(|failure| {
        asking
            .failed("login link", failure)
            .hint("import the farming keys again with `farmconsole keys import --mnemonic`")
    })?;
    writeln!(Out::for_programs(), "{link}")?;
    Ok(Ended::Fine)
}

/// `farmconsole pool join` and `farmconsole pool set-payout`.
async fn tell(context: &Context, command: &PoolOwnerCommand, what: What) -> Outcome {
    let settings = context.settings()?;
    let pool = choose(context, command.launcher_id.as_deref())?;
    let source = wallet(
        command.chia_keyring.as_ref(),
        command.mnemonic_file.as_deref(),
        KeyringChoice {
            fingerprint: command.fingerprint,
            passphrase_file: command.keyring_passphrase_file.as_deref(),
        },
    )?;
    let Some(PoolOwner { owner, authentication }) = keys::find_owner(&pool, &source).map_err(bad_keys)? else {
        return Err(Failure::new(
            Status::Failed,
            format!("that wallet does not own plotNFT {}", pool.launcher_id),
        )
        .hint("take the mnemonic of the wallet that joined the pool"));
    };
    drop(source);
    let keys = FarmingKeys::new(Vec::new(), Vec::new()).with_pool_authentication(vec![authentication]);
    let client = client(&settings, keys)?;
    let mut asking = Asking { client, pool };
    let Terms { name, token_timeout } = asking.terms().await?;
    let label = pool_label(&asking.pool.pool_url);
    let before = asking.account(token_timeout).await;
    let is_known = match &before {
        Ok(_) => true,
        Err(PoolFailure::Refused { code, .. }) if *code == error_code::FARMER_NOT_KNOWN => false,
        // It knows the plotNFT, by another key.
        Err(PoolFailure::Refused { code, .. }) if *code == error_code::INVALID_SIGNATURE => true,
        Err(failure) => return Err(asking.failed("GET /farmer", failure)),
    };
    let request = match (what, is_known) {
        (What::Join, true) if before.is_ok() => None,
        (What::SetPayout, false) => {
            return Err(
                Failure::new(Status::Failed, format!("{label} does not know this farmer")).hint(format!(
                    "register it: `farmconsole pool join {}`",
                    asking.pool.launcher_id
                )),
            );
        }
        (_, true) => Some(OwnerRequest::Update),
        (_, false) => Some(OwnerRequest::Register),
    };
    let mut out = Out::for_people();
    if let Some(request) = request {
        asking.tell(request, &owner, token_timeout).await?;
        let done = match request {
            OwnerRequest::Register => "registered with",
            OwnerRequest::Update => "updated at",
        };
        writeln!(
            out,
            "PlotNFT {} is {done} {label} ({})",
            asking.pool.launcher_id,
            safe(&name)
        )?;
    } else {
        writeln!(
            out,
            "{label} ({}) knows plotNFT {} already",
            safe(&name),
            asking.pool.launcher_id
        )?;
    }
    let account = asking.account(token_timeout).await;
    let PoolReply::Farmer {
        payout_instructions,
        current_difficulty,
        current_points,
    } = account.map_err(|failure| asking.failed("GET /farmer", failure))?
    else {
        return Err(asking.failed("GET /farmer", "it answered something else"));
    };
    writeln!(
        out,
        "Difficulty {}, {}, paid to {}",
        grouped(current_difficulty),
        plural(current_points, "point"),
        safe(&payout_instructions)
    )?;
    if !payout_instructions.eq_ignore_ascii_case(&asking.pool.payout_instructions) {
        let wanted = safe(&asking.pool.payout_instructions);
        let set_payout = context.commands.here("`farmconsole pool set-payout`");
        writeln!(out, "The wallet wants it paid to {wanted}: {set_payout} tells the pool")?;
        return Ok(Ended::SomethingWrong);
    }
    Ok(Ended::Fine)
}

/// A pool that is asked by the owner of a plotNFT.
struct Asking {
    client: PoolClient,
    pool: PoolMembership,
}

/// What a pool says of itself, as far as it matters here.
struct Terms {
    name: String,
    /// Minutes for which its tokens hold.
    token_timeout: u8,
}

impl Asking {
    /// Asks for its terms. One that has moved for good is spoken to where it is from here on.
    async fn terms(&mut self) -> Result<Terms, Failure> {
        let request = PoolRequest::Info;
        let answer = self.exchange(&request).await;
        if let Some(url) = answer.moved_to {
            self.pool.pool_url = url;
        }
        match answer.result {
            Ok(PoolReply::Info {
                name,
                authentication_token_timeout: token_timeout,
                ..
            }) => Ok(Terms { name, token_timeout }),
            Ok(_) => Err(self.failed(request.word(), "it answered something else")),
            Err(failure) => Err(self.failed(request.word(), failure)),
        }
    }

    async fn ask(&self, request: &PoolRequest) -> Result<PoolReply, Failure> {
        self.answer(request)
            .await
            .map_err(|failure| self.failed(request.word(), failure))
    }

    async fn answer(&self, request: &PoolRequest) -> Result<PoolReply, PoolFailure> {
        self.exchange(request).await.result
    }

    async fn exchange(&self, request: &PoolRequest) -> PoolAnswer {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        self.client
            .ask(&self.pool, request, deadline, unix_seconds, chance)
            .await
    }

    async fn account(&self, token_timeout: u8) -> Result<PoolReply, PoolFailure> {
        let authentication_token = authentication_token(unix_seconds(), token_timeout);
        self.answer(&PoolRequest::Farmer { authentication_token }).await
    }

    async fn tell(
        &self,
        request: OwnerRequest,
        owner: &farmconsole::crypto::SecretKey,
        token_timeout: u8,
    ) -> Result<(), Failure> {
        if self.pool.version == PoolVersion::V2 {
            let request = match request {
                OwnerRequest::Register => PoolRequest::Register,
                OwnerRequest::Update => PoolRequest::SetPayout,
            };
            return self.ask(&request).await.map(|_| ());
        }
        let account = PoolAccount {
            unix_seconds: unix_seconds(),
            token_timeout,
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let answer = self
            .client
            .ask_as_owner(&self.pool, request, owner, account, deadline)
            .await;
        let word = match request {
            OwnerRequest::Register => "POST /farmer",
            OwnerRequest::Update => "PUT /farmer",
        };
        answer.result.map(|_| ()).map_err(|failure| self.failed(word, failure))
    }

    fn failed(&self, request: &str, why: impl std::fmt::Display) -> Failure {
        let label = pool_label(&self.pool.pool_url);
        Failure::new(
            Status::Failed,
            format!("ask {} ({request}): {}", safe(&label), safe(&why.to_string())),
        )
    }
}

fn unix_seconds() -> u64 {
    Clock::start().now().unix.seconds()
}

fn client(settings: &Settings, keys: FarmingKeys) -> Result<PoolClient, Failure> {
    let options = PoolClientOptions {
        roots: mozilla_roots(),
        https_only: settings.network == "mainnet",
        proxies: true,
        user_agent: format!("farmconsole/{}", env!("CARGO_PKG_VERSION")),
        farmer_version: SOFTWARE_VERSION.to_owned(),
    };
    PoolClient::new(options, Arc::new(keys)).map_err(|error| Failure::new(Status::Failed, error))
}

fn name_one(pools: &[&PoolMembership]) -> String {
    let ids: Vec<_> = pools.iter().map(|pool| pool.launcher_id.to_string()).collect();
    format!("name one: {}", ids.join(", "))
}

/// The plotNFT that is meant.
fn choose(context: &Context, wanted: Option<&str>) -> Result<PoolMembership, Failure> {
    let list = PoolList::load(&context.root);
    let wanted = wanted.map(|id| id.strip_prefix("0x").unwrap_or(id).to_ascii_lowercase());
    let joined: Vec<_> = list.pools.iter().filter(|pool| !pool.pool_url.is_empty()).collect();
    let is_meant = |pool: &&PoolMembership| {
        let id = pool.launcher_id.to_string();
        wanted.as_ref().is_none_or(|wanted| id.starts_with(wanted))
    };
    let meant: Vec<_> = joined.iter().copied().filter(is_meant).collect();
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let why = match list.errors.first() {
                Some(error) => format!("find a plotNFT that has joined a pool: {error}"),
                None => format!(
                    "{} names no plotNFT that has joined a pool{}",
                    context.root.pooling_file().display(),
                    wanted.map_or_else(String::new, |id| format!(" and begins with {id}"))
                ),
            };
            let hint = match joined.as_slice() {
                [] => "the wallet writes it down when it joins a pool".to_owned(),
                others => name_one(others),
            };
            Err(Failure::new(Status::Failed, why).hint(hint))
        }
        several => {
            let many = plural(several.len() as u64, "plotNFT");
            Err(Failure::new(Status::Usage, format!("{many} have joined a pool")).hint(name_one(several)))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use farmconsole::crypto::{PoolAuthentication, SecretKey};

    use super::*;

    /// A pool that has moved for good, and sends everything on; its old address.
    async fn moved() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
                stream.read_line(&mut first).await.unwrap();
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = text.trim().parse().unwrap();
                    }
                    line.clear();
                }
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                let path = first.split(' ').nth(1).unwrap();
                let (status, location, body) = match path.strip_prefix("/api") {
                    None => ("308 Moved", format!("Location: /api{path}\r\n"), ""),
                    Some("/pool_info") => (
                        "200 OK",
                        String::new(),
                        r#"{"name":"Pool","minimum_difficulty":1,"authentication_token_timeout":5}"#,
                    ),
                    Some(_) => ("200 OK", String::new(), r#"{"welcome_message":"hello"}"#),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    #[tokio::test]
    async fn a_pool_that_has_moved_is_told_where_it_is() {
        let secret = |number| SecretKey::key_gen(&[number; 32]).unwrap();
        let owner = secret(1);
        let owner_public_key = owner.public_key().to_g1();
        let authentication = PoolAuthentication::new(owner_public_key, PoolVersion::V1, secret(2)).unwrap();
        let options = PoolClientOptions {
            roots: mozilla_roots(),
            https_only: false,
            proxies: false,
            user_agent: "test".to_owned(),
            farmer_version: SOFTWARE_VERSION.to_owned(),
        };
        let keys = FarmingKeys::new(Vec::new(), Vec::new()).with_pool_authentication(vec![authentication]);
        let mut asking = Asking {
            client: PoolClient::new(options, Arc::new(keys)).unwrap(),
            pool: PoolMembership {
                launcher_id: Default::default(),
                pool_url: moved().await,
                payout_instructions: String::new(),
                target_puzzle_hash: Default::default(),
                p2_singleton_puzzle_hash: Default::default(),
                owner_public_key,
                version: PoolVersion::V1,
                key_derivation_index: None,
            },
        };
        let Ok(Terms { name, token_timeout }) = asking.terms().await else {
            panic!("no terms")
        };
        assert_eq!((name.as_str(), token_timeout), ("Pool", 5));
        for request in [OwnerRequest::Register, OwnerRequest::Update] {
            let told = asking.tell(request, &owner, token_timeout).await;
            assert!(told.is_ok(), "{request:?}: {:?}", told.err());
        }
    }
}
