"""Certificates without copying the CA key, with official harvesters. Started by `tests/interop/run certs`.

One farm whose old harvester (2.5.4) was set up as the guide says, with a copy of the CA; a new official one (2.7.5) that
joined with a token and has no CA key; and ours. Scenarios build on each other, in order.
"""
import json
import subprocess
import sys
import time

import farm as base
from farm import HERE, Failed, Harvester, OwnHarvester, World, free_port, peer_id, wait_for


class Joined(Harvester):
    """An official harvester that joins with a token and runs as `chia start harvester`, with its daemon and RPC."""

    def set_up(self, farm, plot_dirs):
        self.farm = farm
        self.chia("init")
        subprocess.run(
            [self.bin / "python", HERE / "official.py", "configure", self.root, str(farm.port), "simulator1", HERE / "simulator1.json", *map(str, plot_dirs)],
            check=True, capture_output=True, env=self.env(), timeout=120,
        )
        path = self.root / "config/config.yaml"
        text = path.read_text()
        for old, new in [("start_rpc_server: false", "start_rpc_server: true"), ("rpc_port: 8560", f"rpc_port: {free_port()}"), ("daemon_port: 55400", f"daemon_port: {free_port()}")]:
            if old not in text:
                raise Failed(f"the official settings have another shape than expected: no {old!r}")
            text = text.replace(old, new)
        path.write_text(text)

    def chia(self, *args, check=True):
        done = subprocess.run([self.bin / "chia", *args], env=self.env(), capture_output=True, text=True, timeout=180)
        if check and done.returncode != 0:
            raise Failed(f"chia {' '.join(args)}: {done.stdout}{done.stderr}")
        return done

    def join(self, token, *options, check=True):
        command = [self.farm.binary, "harvester", "join", token, "--official", "--chia-root", self.root, *options]
        done = subprocess.run(command, env=self.env(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
        if check and done.returncode != 0:
            raise Failed(f"join: status {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def start(self):
        self.chia("start", "harvester", "-r")

    def stop(self):
        self.chia("stop", "-d", "all", check=False)


class CertsWorld(World):
    def set_up(self):
        self.farm.set_up()
        plots = self.plots()
        self.old = Harvester(self.work, self.venvs, "2.5.4", "old")
        self.old.set_up(self.farm, self.plot_directory("old", plots["og"][:3], None), self.ca())
        self.new = Joined(self.work, self.venvs, "2.7.5", "new")
        self.new.set_up(self.farm, self.plot_directory("new", plots["og"][3:6], None))
        self.official = [self.old, self.new]
        self.farm.start()

    def invite(self, name, *options):
        return json.loads(self.farm.cli("harvester", "invite", name, "--json", "--address", f"127.0.0.1:{self.farm.port}", *options).stdout)["token"]

    def named(self, name):
        return next((h for h in self.farm.harvesters() if h["name"] == name), None)

    def farming(self, name, seconds=90):
        def check():
            view = self.named(name)
            return bool(view and view["state"]["state"] == "farming" and view["plots"]), view and view["state"]

        wait_for(f"{name} farms", seconds, check)


def old_harvester_farms_as_the_guide_says(world):
    """`chia init -c` still works: an official 2.5.4 harvester with a copy of the CA farms, trusting Chia's CA alone."""
    world.old.start()
    wait_for("the old harvester farms", 90, lambda: [h for h in world.of(world.old) if h["state"]["state"] == "farming"])
    chain = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{world.farm.port}", "-showcerts"], input=b"", capture_output=True, timeout=10,
    ).stdout.decode()
    if chain.count("BEGIN CERTIFICATE") != 2 or "Farmconsole server CA" not in chain:
        raise Failed(f"the farmer shows another chain than certificate and cross-certificate: {chain}")


def nothing_is_joined_before_chia_init(world):
    """An official root without settings is refused and left alone: its first `chia init` would replace the CA."""
    fresh = Joined(world.work, world.venvs, "2.7.5", "fresh")
    fresh.farm = world.farm
    fresh.root.mkdir()
    done = fresh.join(world.invite("fresh"), check=False)
    if done.returncode == 0 or "chia init" not in done.stderr or list(fresh.root.iterdir()):
        raise Failed(f"status {done.returncode}: {done.stderr}; {list(fresh.root.iterdir())}")


def official_harvester_joins_without_a_ca_key(world):
    """`harvester join --official`: five files, no CA key; `chia start harvester` connects, syncs its plots and farms."""
    started = time.monotonic()
    world.new.join(world.invite("rack-new", "--official"))
    if time.monotonic() - started > 20:
        raise Failed(f"joining took {time.monotonic() - started:.1f} s")
    ssl = world.new.root / "config/ssl"
    files = sorted(str(path.relative_to(ssl)) for path in ssl.rglob("*") if path.is_file())
    expected = ["ca/private_ca.crt", "daemon/private_daemon.crt", "daemon/private_daemon.key", "harvester/private_harvester.crt", "harvester/private_harvester.key"]
    if files != expected:
        raise Failed(f"the joined root holds {files}")
    world.new.start()
    world.farming("rack-new", 120)
    if world.named("rack-new")["plots"] != 3:
        raise Failed(f"rack-new synced {world.named('rack-new')['plots']} plots instead of 3")
    proofs = lambda: (world.named("rack-new")["proofs"] >= 3, world.named("rack-new")["proofs"])
    wait_for("proofs of the joined harvester", 120, proofs)
    summary = world.farm.summary()
    if summary["proofs_invalid"] or summary["proofs_lost"]:
        raise Failed(f"proofs were invalid or lost: {summary}")


def old_and_new_farm_on_one_port(world):
    """A harvester that trusts Chia's CA and one that trusts only the farm's are served side by side."""
    world.all_farming(30)
    spare = [key for key in (world.new.root / "config").glob("ssl.bak-*/ca/private_ca.key")]
    if len(spare) != 1:
        raise Failed(f"the certificates that were there are not kept: {spare}")


def chia_init_leaves_a_joined_root_alone(world):
    """`chia init` on a joined root makes no new CA; the audit finds the keys that were kept aside."""
    before = peer_id(world.new.root)
    ca = (world.new.root / "config/ssl/ca/private_ca.crt").read_bytes()
    world.new.chia("init")
    if peer_id(world.new.root) != before or (world.new.root / "config/ssl/ca/private_ca.crt").read_bytes() != ca:
        raise Failed("chia init replaced certificates of the joined root")
    if (world.new.root / "config/ssl/ca/private_ca.key").exists():
        raise Failed("chia init made a CA key on the joined root")
    audit = subprocess.run([world.farm.binary, "--root", world.new.root, "security", "audit", "--json"], capture_output=True, text=True, timeout=30)
    findings = [json.loads(line)["finding"] for line in audit.stdout.splitlines()]
    if audit.returncode != 1 or "ca_key_copy" not in findings:
        raise Failed(f"the audit does not find the CA key that was kept aside: {audit.stdout}")


def spare_keys_are_shredded_and_the_farmer_sees_the_restart(world):
    """Joining again beside a running harvester changes nothing; with --restart --shred no CA key is left, and the farmer has seen it."""
    token = world.invite("rack-new", "--official")
    before = peer_id(world.new.root)
    done = world.new.join(token, check=False)
    if done.returncode == 0 or "--restart" not in done.stderr or peer_id(world.new.root) != before:
        raise Failed(f"beside a running harvester: status {done.returncode}: {done.stdout}{done.stderr}")
    done = world.new.join(token, "--restart", "--shred")
    if "has connected to the farmer" not in done.stdout or "overwritten and removed" not in done.stdout:
        raise Failed(f"join --restart --shred: {done.stdout}{done.stderr}")
    view = world.named("rack-new")
    if not view or view["state"]["state"] == "absent" or view["peer_id"] != peer_id(world.new.root):
        raise Failed(f"the farmer has not seen it: {view}")
    left = [str(path) for path in world.new.root.rglob("private_ca.key")]
    if left:
        raise Failed(f"still there: {left}")
    world.farming("rack-new", 120)


def locked_ca_invites_nobody_until_it_is_unlocked(world):
    """`ca protect` leaves no key in the open; invitations need `ca unlock`; harvesters that are there farm on."""
    secret = world.work / "ca-passphrase"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    world.farm.cli("ca", "protect", "--new-passphrase-file", str(secret))
    ca = world.farm.root / "farmconsole/ca"
    in_the_open = [path.name for path in ca.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    if in_the_open != ["farmer.key"]:
        raise Failed(f"keys in the open: {in_the_open}")
    done = world.farm.cli("harvester", "invite", "rack-late", check=False)
    if done.returncode == 0 or "ca unlock" not in done.stderr:
        raise Failed(f"invite with a locked CA: status {done.returncode}: {done.stdout}{done.stderr}")
    world.farm.cli("--ca-passphrase-file", str(secret), "ca", "unlock")
    late = OwnHarvester(world.farm.binary, world.work / "late", world.farm.port)
    late.cli("harvester", "join", world.invite("rack-late"))
    world.farm.cli("--ca-passphrase-file", str(secret), "ca", "unprotect")
    world.farming("rack-new", 30)


def our_harvester_joins(world):
    """Ours joins with a token, with no root before, and farms under its name."""
    world.ours = OwnHarvester(world.farm.binary, world.work / "ours", world.farm.port)
    world.ours.root.mkdir()
    world.ours.cli("harvester", "join", world.invite("rack-own"))
    if list(world.ours.root.rglob("private_ca.key")):
        raise Failed("a CA key is on the joined machine")
    plots = world.plots()["og"][6:9]
    for directory in world.plot_directory("ours", plots, None):
        world.ours.cli("plots", "add", "-d", str(directory))
    path = world.ours.root / "config/config.yaml"
    path.write_text(path.read_text().replace("interval_seconds: 120", "interval_seconds: 5"))
    world.ours.start()
    world.farming("rack-own")


def stolen_certificate_opens_no_other_door(world):
    """A joined harvester's certificate is refused by the main machine's daemon, wallet and RPC whatever is sent with it, and plays no farmer."""
    done = subprocess.run(
        [world.new.bin / "python", HERE / "attacks.py", world.farm.root, world.ours.root / "farmconsole/membership.json"],
        capture_output=True, text=True, env=world.new.env(), timeout=60,
    )
    if done.returncode != 0:
        raise Failed(f"attacks.py: {done.stderr}")
    results = json.loads(done.stdout)
    control = results.pop("control: the wallet itself")
    if control != "let in":
        raise Failed(f"the control failed, so nothing is shown: {control}")
    let_in = [name for name, result in results.items() if not result.startswith("refused")]
    if let_in or len(results) != 6:
        raise Failed(f"let in: {let_in}; {results}")


def wallet_certificate_of_the_farmer_is_refused(world):
    """Another service's certificate of the same CA is no harvester's."""
    wallet = world.farm.root / "config/ssl/wallet/private_wallet"
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{world.farm.port}", "-cert", f"{wallet}.crt", "-key", f"{wallet}.key", "-ign_eof"],
        input=b"x", capture_output=True, timeout=10,
    )
    refused = lambda: [line for line in world.farm.cli("harvester", "doctor", check=False).stdout.splitlines() if "wallet certificate" in line]
    wait_for(f"the doctor tells of the wallet certificate ({done.returncode})", 5, refused)


def rotation_waits_for_who_has_not_followed(world):
    """`ca rotate`: ours follows by itself; `--finish` names the official one that has not, and is accepted when it has joined again. All are served throughout."""
    # It joined and never came, and would keep the rotation back.
    world.farm.cli("harvester", "revoke", "rack-late")
    world.farm.cli("ca", "rotate")
    done = world.farm.cli("ca", "rotate", "--finish", check=False)
    if done.returncode == 0 or "rack-new" not in done.stderr or "rack-own" not in done.stderr:
        raise Failed(f"nobody has followed: status {done.returncode}: {done.stdout}{done.stderr}")
    # It looks for new authorities a minute after its start, and every six hours.
    world.ours.stop()
    world.ours.start()

    def needing_the_old():
        doctor = world.farm.cli("harvester", "doctor", check=False).stdout
        return [line.rpartition(": ")[2] for line in doctor.splitlines() if "still need the old ones" in line]

    wait_for("ours has followed", 120, lambda: (needing_the_old() == ["rack-new"], needing_the_old()))
    done = world.farm.cli("ca", "rotate", "--finish", check=False)
    if done.returncode == 0 or "rack-new" not in done.stderr or "rack-own" in done.stderr:
        raise Failed(f"rack-new has not followed: status {done.returncode}: {done.stdout}{done.stderr}")
    both_answer(world)
    world.new.join(world.invite("rack-new", "--official"), "--restart", "--shred")
    done = world.farm.cli("ca", "rotate", "--finish")
    if "count no more" not in done.stdout or needing_the_old():
        raise Failed(f"all have followed: {done.stdout}{done.stderr}; {needing_the_old()}")
    both_answer(world)
    # With nothing but the new authorities, whoever dials anew is let in.
    world.farm.stop()
    world.farm.start()
    world.farming("rack-own")
    both_answer(world)
    world.all_farming(60)


def both_answer(world):
    """The official harvester that joined and ours both farm and answer signage points from here on."""
    for name in ["rack-new", "rack-own"]:
        world.farming(name, 120)
        before = world.named(name)["answered"]
        answers = lambda: (world.named(name)["answered"] >= before + 5, world.named(name)["state"])
        wait_for(f"{name} answers", 30, answers)


def token_is_good_once(world):
    """A used token and one with a slip in it are refused with a plain sentence."""
    token = world.invite("rack-twice")
    first = OwnHarvester(world.farm.binary, world.work / "twice-1", world.farm.port)
    second = OwnHarvester(world.farm.binary, world.work / "twice-2", world.farm.port)
    first.cli("harvester", "join", token)
    for text, sentence in [(token, "has been used"), (token[:-1], "copy all of it again")]:
        done = second.cli("harvester", "join", text, check=False)
        if done.returncode == 0 or sentence not in done.stderr:
            raise Failed(f"joining with {text[:20]}…: status {done.returncode}: {done.stderr}")
    again = first.cli("harvester", "join", token, check=False)
    if again.returncode == 0 or "is a harvester already, rack-twice" not in again.stderr:
        raise Failed(f"joining twice on one machine: status {again.returncode}: {again.stderr}")
    cancelled = world.invite("rack-cancelled")
    world.farm.cli("harvester", "revoke", "rack-cancelled")
    done = second.cli("harvester", "join", cancelled, check=False)
    if done.returncode == 0:
        raise Failed(f"a cancelled invitation was good: {done.stdout}")
    if (second.root / "farmconsole/membership.json").exists():
        raise Failed("a refused machine was given something")


def revoked_harvesters_are_gone_within_a_second(world):
    """`revoke` disconnects ours and an official one within a second, and they never come back."""
    for name in ["rack-own", "rack-new"]:
        world.farm.cli("harvester", "revoke", name)
        started = time.monotonic()
        wait_for(f"{name} is gone for good", 2, lambda: world.named(name)["state"]["state"] == "revoked")
        if time.monotonic() - started > 1.5:
            raise Failed(f"{name} was connected for {time.monotonic() - started:.1f} s more")
    time.sleep(8)  # an official harvester dials every 3 s
    back = [name for name in ["rack-own", "rack-new"] if world.named(name)["state"]["state"] != "revoked"]
    if back:
        raise Failed(f"back: {back}")


def hardened_farm_takes_only_who_joined(world):
    """The old harvester keeps `ca harden` back; it joins, and from then on Chia's CA counts no more."""
    done = world.farm.cli("ca", "harden", check=False)
    if done.returncode == 0 or "would be cut off" not in done.stderr:
        raise Failed(f"status {done.returncode}: {done.stderr}")
    old_id = peer_id(world.old.root)
    world.old.stop()
    world.farm.cli("harvester", "join", world.invite("rack-old", "--official"), "--official", "--chia-root", str(world.old.root))
    world.old.start()
    world.farming("rack-old")
    world.farm.cli("harvester", "revoke", old_id[:16])
    world.farm.cli("ca", "harden")
    if "legacy_ca" not in (world.farm.root / "config/config.yaml").read_text():
        raise Failed("`ca harden` is not in the settings")
    world.farm.stop()
    world.farm.start()
    world.farming("rack-old")
    stranger = Harvester(world.work, world.venvs, "2.6.0", "stranger")
    world.extra.append(stranger)
    stranger.set_up(world.farm, [], world.ca())
    stranger.start()
    refused = lambda: [line for line in world.farm.cli("harvester", "doctor", check=False).stdout.splitlines() if "counts no more" in line]
    wait_for("the doctor tells of the old CA", 30, refused)
    if [h for h in world.farm.harvesters() if h["peer_id"] == peer_id(stranger.root)]:
        raise Failed("a harvester of Chia's CA got in")


SCENARIOS = [
    old_harvester_farms_as_the_guide_says, nothing_is_joined_before_chia_init, official_harvester_joins_without_a_ca_key,
    old_and_new_farm_on_one_port, chia_init_leaves_a_joined_root_alone, spare_keys_are_shredded_and_the_farmer_sees_the_restart,
    locked_ca_invites_nobody_until_it_is_unlocked, our_harvester_joins, stolen_certificate_opens_no_other_door,
    wallet_certificate_of_the_farmer_is_refused, rotation_waits_for_who_has_not_followed, token_is_good_once,
    revoked_harvesters_are_gone_within_a_second, hardened_farm_takes_only_who_joined,
]


class Run(CertsWorld):
    """The world as farm.py's runner makes it."""

    def clean_up(self):
        super().clean_up()
        ours = getattr(self, "ours", None)
        if ours and ours.process and ours.process.poll() is None:
            ours.stop()


if __name__ == "__main__":
    base.SCENARIOS, base.World = SCENARIOS, Run
    sys.exit(base.main())
