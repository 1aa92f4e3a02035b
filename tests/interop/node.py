"""farmconsole as the farmer of official full nodes, releases 2.7.5 and 2.5.4. Started by tests/interop/run node.

`full_node_link` and `remote_node_is_pinned` talk to a node made of the official server classes (full_node.py), which can
be told to misbehave; the others farm a private chain: the official full node and timelord, our harvester and an official one.
"""
import argparse
import copy
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from farm import HERE, MNEMONIC, Failed, Farm, Harvester, World, fingerprint_of, wait_for, with_network

RELEASE = "2.7.5"
# Its signage points tell fewer heights.
OLDER_RELEASE = "2.5.4"
BLOCKS = 20
OLDER_BLOCKS = 6


class NotRun(Exception):
    """This machine does not allow it."""


def free_ports(count):
    """The first of `count` ports in a row that nobody uses."""
    for first in range(27_100, 27_900, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise Failed("no free ports")


class NodeFarm(Farm):
    """A farmconsole root that farms with a full node on loopback."""

    def set_up(self, node_port, rpc_port=None, ca=None, plot_directories=(), network="simulator1", constants=None):
        self.root.mkdir()
        self.cli("init", "--network", "simulator1", *(["-c", str(ca)] if ca else []))
        self.cli("keys", "import", "--mnemonic-file", "-", text=MNEMONIC)
        self.cli("configure", "--log-level", "DEBUG")
        path = self.root / "config/config.yaml"
        text = path.read_text()
        for pattern, line in [
            (r"(?m)^(  port:) 8447\b", rf"\1 {self.port}"),
            (r"(?m)^(      port:) 18444\b", rf"\1 {node_port}"),
            (r"(?m)^(  rpc_port:) 8555\b", rf"\1 {rpc_port or 8555}"),
            (r"(?m)^  simulated_chain:.*\n", ""),
        ]:
            text, times = re.subn(pattern, line, text)
            if times != 1:
                raise Failed(f"settings file of init has another shape than expected: {times} lines like {pattern}")
        path.write_text(text if network == "simulator1" else with_network(text, network, constants))
        for directory in plot_directories:
            self.cli("plots", "add", "-d", str(directory))

    def until_synced(self, plots):
        """Waits until it has all of `plots`."""
        wait_for("plots are synced", 30, lambda: (self.summary()["plots"] == len(plots), self.summary()["plots"]))


class OtherMachine:
    """A network of its own with one address that is not loopback, for as long as it is used."""

    ADDRESS = "10.44.0.1"

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo up; exec sleep 600"], stdout=subprocess.PIPE, text=True)
        self.holder.stdout.readline()
        self.inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        for words in (["link", "set", "lo", "up"], ["address", "add", f"{self.ADDRESS}/32", "dev", "lo"]):
            subprocess.run([*self.inside, "ip", *words], check=True, timeout=10)
        return self

    def __exit__(self, *error):
        self.holder.kill()
        self.holder.wait()


class Node:
    """full_node.py as a process."""

    def __init__(self, python, root, port, inside=()):
        self.events, self.lock = [], threading.Lock()
        environment = dict(os.environ, CHIA_ROOT=str(root), CHIA_KEYS_ROOT=str(root / "keys"))
        self.errors = open(root / "full_node.err", "ab")
        self.process = subprocess.Popen(
            [*inside, python, HERE / "full_node.py", root, str(port), "simulator1"], env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )
        threading.Thread(target=self.read, daemon=True).start()
        wait_for("the node listens", 60, lambda: self.count("ready"))

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                with self.lock:
                    self.events.append(json.loads(line))

    def all(self, event):
        with self.lock:
            return [e for e in self.events if e["event"] == event]

    def count(self, event, **like):
        return len([e for e in self.all(event) if all(e.get(key) == value for key, value in like.items())])

    def do(self, *orders):
        for order in orders:
            self.process.stdin.write(json.dumps({"do": order}) + "\n")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Context:
    """What both scenarios need: the environment, plots, a place to work."""

    def __init__(self, directory, binary):
        self.world = World(directory, binary)
        self.work, self.binary = self.world.work, binary
        self.use_release(RELEASE)
        # Plots belong to the keys of the world's farm.
        self.world.farm.set_up()
        self.plots = self.world.plots()
        self.processes = []

    def use_release(self, release):
        self.release, self.venv = release, self.world.venvs / f"chia-{release}/bin"
        self.python = self.venv / "python"

    def with_release(self, release):
        """The same place to work, with another release of the official package."""
        other = copy.copy(self)
        other.use_release(release)
        return other

    def environment(self, root):
        return dict(os.environ, CHIA_ROOT=str(root), CHIA_KEYS_ROOT=str(root / "keys"), PATH=f"{self.venv}:{os.environ['PATH']}")

    def official(self, root, *command, timeout=120):
        done = subprocess.run(command, env=self.environment(root), capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise Failed(f"{command[0].name} {command[1:]}: status {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return done.stdout

    def chia_root(self, name):
        root = self.work / name
        self.official(root, self.venv / "chia", "init")
        self.official(root, self.python, HERE / "official.py", "configure", root, "1", "simulator1", HERE / "simulator1.json")
        return root

    def start(self, root, *command, **more):
        out = open(root / f"{Path(command[-1]).stem}.out", "ab")
        process = subprocess.Popen(command, env=dict(self.environment(root), **more), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def plot_directory(self, name, plots):
        return self.world.plot_directory(name, plots, None)[0]

    def clean_up(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.world.clean_up()


# ------------------------------------------------------------------------------------------------ scenarios


def full_node_link(context):
    """Declarations and signatures are good; duplicates, reorgs, late points, hang-ups and a thieving node are handled."""
    first = free_ports(2)
    root = context.chia_root("link-node")
    node = Node(context.python, root, first)
    farm = NodeFarm(context.binary, context.work / "link-farm", first + 1)
    try:
        farm.set_up(first, plot_directories=[context.plot_directory("link", context.plots["og"] + context.plots["nft"])])
        farm.start()
        wait_for("the farmer connects", 20, lambda: node.count("farmer", type="FARMER", port=first + 1))
        farm.until_synced(context.plots["og"] + context.plots["nft"])

        def farm_points(count, signed):
            """Signage points until so many blocks are signed in all."""
            for _ in range(count):
                node.do("point")
                time.sleep(0.15)
                if node.count("signed") >= signed:
                    break
            wait_for(f"{signed} blocks are signed", 10, lambda: (node.count("signed") >= signed, node.events[-4:]))

        farm_points(200, 10)
        for contract in (False, True):
            if not node.count("declared", contract=contract):
                raise Failed(f"no declaration of a plot with contract={contract}")
        # The same signage point again is no news; with another reward chain its proofs are declared again.
        time.sleep(3)  # what the last point brought is declared by then
        received = farm.summary()["signage_points_received"]
        declared = node.count("declared")
        node.do("again", "again")
        time.sleep(1)
        if farm.summary()["signage_points_received"] != received or node.count("declared") != declared:
            raise Failed("a signage point that came again was farmed again")
        before = node.count("declared", ok=True)
        for _ in range(60):
            node.do("point", "reorg")
            time.sleep(0.15)
            if node.count("declared", ok=True) >= before + 2:
                break
        wait_for("proofs are declared for both reward chains", 10, lambda: node.count("declared", ok=True) >= before + 2)
        # One that overtook another.
        node.do("skip", "point", "late")
        # Nodes before 2.7.4.
        node.do("old")
        farm_points(100, node.count("signed") + 3)
        # The node hangs up; we are back within seconds and get points again.
        node.do("close")
        wait_for("the farmer comes back", 20, lambda: node.count("farmer", type="FARMER") == 2)
        farm_points(100, node.count("signed") + 3)
        if node.count("signed", ok=False) or node.count("declared", ok=False):
            raise Failed(f"something was refused: {[e for e in node.events if e.get('ok') is False]}")
        if farm.alarms():
            raise Failed(f"alarms without a reason: {farm.alarms()}")
        # A block that pays somebody else is not signed, and a person is told.
        signed = node.count("signed")
        node.do("steal")
        for _ in range(100):
            node.do("point")
            time.sleep(0.15)
            if node.count("asked", steals=True):
                break
        wait_for("the refusal is an alarm", 10, lambda: [a for a in farm.alarms() if a["kind"] == "signing_refused" and "bb" * 32 in a["reason"]])
        if node.count("signed") != signed:
            raise Failed("a block that pays a thief was signed")
        node.do("honest")
        farm_points(100, signed + 1)
        # A node that is gone is told by name, with the reason; farming goes on when it is back.
        node.stop()
        view = wait_for("the node is missed", 20, lambda: [n for n in farm.summary()["nodes"] if not n["connected"]])[0]
        if not view["not_connected_because"]:
            raise Failed(f"no reason for {view}")
        print(f"       {node.count('declared')} declarations, {node.count('signed')} blocks signed, none refused but the stolen one")
    finally:
        node.stop()
        if farm.process and farm.process.poll() is None:
            farm.stop()


def remote_node_is_pinned(context):
    """A node on another machine is known by its certificate: kept when first seen; another one is an alarm and not farmed with."""
    if os.geteuid() != 0:
        raise NotRun("a network of its own needs root")
    port = free_ports(2)
    root, other = context.chia_root("pinned-node"), context.chia_root("other-node")
    certificates = Path("config/ssl/full_node")
    fingerprint = lambda of: fingerprint_of(of / certificates / "public_full_node.crt")
    first, second = fingerprint(root), fingerprint(other)
    farm = NodeFarm(context.binary, context.work / "pinned-farm", port + 1)
    farm.set_up(port, plot_directories=[context.plot_directory("pinned", context.plots["og"])])
    with OtherMachine() as machine:
        peer = f"{machine.ADDRESS}:{port}"
        farm.cli("configure", "--set-fullnode-peer", peer)
        farm.inside = machine.inside
        known = farm.root / "farmconsole/known-nodes"
        node = Node(context.python, root, port, machine.inside)

        def signs():
            for _ in range(200):
                node.do("point")
                time.sleep(0.15)
                if node.count("signed"):
                    return
            raise Failed("no block was signed")

        try:
            farm.start()
            wait_for("the farmer connects", 20, lambda: node.count("farmer", type="FARMER"))
            farm.until_synced(context.plots["og"])
            if f"{peer} {first}" not in known.read_text():
                raise Failed(f"known-nodes has not {peer} {first}: {known.read_text()}")
            signs()
            node.stop()
            shutil.copytree(other / certificates, root / certificates, dirs_exist_ok=True)
            node = Node(context.python, root, port, machine.inside)
            changed = lambda: [a for a in farm.alarms() if a["kind"] == "node_certificate_changed"]
            alarm = wait_for("the other certificate is an alarm", 30, lambda: (changed(), farm.alarms()))[0]
            if first not in json.dumps(alarm) or second not in json.dumps(alarm):
                raise Failed(f"the alarm does not name both certificates: {alarm}")
            if node.count("farmer") or farm.summary()["nodes"][0]["connected"]:
                raise Failed("a node with another certificate was farmed with")
            known.write_text(known.read_text().replace(first, second))
            wait_for("a person has accepted it", 30, lambda: node.count("farmer", type="FARMER"))
            wait_for("the alarm is over", 30, lambda: (not changed(), farm.alarms()))
            signs()
        finally:
            node.stop()
            if farm.process and farm.process.poll() is None:
                farm.stop()


def ask(root, port, endpoint, **what):
    """A question to a node's RPC."""
    ssl_dir = root / "config/ssl"
    context = ssl.create_default_context(cafile=ssl_dir / "ca/private_ca.crt")
    context.check_hostname = False
    context.load_cert_chain(ssl_dir / "daemon/private_daemon.crt", ssl_dir / "daemon/private_daemon.key")
    request = urllib.request.Request(
        f"https://127.0.0.1:{port}/{endpoint}", json.dumps(what).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return json.load(answer)


class Chain:
    """A private chain: official full node and timelord, our farmer with its harvester, and an official harvester.

    Only our plots are on it, so every block is one of ours."""

    def __init__(self, context, name, own, other, network="simulator1", changes=None):
        first = free_ports(12)
        self.context, self.rpc, ours, self.free_port = context, first + 1, first + 8, first + 9
        self.root = root = context.chia_root(name)
        words = root / "words"
        words.write_text(MNEMONIC)
        context.official(root, context.venv / "chia", "keys", "add", "-f", words, "-l", "farm")
        context.official(root, context.venv / "chia", "init")
        constants = json.loads((HERE / "simulator1.json").read_text()) | (changes or {})
        self.farm = NodeFarm(context.binary, context.work / f"{name}-farm", ours)
        self.farm.set_up(first, self.rpc, root / "config/ssl/ca", [own], network, constants)
        # The first block of a chain pays where its constants say, and farmconsole signs no block that pays somebody else.
        self.target = json.loads(self.farm.cli("keys", "show", "--json").stdout)["keys"][0]["pool_puzzle_hash"]
        first_block = {f"GENESIS_PRE_FARM_{who}_PUZZLE_HASH": self.target for who in ("POOL", "FARMER")}
        path = root / "constants.json"
        path.write_text(json.dumps(constants | first_block))
        context.official(root, context.python, HERE / "official.py", "configure", root, str(self.free_port), network, path)
        context.official(root, context.python, HERE / "official.py", "chain", root, str(first), str(self.free_port))
        self.harvester = Harvester(context.work, context.world.venvs, context.release, f"{name}-harvester")
        self.harvester.set_up(self.farm, [other], root / "config/ssl/ca", network, path)
        context.start(root, context.venv / "chia_full_node")
        wait_for("the node answers", 90, lambda: ask(root, self.rpc, "get_blockchain_state")["success"])
        self.timelord = context.start(root, context.python, HERE / "timelord.py", ITERATIONS_PER_SECOND="1536")
        self.farm.start()
        self.harvester.start()

    def ask(self, endpoint, **what):
        return ask(self.root, self.rpc, endpoint, **what)

    def records(self):
        """What the node knows of every block."""
        peak = self.ask("get_blockchain_state")["blockchain_state"]["peak"]
        return self.ask("get_block_records", start=0, end=peak["height"] + 1)["block_records"] if peak else []

    def check(self, records):
        """No proof was lost or invalid, every block pays us, every harvester has won one, and none was refused."""
        summary = self.farm.summary()
        # Only the very first block of a chain may be refused: it pays no contract, whoever found it.
        first_block_refused = "the pool reward would go to puzzle hash " + self.target
        lost = [line for line in self.farm.log().splitlines() if re.search(r" proof of \S+ lost: ", line) and first_block_refused not in line]
        # And a node forgets signage points of a chain that was overtaken; on a chain as fast as this one that happens.
        node_log = (self.root / "log/debug.log").read_text(errors="replace")
        overtaken = len(re.findall(r"Received proof of space for (?:an unknown|a potentially old) signage point", node_log))
        lost = [line for line in lost if overtaken < len(lost) or "no full node asked" not in line]
        if summary["proofs_invalid"] or lost:
            raise Failed(f"proofs were invalid or lost ({overtaken} overtaken): {lost}")
        targets = {r["farmer_puzzle_hash"].removeprefix("0x") for r in records}
        if targets != {self.target}:
            raise Failed(f"blocks pay {targets} instead of {self.target}")
        if {p["harvester_name"] for p in summary["proofs"] if p["block_signed_after_ms"]} != {h["name"] for h in summary["harvesters"]}:
            raise Failed("not every harvester has won a block")
        if refused := [alarm for alarm in self.farm.alarms() if alarm["kind"] == "connection_refused"]:
            raise Failed(f"a harvester that is set up rightly was refused: {refused}")
        print(f"       {len(records)} blocks accepted, {summary['blocks_signed']} signed")
        report_steps(summary["proofs"])

    def stop(self):
        self.harvester.stop()
        if self.farm.process and self.farm.process.poll() is None:
            self.farm.stop()


def blocks_on_a_chain(context):
    """At least 20 blocks are accepted by the official full node, a sub-slot end among them; `summary` is the official one's."""
    own = context.plot_directory("own", context.plots["og"][:5] + context.plots["nft"][:4])
    other = context.plot_directory("other", context.plots["og"][5:9] + context.plots["nft"][4:9])
    chain = Chain(context, "chain", own, other)
    try:
        def enough():
            records = chain.records()
            slots = [r["height"] for r in records if r["finished_challenge_slot_hashes"] and r["height"]]
            return len(records) >= BLOCKS and slots and records, (len(records), slots)

        beside = official_farmer(context, chain.root, chain.free_port, [own, other])
        chain.check(wait_for(f"{BLOCKS} blocks and a sub-slot end", 420, enough))
        compare_summaries(context, chain.farm, chain.root, beside, chain.timelord)
    finally:
        chain.stop()


def blocks_with_an_older_node(context):
    """A full node and a harvester of release 2.5.4, whose messages have fewer fields, are farmed with: each harvester wins a block."""
    own = context.plot_directory("older-own", context.plots["og"][:6] + context.plots["nft"][:6])
    other = context.plot_directory("older-other", context.plots["og"][6:] + context.plots["nft"][6:])
    chain = Chain(context.with_release(OLDER_RELEASE), "chain-older", own, other)
    try:
        def enough():
            accepted, summary = chain.records(), chain.farm.summary()
            winners = {p["harvester_name"] for p in summary["proofs"] if p["block_signed_after_ms"]}
            return len(accepted) >= OLDER_BLOCKS and len(winners) == 2 and accepted, (len(accepted), winners)

        chain.check(wait_for(f"{OLDER_BLOCKS} blocks, of both harvesters", 420, enough))
    finally:
        chain.stop()


def v2_blocks_on_a_chain(context):
    """After hard fork 2 the official full node accepts blocks of v2 plots with a pool key and with a contract, solved here."""
    v2 = context.world.v2_plots(context.world.farm)
    own = context.plot_directory("v2-own", context.plots["og"][:3] + v2["v2-og"][:4] + v2["v2-nft"][:4])
    other = context.plot_directory("v2-other", context.plots["nft"][:3] + v2["v2-og"][4:] + v2["v2-nft"][4:])
    # As easy as v2 plots of this size need it. Blocks up to the fork, and for two sub-slots more, are of v1 plots.
    changes = {"HARD_FORK2_HEIGHT": 6, "DIFFICULTY_CONSTANT_FACTOR": 300_000_000}
    chain = Chain(context, "chain-v2", own, other, "simulator2", changes)
    try:
        def v2_blocks():
            blocks = chain.ask("get_blocks", start=0, end=len(chain.records()))["blocks"]
            proofs = [block["reward_chain_block"]["proof_of_space"] for block in blocks]
            return [p for p in proofs if p.get("version", 0) == 1 or not p["size"]]

        def enough():
            found = v2_blocks()
            pools = {bool(p["pool_contract_puzzle_hash"]) for p in found}
            return len(pools) == 2, (len(chain.records()), len(found))

        wait_for("blocks of v2 plots of both kinds", 720, enough)
        chain.check(chain.records())
    finally:
        chain.stop()


def report_steps(proofs):
    """Median and worst time of each step of the blocks."""
    names = ["found_after_ms", "verified_after_ms", "signed_after_ms", "declared_after_ms", "block_asked_after_ms", "block_signed_after_ms"]
    signed = [p for p in proofs if p["block_signed_after_ms"] is not None]
    for name in names:
        times = sorted(p[name] for p in signed if p[name] is not None)
        if len(times) != len(signed):
            raise Failed(f"{len(signed) - len(times)} blocks without {name}")
        print(f"       {name}: median {times[len(times) // 2]} ms, most {times[-1]} ms")


def official_farmer(context, chain, port, plot_dirs):
    """Harvesters, not started, that have the same plots and an official farmer at `port`."""
    harvesters = []
    for number, directory in enumerate(plot_dirs):
        harvester = Harvester(context.work, context.world.venvs, RELEASE, f"beside-{number}")
        harvester.set_up(type("Farmer", (), {"port": port}), [directory], chain / "config/ssl/ca")
        harvesters.append(harvester)
    return harvesters


def compare_summaries(context, farm, chain, harvesters, timelord):
    """The chain stands still while both commands tell of it: an official farmer beside ours, with the same plots."""
    context.start(chain, context.venv / "chia_daemon")
    time.sleep(4)
    context.start(chain, context.venv / "chia_farmer")
    for harvester in harvesters:
        harvester.start()
        context.processes.append(harvester.process)
    count = re.compile(r"Plot count for all harvesters: 18")
    theirs = lambda: context.official(chain, context.venv / "chia", "farm", "summary")
    wait_for("the official farmer has the plots", 60, lambda: count.search(theirs()))
    timelord.terminate()
    timelord.wait(20)
    time.sleep(12)  # blocks on their way, and our next question to the node

    def same():
        def lines(text):
            text = text.split("For details on")[0].split("Note: ")[0]
            harvesters = sorted(line for line in text.splitlines() if line.startswith("   "))
            rest = [line for line in text.splitlines() if not line.startswith(("   ", "Total chia", "User trans", "Block rew", "Last height"))]
            return rest + harvesters

        ours_text, theirs_text = farm.cli("summary").stdout, theirs()
        return lines(ours_text) == lines(theirs_text) and ours_text, (ours_text, theirs_text)

    text = wait_for("both summaries say the same", 30, same)
    print("".join(f"       | {line}\n" for line in text.splitlines()), end="")


SCENARIOS = [full_node_link, remote_node_is_pinned, blocks_on_a_chain, blocks_with_an_older_node, v2_blocks_on_a_chain]


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
    context = Context(args.dir.resolve(), args.bin.resolve())
    passed = failed = not_run = 0
    try:
        for scenario in SCENARIOS:
            if args.names and scenario.__name__ not in args.names:
                continue
            started = time.monotonic()
            try:
                scenario(context)
            except NotRun as reason:
                not_run += 1
                print(f"NOT RUN {scenario.__name__}: {reason}")
                continue
            except Failed as failure:
                failed += 1
                print(f"FAILED {scenario.__name__}: {failure}")
                continue
            passed += 1
            print(f"ok     {scenario.__name__} ({time.monotonic() - started:.1f} s): {scenario.__doc__.splitlines()[0]}")
    finally:
        context.clean_up()
    if failed:
        print(f"logs: {context.work}")
    else:
        shutil.rmtree(context.work, ignore_errors=True)
    print(f"interop node: {passed} passed, {failed} failed, {not_run} not run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
