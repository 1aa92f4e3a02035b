"""Run with the Python of a virtual environment that holds the official package: does what only that package can do.

  official.py plots OUT NUM FARMER_PK (POOL_PK | CONTRACT_PUZZLE_HASH)   make NUM k18 plots with the official plotter
  official.py v2plots OUT NUM FARMER_PK (POOL_PK | CONTRACT_PUZZLE_HASH) make NUM k20 v2 plots likewise
  official.py configure ROOT PORT NETWORK CONSTANTS_JSON PLOT_DIR…       point a root's harvester at a farmer on loopback
  official.py chain ROOT FIRST_PORT FARMER_PORT                          put node, timelord and farmer of a root on ports of their own
"""
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path


def plot_keys(out: str, farmer_pk: str, pool: str):
    """The keys of plots to be made in the directory `out`, and quiet while they are made."""
    import logging

    from chia.plotting.create_plots import PlotKeys
    from chia.util.bech32m import encode_puzzle_hash
    from chia_rs import G1Element
    from chia_rs.sized_bytes import bytes32

    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the plotter prints its progress
    contract = len(pool) == 64
    Path(out).mkdir(parents=True, exist_ok=True)
    return PlotKeys(
        G1Element.from_bytes(bytes.fromhex(farmer_pk)),
        None if contract else G1Element.from_bytes(bytes.fromhex(pool)),
        encode_puzzle_hash(bytes32.fromhex(pool), "txch") if contract else None,
    )


def v2plots(out: str, num: str, farmer_pk: str, pool: str) -> None:
    from chia.plotting.create_plots import create_v2_plots

    keys = plot_keys(out, farmer_pk, pool)
    asyncio.run(create_v2_plots(Path(out), keys, size=20, strength=2, num=int(num), testnet=True))


def plots(out: str, num: str, farmer_pk: str, pool: str) -> None:
    from chia.plotting.create_plots import create_plots
    from chia.plotting.util import Params

    keys = plot_keys(out, farmer_pk, pool)
    for _ in range(int(num)):
        with tempfile.TemporaryDirectory(dir=out) as tmp:
            params = Params(
                size=18, num=1, buffer=100, num_threads=2, buckets=0, tmp_dir=Path(tmp), tmp2_dir=Path(tmp),
                final_dir=Path(out), plotid=None, memo=None, nobitfield=False, stripe_size=2000,
            )
            asyncio.run(create_plots(params, keys, use_datetime=False))


def configure(root: str, port: str, network: str, constants: str, *plot_dirs: str) -> None:
    import yaml

    values = json.loads(Path(constants).read_text())
    path = Path(root) / "config/config.yaml"
    config = yaml.load(path.read_text(), Loader=yaml.Loader)
    for section in [config, *[v for v in config.values() if isinstance(v, dict)]]:
        if "selected_network" in section:
            section["selected_network"] = network
        if section.get("network_overrides") is not None:
            section["network_overrides"]["constants"][network] = values
            section["network_overrides"]["config"][network] = {"address_prefix": "txch", "default_full_node_port": 18444}
        if "logging" in section:
            section["logging"]["log_level"] = "DEBUG"
    config["self_hostname"] = "127.0.0.1"
    harvester = config["harvester"]
    harvester.pop("farmer_peer", None)
    harvester["farmer_peers"] = [{"host": "127.0.0.1", "port": int(port)}]
    harvester["plot_directories"] = list(plot_dirs)
    harvester["plots_refresh_parameter"]["interval_seconds"] = 5
    harvester["start_rpc_server"] = False
    path.write_text(yaml.dump(config))


def chain(root: str, first_port: str, farmer_port: str) -> None:
    """Ports from `first_port` on: node, its RPC, VDF server, timelord RPC, farmer RPC, daemon, wallet RPC."""
    import yaml

    path = Path(root) / "config/config.yaml"
    config = yaml.load(path.read_text(), Loader=yaml.Loader)
    node, rpc, vdf, timelord_rpc, farmer_rpc, daemon, wallet_rpc = range(int(first_port), int(first_port) + 7)
    peers = [{"host": "127.0.0.1", "port": node}]
    config["daemon_port"] = daemon
    config["full_node"].update(
        port=node, rpc_port=rpc, enable_upnp=False, introducer_peer=None, dns_servers=[], full_node_peers=[],
        target_outbound_peer_count=0, reserved_cores=1,
    )
    config["timelord"].update(full_node_peers=peers, vdf_server={"host": "127.0.0.1", "port": vdf}, rpc_port=timelord_rpc)
    config["farmer"].update(full_node_peers=peers, port=int(farmer_port), rpc_port=farmer_rpc)
    config["wallet"].update(full_node_peers=peers, rpc_port=wallet_rpc)
    path.write_text(yaml.dump(config))


if __name__ == "__main__":
    {"plots": plots, "v2plots": v2plots, "configure": configure, "chain": chain}[sys.argv[1]](*sys.argv[2:])
