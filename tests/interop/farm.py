"""Official harvesters 2.2.1, 2.5.4, 2.6.0 and 2.7.5 farm against farmconsole on the simulated chain, and farmconsole's
harvester for official farmers. Started by tests/interop/run.

Every scenario is a function that begins with a farm in order and leaves one. A scenario fails with the first thing that
did not come true in time, what was last seen instead, and where the logs are.
"""
import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASES = ["2.2.1", "2.5.4", "2.6.0", "2.7.5"]
MNEMONIC = "abandon " * 23 + "art"  # the BIP-39 test vector: worth nothing
CONTRACT = "ab" * 32
OTHER_FARMER_PK = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"


class Failed(Exception):
    pass


def wait_for(what, seconds, check):
    """Polls `check` until it gives a true value; that value is returned. `check` may return (False, seen)."""
    deadline = time.monotonic() + seconds
    seen = None
    while True:
        try:
            value = check()
        except (subprocess.CalledProcessError, OSError, json.JSONDecodeError) as error:
            value = (False, error)
        if isinstance(value, tuple):
            value, seen = value
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s; last seen: {seen}")
        time.sleep(0.2)


def with_network(text, network, constants):
    """The text of a settings file with another network selected, which has these constants."""
    values = "".join(f"      {name}: {value}\n" for name, value in constants.items())
    text, names = re.subn(r"(?m)^(selected_network: .*)simulator1$", rf"\g<1>{network}", text)
    text, lists = re.subn(r"(?m)^  constants:\n", rf"  constants:\n    {network}:\n{values}", text)
    prefix = f"  config:\n    {network}:\n      address_prefix: txch\n"
    text, prefixes = re.subn(r"(?m)^  config:\n", prefix, text)
    if (names, lists, prefixes) != (1, 1, 1):
        raise Failed("settings file of init has another shape than expected: networks")
    return text


class Farm:
    """One farmconsole root and its daemon."""

    def __init__(self, binary, root, port):
        self.binary, self.root, self.port, self.process = binary, root, port, None
        self.inside = []  # a command that starts the daemon elsewhere

    def cli(self, *args, check=True, text=None):
        done = subprocess.run([self.binary, "--root", self.root, *args], capture_output=True, text=True, input=text, timeout=30)
        if check and done.returncode != 0:
            raise Failed(f"farmconsole {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}")
        return done

    def set_up(self, network="simulator1", constants=None):
        self.cli("init", "--network", "simulator1")
        self.cli("keys", "import", "--mnemonic-file", "-", text=MNEMONIC)
        self.cli("configure", "--log-level", "DEBUG")
        path = self.root / "config/config.yaml"
        text = path.read_text()
        text, ports = re.subn(r"(?m)^(\s+port:) 8447\b", rf"\1 {self.port}", text)
        text, paces = re.subn(r"interval_seconds: 2\b", "interval_seconds: 0.5", text)
        if ports < 1 or paces != 1:
            raise Failed(f"settings file of init has another shape than expected ({ports} ports, {paces} paces)")
        if network != "simulator1":
            text = with_network(text, network, constants)
        path.write_text(text)

    def start(self):
        out = open(self.root / "daemon.out", "ab")
        started = time.monotonic()
        self.process = subprocess.Popen([*self.inside, self.binary, "--root", self.root, "--daemon"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        wait_for("daemon answers", 20, lambda: self.cli("summary", "--json", check=False).returncode == 0)
        return time.monotonic() - started

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        started = time.monotonic()
        self.process.wait(15)
        return time.monotonic() - started

    def summary(self):
        return json.loads(self.cli("summary", "--json").stdout)

    def harvesters(self):
        return [json.loads(line) for line in self.cli("harvester", "list", "--json").stdout.splitlines()]

    def alarms(self):
        done = self.cli("alarms", "--json", check=False)
        return [json.loads(line)["kind"] for line in done.stdout.splitlines()]

    def log(self):
        return (self.root / "log/debug.log").read_text(errors="replace")


class Harvester:
    """One root of an official release and its chia_harvester."""

    def __init__(self, work, venvs, release, name):
        self.bin = venvs / f"chia-{release}/bin"
        self.release, self.name, self.root, self.process = release, name, work / name, None

    def env(self):
        return dict(os.environ, CHIA_ROOT=str(self.root), CHIA_KEYS_ROOT=str(self.root / "keys"), PATH=f"{self.bin}:{os.environ['PATH']}")

    def set_up(self, farm, plot_dirs, ca=None, network="simulator1", constants=HERE / "simulator1.json"):
        """As the guide says: `chia init`, then `chia init -c` with the farm's CA directory."""
        commands = [["chia", "init"]] + ([["chia", "init", "-c", str(ca)]] if ca else [])
        for command in commands:
            subprocess.run([self.bin / command[0], *command[1:]], env=self.env(), check=True, capture_output=True, timeout=120)
        subprocess.run(
            [self.bin / "python", HERE / "official.py", "configure", self.root, str(farm.port), network, constants, *map(str, plot_dirs)],
            check=True, capture_output=True, env=self.env(), timeout=120,
        )

    def start(self, clock_ahead_s=0):
        """With `clock_ahead_s` its Python is told a time that is so many seconds ahead."""
        env = self.env()
        if clock_ahead_s:
            shifted = self.root / "shifted-clock"
            shifted.mkdir(exist_ok=True)
            (shifted / "sitecustomize.py").write_text(
                f"import time\nright = time.time\ntime.time = lambda: right() + {clock_ahead_s}\n"
            )
            env["PYTHONPATH"] = str(shifted)
        out = open(self.root / "harvester.out", "ab")
        self.process = subprocess.Popen([self.bin / "chia_harvester"], env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def software_version(self):
        return self.release


class OwnHarvester(Farm):
    """A root that joined a farm, and `farmconsole harvester run` on it."""

    def set_up(self, ca, plot_dirs):
        self.cli("init", "-c", str(ca), "--network", "simulator1")
        self.cli("configure", "--set-farmer-peer", f"127.0.0.1:{self.port}", "--log-level", "DEBUG")
        for directory in plot_dirs:
            self.cli("plots", "add", "-d", str(directory))

    def start(self, *options):
        out = open(self.root / "harvester.out", "ab")
        self.process = subprocess.Popen([self.binary, "--root", self.root, "harvester", "run", "--no-console", *options], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        wait_for("own harvester answers", 20, lambda: self.cli("summary", "--json", check=False).returncode == 0)


class World:
    """What the scenarios share: one farm, one harvester of each release, plots for each."""

    def __init__(self, directory, binary):
        self.venvs = directory
        self.work = Path(tempfile.mkdtemp(prefix="farmconsole-interop-"))
        self.farm = self.new_farm(binary, "farm")
        self.official = []
        self.extra = []

    def new_farm(self, binary, name):
        farm = Farm(binary, self.work / name, free_port())
        farm.root.mkdir()
        return farm

    def ca(self):
        return self.farm.root / "config/ssl/ca"

    def plots(self):
        """24 plots of the farm's keys (12 with a pool key, 12 with a contract) and one for other keys; cached."""
        keys = json.loads(self.farm.cli("keys", "show", "--json").stdout)
        farmer, pool = keys["farmer_public_keys"][0], keys["pool_public_keys"][0]
        cache = self.venvs / f"plots-{farmer[:12]}-{pool[:12]}"
        for kind, number, farmer_pk, where in [("og", 12, farmer, pool), ("nft", 12, farmer, CONTRACT), ("other", 1, OTHER_FARMER_PK, pool)]:
            have = list((cache / kind).glob("*.plot"))
            if len(have) < number:
                subprocess.run(
                    [self.venvs / "chia-2.7.5/bin/python", HERE / "official.py", "plots", cache / kind, str(number - len(have)), farmer_pk, where],
                    check=True, timeout=900, env=dict(os.environ, CHIA_ROOT=str(self.work / "plotter")),
                )
        return {kind: sorted((cache / kind).glob("*.plot"))[:number] for kind, number in [("og", 12), ("nft", 12), ("other", 1)]}

    def v2_plots(self, farm):
        """16 v2 plots of a farm's keys, half of them with a contract; cached."""
        keys = json.loads(farm.cli("keys", "show", "--json").stdout)
        farmer, pool = keys["farmer_public_keys"][0], keys["pool_public_keys"][0]
        cache = self.venvs / f"plots-{farmer[:12]}-{pool[:12]}"
        for kind, to in [("v2-og", pool), ("v2-nft", CONTRACT)]:
            missing = 8 - len(list((cache / kind).glob("*.plot2")))
            if missing > 0:
                subprocess.run(
                    [self.venvs / "chia-2.7.5/bin/python", HERE / "official.py", "v2plots", cache / kind, str(missing), farmer, to],
                    check=True, timeout=300, env=dict(os.environ, CHIA_ROOT=str(self.work / "plotter")),
                )
        return {kind: sorted((cache / kind).glob("*.plot2"))[:8] for kind in ("v2-og", "v2-nft")}

    def plot_directory(self, name, plots, with_bad_files):
        """Hard links to real plots; with one file that is no plot, one for other keys and one duplicate."""
        main, second = self.work / f"plots-{name}", self.work / f"plots-{name}-more"
        main.mkdir()
        second.mkdir()
        for plot in plots:
            link(plot, main / plot.name)
        if with_bad_files:
            (main / "broken.plot").write_bytes(os.urandom(20_000))
            link(with_bad_files, main / with_bad_files.name)
            link(plots[0], second / plots[0].name)
        return [main, second]

    def set_up(self):
        self.farm.set_up()
        plots = self.plots()
        for n, release in enumerate(RELEASES):
            harvester = Harvester(self.work, self.venvs, release, f"h-{release}")
            mine = plots["og"][3 * n : 3 * n + 3] + plots["nft"][3 * n : 3 * n + 3]
            harvester.set_up(self.farm, self.plot_directory(harvester.name, mine, plots["other"][0]), self.ca())
            self.official.append(harvester)
        self.farm.start()
        for harvester in self.official:
            harvester.start()

    def of(self, harvester):
        """The farm's view of a harvester, by its certificate."""
        return [h for h in self.farm.harvesters() if h["peer_id"] == peer_id(harvester.root)]

    def all_farming(self, seconds=60):
        def check():
            states = {}
            for harvester in self.official:
                views = self.of(harvester)
                states[harvester.release] = views[0]["state"]["state"] if views else "unknown"
            return all(s == "farming" for s in states.values()), states

        wait_for("every official harvester farms", seconds, check)

    def clean_up(self):
        for harvester in self.official + self.extra:
            harvester.stop()
        if self.farm.process and self.farm.process.poll() is None:
            self.farm.process.kill()
            self.farm.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peer_id(root):
    """SHA-256 of a harvester's certificate: what a farmer knows it by."""
    return fingerprint_of(root / "config/ssl/harvester/private_harvester.crt")


def fingerprint_of(certificate):
    """SHA-256 of a certificate, in hexadecimal."""
    der = subprocess.run(["openssl", "x509", "-in", certificate, "-outform", "DER"], check=True, capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


def link(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


# ------------------------------------------------------------------------------------------------ scenarios


def connected_and_synced(world):
    """Each release connects, syncs its plots with the right counts, is challenged and answers."""
    world.all_farming(120)
    for harvester in world.official:
        view = world.of(harvester)[0]
        counts = {key: view[key] for key in ("plots", "failed", "no_key", "duplicates")}
        expected = {"plots": 6, "failed": 1, "no_key": 1, "duplicates": 1}
        if counts != expected:
            raise Failed(f"harvester {harvester.release} synced {counts}, expected {expected}")
        if view["answered"] == 0 or view["challenged"] == 0:
            raise Failed(f"harvester {harvester.release}: challenged {view['challenged']}, answered {view['answered']}")
    # Which one of two files with a plot is the duplicate depends on the harvester's threads.
    for name, flag in [("broken.plot", "--failed"), ("plot-k18-", "--no-key"), ("plot-k18-", "--duplicates")]:
        listed = world.farm.cli("harvester", "list", flag).stdout
        for harvester in world.official:
            of_harvester = [line for line in listed.splitlines() if f"/plots-{harvester.name}" in line and name in line]
            if len(of_harvester) != 1:
                raise Failed(f"`harvester list {flag}` does not list the one file of harvester {harvester.release}: {listed}")


def unlisted_plots(farm):
    """Plots by contract that the farm says no plotNFT in its list has, and the harvesters it names."""
    return {a["contract"]: (a["plots"], len(a["harvesters"])) for a in farm.alarms() if a["kind"] == "plot_nft_gone"}


def plots_of_no_plotnft(world):
    """A farm that has joined no pool is told of the plots that each release has for a contract."""
    wait_for("the plots of the contract are an alarm", 60, lambda: (unlisted_plots(world.farm) == {CONTRACT: (12, 4)}, world.farm.alarms()))
    if CONTRACT not in (said := world.farm.cli("pool", "list").stdout):
        raise Failed(f"`pool list` does not tell of it: {said}")


def proofs_become_blocks(world):
    """At least 20 proofs of each release, of both plot kinds, are verified and signed; blocks are accepted, nothing is lost."""

    def check():
        proofs = {h["software_version"]: h["proofs"] for h in world.farm.harvesters()}
        return all(n >= 20 for n in proofs.values()), proofs

    wait_for("20 proofs of each release", 300, check)
    wait_for("all of them become blocks", 20, lambda: settled(world.farm.summary()))
    found = set(re.findall(r"found a proof in \S*/(plot-k18-\S+\.plot)", world.farm.log()))
    for kind, plots in world.plots().items():
        names = {plot.name for plot in plots}
        if kind == "other" and found & names:
            raise Failed("a plot made for other keys was farmed")
        if kind != "other" and not found & names:
            raise Failed(f"no proof came from a plot of kind {kind}")


def settled(summary, least=60):
    """Whether every proof found was signed and accepted; raises if one was invalid or lost."""
    counts = {key: summary[key] for key in summary if key.startswith(("proofs", "blocks"))}
    if summary["proofs_invalid"] or summary["proofs_lost"]:
        raise Failed(f"proofs were invalid or lost: {counts}")
    return summary["blocks_accepted"] == summary["proofs_found"] >= least, counts


def cross_check(world):
    """What each release lists on request is what was synced, and it finds the eligible plots that its plot ids make."""
    world.farm.cli("harvester", "list", "--refresh")

    def check():
        checks = [h["cross_check"] for h in world.farm.harvesters()]
        return all(c and c["missing"] == 0 and c["unexpected"] == 0 and c["listed"] == 6 for c in checks), checks

    wait_for("every list agrees with the sync", 20, check)

    def counted():
        views = [h["eligibility"] for h in world.farm.harvesters()]
        if any(view["differed"] for view in views):
            raise Failed(f"an answer says other eligible plots than its plot ids make: {views}")
        return all(view["compared"] >= 20 for view in views), views

    wait_for("20 answers of each release agree with its plot ids", 60, counted)


@contextlib.contextmanager
def one_plot_away(world, harvester):
    """Takes one plot out of a harvester's directory, and puts it back."""
    directory = world.work / f"plots-{harvester.name}"
    foreign = {plot.name for plot in world.plots()["other"]}  # listed as no-key, not among the plots that can be lost
    victim = next(plot for plot in sorted(directory.glob("plot-k18-*.plot")) if plot.name not in foreign)
    away = world.work / "away.plot"
    duplicate = world.work / f"plots-{harvester.name}-more" / victim.name
    held = duplicate.rename(world.work / "away-duplicate.plot") if duplicate.exists() else None
    victim.rename(away)
    yield
    away.rename(victim)
    if held:
        held.rename(duplicate)


def has_plots(world, harvester, number):
    return lambda: (world.of(harvester)[0]["plots"] == number, world.of(harvester)[0]["plots"])


def one_plot_is_lost(world):
    return [a for a in world.farm.alarms() if a["kind"] == "plots_lost" and a["lost"] == 1], world.farm.alarms()


def plots_come_and_go(world):
    """A removed plot is missed and named; when it comes back the count is right again."""
    harvester = world.official[-1]
    with one_plot_away(world, harvester):
        wait_for("the lost plot is noticed", 40, has_plots(world, harvester, 5))
        wait_for("the loss is an alarm", 5, lambda: one_plot_is_lost(world))
    wait_for("the plot is back", 40, has_plots(world, harvester, 6))


def plots_lost_while_everything_was_off(world):
    """After a power cut a plot that a harvester does not have any more is an alarm, until it is back."""
    harvester = world.official[-1]
    world.farm.stop(signal.SIGKILL)
    harvester.stop()
    with one_plot_away(world, harvester):
        world.farm.start()
        harvester.start()
        world.all_farming(60)
        wait_for("its plots are listed", 40, has_plots(world, harvester, 5))
        wait_for("the loss is an alarm", 150, lambda: one_plot_is_lost(world))
    wait_for("the alarm is over", 40, lambda: (not one_plot_is_lost(world)[0], world.farm.alarms()))


def farmer_restart(world):
    """SIGTERM ends the farmer within 5 s; after a restart all harvesters are back and farming."""
    took = world.farm.stop()
    if took > 5 or world.farm.process.returncode != 0:
        raise Failed(f"SIGTERM: {took:.1f} s, status {world.farm.process.returncode}")
    world.farm.start()
    world.all_farming(60)


def farmer_killed(world):
    """kill -9 leaves a root that starts again in under a second."""
    world.farm.stop(signal.SIGKILL)
    took = world.farm.start()
    if took > 1.5:  # of which starting `summary` and polling is a part
        raise Failed(f"after kill -9 the farmer answered only after {took:.2f} s")
    world.all_farming(60)


def harvester_restart(world):
    """A harvester that ends is missed by name; when it comes back the alarm closes."""
    harvester = world.official[0]
    harvester.stop()
    wait_for("its absence is an alarm", 30, lambda: ([a for a in world.farm.alarms() if a["kind"] == "harvester_absent"], world.farm.alarms()))
    harvester.start()
    world.all_farming(60)
    wait_for("the alarm is over", 30, lambda: (not [a for a in world.farm.alarms() if a["kind"] == "harvester_absent"], world.farm.alarms()))


def absent_harvester_keeps_its_plots(world):
    """A harvester of the farm that is gone is listed with the plots that it had, also after a restart of the farmer."""
    harvester = Harvester(world.work, world.venvs, "2.7.5", "h-member")
    harvester.set_up(world.farm, world.plot_directory("member", world.plots()["nft"][:2], None)[:1])
    ssl = harvester.root / "config/ssl"
    key, request = ssl / "harvester/private_harvester.key", ssl / "harvester.csr"
    # On a simulated chain only those are expected that joined; no copy of Chia's private CA makes anybody one of them.
    new_key = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*new_key, "-keyout", key, "-out", request], check=True, capture_output=True)
    world.farm.cli("harvester", "sign-csr", "member", str(request), "--out", str(ssl))
    (ssl / "private_harvester.crt").replace(ssl / "harvester/private_harvester.crt")
    (ssl / "private_ca.crt").replace(ssl / "ca/private_ca.crt")
    world.extra.append(harvester)
    harvester.start()

    def listed(state):
        views = [(h["name"], h["state"]["state"], h["plots"]) for h in world.of(harvester)]
        return views == [("member", state, 2)], views

    wait_for("it farms", 40, lambda: listed("farming"))
    harvester.stop()
    wait_for("it is absent with its plots", 20, lambda: listed("absent"))
    world.farm.stop()
    world.farm.start()
    wait_for("so it is after a restart", 20, lambda: listed("absent"))
    harvester.start()
    wait_for("it farms again", 40, lambda: listed("farming"))
    harvester.stop()
    world.farm.cli("harvester", "revoke", "member")
    world.all_farming(60)


def control_socket_is_put_back(world):
    """A farmer whose control socket was removed puts it back and farms on: `summary` works again."""
    world.all_farming(120)
    farm = world.farm
    socket_file, before = farm.root / "farmconsole/control.sock", farm.summary()["signage_points_received"]
    socket_file.unlink()
    if (status := farm.cli("summary", check=False).returncode) != 69:
        raise Failed(f"`summary` without a socket ends with status {status}")
    wait_for("`summary` works again", 20, lambda: farm.cli("summary", check=False).returncode == 0)
    if (mode := socket_file.stat().st_mode & 0o777) != 0o600:
        raise Failed(f"the socket that was put back has the mode {mode:o}")
    if (after := farm.summary()["signage_points_received"]) <= before:
        raise Failed(f"{before} signage points before, {after} after: this is another farmer, or it stood still")
    world.all_farming(10)


def harvester_hangs(world):
    """A stopped harvester process is noticed although its connection stays open."""
    harvester = world.official[1]
    harvester.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(
            "a hanging harvester has a state of its own", 40,
            lambda: (world.of(harvester)[0]["state"]["state"] in ("silent", "suspect"), world.of(harvester)[0]["state"]),
        )
    finally:
        harvester.process.send_signal(signal.SIGCONT)
    world.all_farming(60)


def harvester_clock_differs(world):
    """A harvester of each release whose clock is two hours behind farms and is an alarm by name, until its clock is right."""

    def alarms():
        return {a["name"]: a["ahead_s"] for a in world.farm.alarms() if a["kind"] == "harvester_clock_differs"}

    if alarms():
        raise Failed(f"clocks that are right are an alarm: {alarms()}")
    for harvester in world.official:
        harvester.stop()
        harvester.start(clock_ahead_s=-7200)
    wait_for("clocks that differ are alarms", 90, lambda: (len(alarms()) == len(world.official), alarms()))
    if not all(abs(ahead_s + 7200) <= 5 for ahead_s in alarms().values()):
        raise Failed(f"the alarms tell other differences: {alarms()}")
    world.all_farming(60)
    for harvester in world.official:
        harvester.stop()
        harvester.start()
    world.all_farming(60)
    wait_for("the alarms are over", 40, lambda: (not alarms(), alarms()))


def shared_certificate(world):
    """Two harvesters with one certificate are both served, with an alarm that names both addresses."""
    first = world.official[-1]
    second = Harvester(world.work, world.venvs, "2.7.5", "h-clone")
    plots = world.plots()
    second.set_up(world.farm, world.plot_directory("clone", plots["nft"][:2], None), world.ca())
    shutil.rmtree(second.root / "config/ssl")
    shutil.copytree(first.root / "config/ssl", second.root / "config/ssl")
    world.extra.append(second)
    second.start()
    wait_for("both are connected", 40, lambda: (len([h for h in world.of(first) if h["state"]["state"] != "absent"]) == 2, world.of(first)))
    alarm = wait_for("the shared certificate is an alarm", 5, lambda: [a for a in world.farm.alarms() if a["kind"] == "certificate_shared"])
    if len(alarm[0]["addresses"]) != 2:
        raise Failed(f"the alarm names {alarm[0]['addresses']}")
    connections = sum(h["connections"] for h in world.of(first))
    wait_for("both farm", 40, lambda: (all(h["state"]["state"] == "farming" for h in world.of(first)), [h["state"] for h in world.of(first)]))
    time.sleep(10)
    if sum(h["connections"] for h in world.of(first)) != connections:
        raise Failed("harvesters with one certificate push each other out")
    second.stop()
    wait_for("the alarm is over", 20, lambda: not [a for a in world.farm.alarms() if a["kind"] == "certificate_shared"])


def foreign_ca(world):
    """A harvester with a certificate of another CA is refused, and the screen says why."""
    stranger = Harvester(world.work, world.venvs, "2.7.5", "h-stranger")
    stranger.set_up(world.farm, [])
    world.extra.append(stranger)
    stranger.start()

    def check():
        causes = [a["cause"]["cause"] for a in world.farm.alarms() if a["kind"] == "connection_refused"]
        return "foreign_ca" in causes or "peer_refused_us" in causes, causes

    wait_for("the refusal is an alarm with its cause", 40, check)
    stranger.stop()


def wrong_network(world):
    """A harvester of another network is refused with both names."""
    lost = Harvester(world.work, world.venvs, "2.7.5", "h-lost")
    lost.set_up(world.farm, [], world.ca(), network="simulator9")
    world.extra.append(lost)
    lost.start()

    def check():
        causes = [a["cause"] for a in world.farm.alarms() if a["kind"] == "connection_refused"]
        return [c for c in causes if c["cause"] == "wrong_network" and c["got"] == "simulator9" and c["expected"] == "simulator1"], causes

    wait_for("the wrong network is an alarm", 40, check)
    lost.stop()


def own_harvester_beside_the_official_one(world):
    """With official farmers 2.2.1, 2.5.4 and 2.7.5 our harvester finds every proof that the official one finds, and none that fails.

    Farmers before 2.7.4 cannot farm v2 plots, and some of them take no list of plots that has one."""
    plots = world.plots()
    mine = plots["og"] + plots["nft"]
    v2 = world.v2_plots(world.farm)["v2-og"][:2]
    for release in ["2.2.1", "2.5.4", "2.7.5"]:
        port, name = free_port(), f"judge-{release}"
        own = OwnHarvester(world.farm.binary, world.work / f"own-{release}", port)
        own.root.mkdir()
        official = Harvester(world.work, world.venvs, release, f"beside-{release}")
        directory = world.plot_directory(name, mine, None)[:1]
        too_new = [] if release == "2.7.5" else v2
        own.set_up(world.ca(), directory + world.plot_directory(f"{name}-v2", too_new, None)[:1])
        official.set_up(own, directory, world.ca())
        judge = world.work / name
        command = [
            world.venvs / f"chia-{release}/bin/python", HERE / "official_farmer.py", judge, port, world.ca(), "simulator1", HERE / "simulator1.json",
            MNEMONIC, 1, 120, 0.25, 2, len(mine),
        ]
        output = world.work / f"{name}.jsonl"
        farmer = subprocess.Popen([str(part) for part in command], stdout=open(output, "wb"), stderr=open(world.work / f"{name}.err", "wb"), stdin=subprocess.DEVNULL)
        try:
            own.start()
            official.start()
            read = lambda: [json.loads(line) for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
            wait_for(f"farmer {release} has sent its signage points", 180, lambda: ([e for e in read() if e["event"] == "done"], read()[-1:] or (world.work / f"{name}.err").read_text()[-400:]))
            summary = own.summary()
        finally:
            official.stop()
            farmer.terminate()
            farmer.wait(30)
            took = own.stop()
        events = read()
        found = {who.root.name: {(e["sp_hash"], e["plot"], e["proof"]) for e in events if e["event"] == "proof" and e["harvester"] == peer_id(who.root)} for who in (own, official)}
        ours, theirs = found[own.root.name], found[official.root.name]
        if bad := [e for e in events if e["event"] == "proof" and not e["ok"]]:
            raise Failed(f"farmer {release} refuses proofs: {bad[:2]}")
        if len(theirs) < 20 or not theirs <= ours:
            raise Failed(f"farmer {release}: the official harvester found {len(theirs)} proofs, ours {len(ours)}; missing {sorted(p[:2] for p in theirs - ours)}")
        declared = len([e for e in events if e["event"] == "declared"])
        if declared != len(ours) + len(theirs):
            raise Failed(f"farmer {release}: {len(ours)} + {len(theirs)} proofs, but the signatures of {declared} fit together")
        told = {concern["kind"]: concern for concern in summary["concerns"]}
        if told.pop("farmer_too_old", {}).get("plots", 0) != len(too_new) or told:
            raise Failed(f"own harvester with farmer {release} and {len(too_new)} v2 plots says: {summary['concerns']}")
        if summary["status"] != "harvesting" or summary["farmer"]["state"]["state"] != "synced" or summary["counts"]["farmed"] != len(mine + too_new):
            raise Failed(f"own harvester says of itself: {summary['status']}, {summary['farmer']}, {summary['counts']}")
        if took > 5 or own.process.returncode != 0:
            raise Failed(f"SIGTERM of the own harvester: {took:.1f} s, status {own.process.returncode}")
        print(f"       farmer {release}: {len(theirs)} proofs by the official harvester, {len(ours)} by ours, all verified, {declared} declared")


def own_harvester_comes_and_goes(world):
    """Our harvester with our farmer: it joins, is replaced, outlives a kill -9 of the farmer in the middle of it, and is stopped."""
    own = OwnHarvester(world.farm.binary, world.work / "own", world.farm.port)
    own.root.mkdir()
    plots = world.plots()["nft"][:3]
    own.set_up(world.ca(), world.plot_directory("own", plots, None)[:1])
    own.start()
    try:
        farming = lambda: ([h for h in world.of(own) if h["state"]["state"] == "farming" and h["plots"] == 3], world.of(own))
        wait_for("our harvester farms", 40, farming)
        first = own.process
        own.start("--replace")
        if first.wait(12) != 0:
            raise Failed(f"the harvester that was replaced ended with {first.returncode}")
        wait_for("its successor farms", 40, farming)
        second = own.cli("harvester", "run", "--no-console", check=False)
        if second.returncode != 75 or f"process {own.process.pid}" not in second.stderr:
            raise Failed(f"a second harvester: status {second.returncode}: {second.stderr}")
        world.farm.stop(signal.SIGKILL)
        wait_for("the farmer's end is told", 20, lambda: ("no_farmer" in own.cli("alarms", "--json", check=False).stdout, own.summary()["farmer"]))
        world.farm.start()
        wait_for("it is back", 40, farming)
        own.cli("stop")
        if own.process.wait(5) != 0:
            raise Failed(f"`farmconsole stop`: status {own.process.returncode}")
    finally:
        if own.process.poll() is None:
            own.stop()
    world.all_farming(60)


def v2_plots(world):
    """After hard fork 2 an official 2.7.5 harvester and the embedded one find v2 partial proofs; solved here, they become blocks."""
    farm = world.new_farm(world.farm.binary, "farm-v2")
    constants = json.loads((HERE / "simulator1.json").read_text())
    # Low difficulty: of plots that pass the filter of 1/4, one in four has a proof that is good enough.
    constants.update(HARD_FORK2_HEIGHT=6, DIFFICULTY_CONSTANT_FACTOR=300_000_000)
    path = world.work / "simulator2.json"
    path.write_text(json.dumps(constants))
    farm.set_up("simulator2", constants)
    plots = world.v2_plots(farm)
    official = Harvester(world.work, world.venvs, "2.7.5", "h-v2")
    theirs = world.plot_directory("v2-official", plots["v2-og"][:2] + plots["v2-nft"][:2], None)
    official.set_up(farm, theirs[:1], farm.root / "config/ssl/ca", "simulator2", path)
    ours = world.plot_directory("v2-own", plots["v2-og"][2:4] + plots["v2-nft"][2:4], None)
    farm.cli("plots", "add", "-d", str(ours[0]))
    farm.start()
    official.start()
    try:
        def check():
            proofs = {h["name"]: h["proofs"] for h in farm.harvesters()}
            return len(proofs) == 2 and all(n >= 5 for n in proofs.values()), proofs

        seen = set()

        def counted():
            views = {h["name"]: h["eligibility"] for h in farm.harvesters()}
            if any(view["differed"] for view in views.values()):
                raise Failed(f"an answer says other eligible v2 plots than their groups make: {views}")
            seen.update(name for name, view in views.items() if view["last"] and view["last"]["expected"])
            return len(views) == len(seen) == 2 and all(view["compared"] >= 20 for view in views.values()), views

        wait_for("five v2 proofs of each harvester", 60, check)
        wait_for("all of them become blocks", 20, lambda: settled(farm.summary(), 10))
        wait_for("20 answers of each agree with the groups of its v2 plots", 60, counted)
        if wrong := [a for a in farm.alarms() if a["kind"] == "eligible_mismatch"]:
            raise Failed(f"a false alarm of eligible plots: {wrong}")
    finally:
        official.stop()
        farm.stop()


class Pool:
    """A pool made of the official package, which a farm has joined with the wallet of its keys."""

    def __init__(self, world, farm):
        self.python, self.output = world.venvs / "chia-2.7.5/bin/python", world.work / f"{farm.root.name}.jsonl"
        self.port, self.payout = free_port(), "bb" * 32
        joined = self.command("join", farm.root, f"http://127.0.0.1:{self.port}", CONTRACT, self.payout, MNEMONIC)
        subprocess.run(joined, check=True, capture_output=True)
        farm.cli("keys", "import", "--mnemonic-file", "-", text=MNEMONIC)
        errors = open(world.work / f"{farm.root.name}.err", "wb")
        served = self.command("serve", self.port, self.output, CONTRACT, MNEMONIC)
        self.process = subprocess.Popen(served, stdout=errors, stderr=errors, stdin=subprocess.DEVNULL)
        wait_for("the pool listens", 20, lambda: self.output.exists())

    def command(self, *args):
        return [str(part) for part in (self.python, HERE / "pool.py", *args)]

    def events(self, kind):
        events = [json.loads(line) for line in self.output.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [event for event in events if event["event"] == kind]

    def refused_nothing(self):
        if wrong := self.events("wrong") + self.events("error"):
            raise Failed(f"the pool refuses: {wrong[:3]}")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def partials_reach_a_pool(world):
    """A pool made of the official package: partials of an official harvester and of ours are refused until the owner has registered, then accepted, also after a 500."""
    farm = world.new_farm(world.farm.binary, "farm-pool")
    farm.set_up()
    pool = Pool(world, farm)
    official = Harvester(world.work, world.venvs, "2.7.5", "h-pool")
    plots = world.plots()["nft"]
    official.set_up(farm, world.plot_directory("pool-official", plots[:5], None)[:1], farm.root / "config/ssl/ca")
    farm.cli("plots", "add", "-d", str(world.plot_directory("pool-own", plots[5:], None)[0]))
    try:
        farm.start()
        wait_for("the pool is not registered with", 20, lambda: ([a for a in farm.alarms() if a["kind"] == "pool_needs_owner" and a["need"]["need"] == "register"], farm.alarms()))
        wait_for("a partial is refused", 60, lambda: (pool.events("unknown"), []))
        joined = farm.cli("pool", "join", "--mnemonic-file", "-", text=MNEMONIC)
        if "is registered with" not in joined.stdout or pool.payout not in joined.stdout:
            raise Failed(f"`pool join`: {joined.stdout}")
        told = farm.cli("pool", "set-payout", "--mnemonic-file", "-", text=MNEMONIC)
        if [e["method"] for e in pool.events("registered")] != ["POST", "PUT"]:
            raise Failed(f"`pool set-payout`: {told.stdout}, {pool.events('registered')}")
        official.start()

        def check():
            versions = [e["harvester"] for e in pool.events("accepted")]
            return min(versions.count("2.7.5"), len(versions) - versions.count("2.7.5")) >= 15, sorted(set(versions)) + [len(versions)]

        wait_for("15 partials of each harvester", 180, check)
        pool.refused_nothing()
        again = len([e for e in pool.events("accepted") if e["again"]])
        if not again:
            raise Failed("no partial was sent again after a 500")
        view = json.loads(farm.cli("pool", "list", "--json").stdout)
        counts, refused = view["partials"], len(pool.events("unknown"))
        if view["difficulty"] != 2 or view["state"]["state"] != "ready" or view["points_acknowledged"] < 30 or counts["invalid"] != refused or counts["late"]:
            raise Failed(f"the farm says: {view['state']}, difficulty {view['difficulty']}, {view['points_acknowledged']} points, {counts}, {refused} refused before")
        if view["plots"] != 12 or not view["expected_partials_24h"]:
            raise Failed(f"the farm expects {view['expected_partials_24h']} partials of {view['plots']} plots")
        if (wrong := [a for a in farm.alarms() if a["kind"] in ("partials_rare", "partials_absent", "plot_nft_gone")]):
            raise Failed(f"a false alarm: {wrong}")
        listed = farm.root / "pooling/pooling_share_state.yaml"
        state = listed.read_text()
        listed.write_text("pooling_information: []\n")
        wait_for("the plots of a plotNFT that left the list are an alarm", 60, lambda: (unlisted_plots(farm) == {CONTRACT: (12, 2)}, farm.alarms()))
        farm.stop()
        farm.start()
        wait_for("they are one after a restart, too", 90, lambda: (unlisted_plots(farm) == {CONTRACT: (12, 2)}, farm.alarms()))
        listed.write_text(state)
        wait_for("it is over when the plotNFT is listed again", 30, lambda: (not unlisted_plots(farm), farm.alarms()))
        print(f"       {refused} partials refused before the owner had registered; then {len(pool.events('accepted'))} accepted, {again} of them after a 500; {view['points_found']} points found, {view['points_acknowledged']} acknowledged")
    finally:
        official.stop()
        farm.stop()
        pool.stop()


def v2_partials_reach_a_pool(world):
    """After hard fork 2: v2 partial proofs that are far from a block are solved for a pool, which verifies them with the official package."""
    farm = world.new_farm(world.farm.binary, "farm-pool-v2")
    constants = json.loads((HERE / "simulator1.json").read_text())
    # A partial is thirty times as likely as a block: the difficulty of the chain is 30.
    constants.update(HARD_FORK2_HEIGHT=6, DIFFICULTY_CONSTANT_FACTOR=3_000_000_000)
    path = world.work / "simulator3.json"
    path.write_text(json.dumps(constants))
    farm.set_up("simulator2", constants)
    pool = Pool(world, farm)
    plots = world.v2_plots(farm)["v2-nft"]
    official = Harvester(world.work, world.venvs, "2.7.5", "h-pool-v2")
    half = len(plots) // 2
    official.set_up(farm, world.plot_directory("pool-v2-official", plots[:half], None)[:1], farm.root / "config/ssl/ca", "simulator2", path)
    farm.cli("plots", "add", "-d", str(world.plot_directory("pool-v2-own", plots[half:], None)[0]))
    farm.start()
    try:
        farm.cli("pool", "join", "--mnemonic-file", "-", text=MNEMONIC)
        official.start()

        def check():
            versions = [e["harvester"] for e in pool.events("accepted") if e["v2"]]
            return min(versions.count("2.7.5"), len(versions) - versions.count("2.7.5")) >= 5, sorted(set(versions)) + [len(versions)]

        wait_for("5 v2 partials of each harvester", 120, check)
        pool.refused_nothing()
        summary, view = farm.summary(), json.loads(farm.cli("pool", "list", "--json").stdout)
        print(f"       {len(pool.events('accepted'))} v2 partials accepted, {view['partials']}; {summary['proofs_found']} proofs, {summary['blocks_accepted']} blocks, {summary['proofs_lost']} lost")
    finally:
        official.stop()
        farm.stop()
        pool.stop()


def log_lines(world):
    """The log has the lines that the guide and log tools look for, in the official format."""
    log = world.farm.log()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} \S+ farmer farmer_server\s+: DEBUG\s+"
    for line in [
        r"-> new_signage_point_harvester to peer 127\.0\.0\.1 [0-9a-f]{64}",
        r"<- farming_info from peer [0-9a-f]{64} 127\.0\.0\.1",
        r"<- new_proof_of_space from peer [0-9a-f]{64} 127\.0\.0\.1",
    ]:
        if not re.search(stamp + line, log):
            raise Failed(f"debug.log has no line like {line}")


SCENARIOS = [
    connected_and_synced, plots_of_no_plotnft, proofs_become_blocks, cross_check, log_lines, plots_come_and_go, harvester_restart, harvester_hangs,
    absent_harvester_keeps_its_plots, control_socket_is_put_back,
    harvester_clock_differs, shared_certificate, foreign_ca, wrong_network, v2_plots, partials_reach_a_pool,
    v2_partials_reach_a_pool, farmer_restart, farmer_killed, plots_lost_while_everything_was_off,
    own_harvester_comes_and_goes, own_harvester_beside_the_official_one,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.list:
        print("\n".join(f"{s.__name__}: {s.__doc__.splitlines()[0]}" for s in SCENARIOS))
        return 0
    unknown = set(args.names) - {s.__name__ for s in SCENARIOS}
    if unknown:
        print(f"no such scenario: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    world = World(args.dir.resolve(), args.bin.resolve())
    passed = failed = 0
    try:
        world.set_up()
        for scenario in SCENARIOS:
            if args.names and scenario.__name__ not in args.names:
                continue
            started = time.monotonic()
            try:
                scenario(world)
            except Failed as failure:
                failed += 1
                print(f"FAILED {scenario.__name__}: {failure}")
                break  # the next scenario would begin with a farm out of order
            passed += 1
            print(f"ok     {scenario.__name__} ({time.monotonic() - started:.1f} s): {scenario.__doc__.splitlines()[0]}")
    except Failed as failure:
        failed += 1
        print(f"FAILED set-up: {failure}")
    finally:
        world.clean_up()
    if failed:
        print(f"logs: {world.work}")
    else:
        shutil.rmtree(world.work, ignore_errors=True)
    print(f"interop: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
