"""The official farmer as a judge of harvesters: made-up signage points, official verification, JSON lines on stdout.

  official_farmer.py ROOT PORT CA NETWORK CONSTANTS_JSON MNEMONIC SEED COUNT EVERY HARVESTERS PLOTS

Run with the Python of a virtual environment that holds a release. The farmer is the release's own service; it waits until
so many HARVESTERS have told it of so many PLOTS each, then gets COUNT signage points from a generator seeded with SEED,
one EVERY so many seconds. Lines: {"event": "synced"}, {"event": "proof", "harvester", "sp_hash", "plot", "proof", "ok"},
{"event": "declared", …} for a proof whose signatures from the harvester fit together, {"event": "done"}.
"""
import asyncio
import contextlib
import inspect
import io
import json
import os
import random
import sys
from pathlib import Path


def say(event: str, **fields) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def call(function, **options):
    """Calls `function` with those options that this release knows."""
    return function(**{name: value for name, value in options.items() if name in inspect.signature(function).parameters})


def make_root(root: Path, port: int, ca: Path, network: str, constants: dict, mnemonic: str) -> None:
    from chia.protocols.farmer_protocol import bytes32  # its home moved
    from chia.ssl.create_ssl import create_all_ssl
    from chia.wallet.derive_keys import master_sk_to_pool_sk
    from chia.util.bech32m import encode_puzzle_hash
    from chia.util.config import create_default_chia_config, lock_and_load_config, save_config
    from chia.util.keychain import Keychain

    create_default_chia_config(root)
    pair = ((ca / "private_ca.crt").read_bytes(), (ca / "private_ca.key").read_bytes())
    with contextlib.redirect_stdout(io.StringIO()):
        create_all_ssl(root, private_ca_crt_and_key=pair, private_node_names=["farmer", "daemon"], public_node_names=["farmer"])
    keychain = Keychain()
    key = (keychain.add_key if hasattr(keychain, "add_key") else keychain.add_private_key)(mnemonic)
    address = encode_puzzle_hash(bytes32(bytes(key.get_g1())[:32]), "txch")
    with lock_and_load_config(root, "config.yaml") as config:
        for section in [config, *(value for value in config.values() if isinstance(value, dict))]:
            if "selected_network" in section:
                section["selected_network"] = network
            if section.get("network_overrides") is not None:
                section["network_overrides"]["constants"][network] = constants
                section["network_overrides"]["config"][network] = {"address_prefix": "txch", "default_full_node_port": 18444}
            if "logging" in section:
                section["logging"]["log_level"] = "INFO"
        config["self_hostname"] = "127.0.0.1"
        config["farmer"].update(port=port, full_node_peers=[], solver_peers=[], start_rpc_server=False, xch_target_address=address)
        config["farmer"]["pool_public_keys"] = [bytes(master_sk_to_pool_sk(key).get_g1()).hex()]
        config["farmer"].pop("full_node_peer", None)
        config["pool"]["xch_target_address"] = address
        save_config(root, "config.yaml", config)


def signage_points(constants: dict, seed: int):
    """Seeded, so that another farmer makes the same ones. A farmer takes them from its node as they are."""
    from chia.protocols.farmer_protocol import NewSignagePoint, bytes32, uint8, uint32, uint64

    chance = random.Random(seed)
    while True:
        yield call(
            NewSignagePoint, challenge_hash=bytes32(chance.randbytes(32)), challenge_chain_sp=bytes32(chance.randbytes(32)),
            reward_chain_sp=bytes32(chance.randbytes(32)), difficulty=uint64(constants["DIFFICULTY_STARTING"]),
            sub_slot_iters=uint64(constants["SUB_SLOT_ITERS_STARTING"]), signage_point_index=uint8(chance.randrange(64)),
            peak_height=uint32(1000), last_tx_height=uint32(1000),
        )


def watch(api, api_module) -> None:
    """Says what the farmer finds of each proof and each set of signatures; changes nothing."""
    verify, process = api_module.verify_and_get_quality_string, api._process_respond_signatures

    def seen_from(function: str) -> dict:
        """Variables of the farmer's own `function`, if it is what is running."""
        frame = sys._getframe(2)
        while frame is not None and frame.f_code.co_name != function:
            frame = frame.f_back
        return dict(frame.f_locals) if frame else {}

    def verified(proof, *args, **kwargs):
        quality = verify(proof, *args, **kwargs)
        seen = seen_from("new_proof_of_space")
        # The farmer verifies once more when signatures come.
        if "new_proof_of_space" in seen and sys._getframe(1).f_code.co_name == "new_proof_of_space":
            message = seen["new_proof_of_space"]
            plot = Path(message.plot_identifier[64:]).name
            say("proof", harvester=seen["peer"].peer_node_id.hex(), sp_hash=message.sp_hash.hex(), plot=plot, proof=bytes(proof.proof).hex(), ok=quality is not None)
        return quality

    def processed(response):
        done = process(response)
        if type(done).__name__ == "DeclareProofOfSpace":
            seen = seen_from("new_proof_of_space")
            say("declared", harvester=seen["peer"].peer_node_id.hex() if seen else None, sp_hash=done.challenge_chain_sp.hex(), plot=Path(response.plot_identifier[64:]).name)
        return done

    api_module.verify_and_get_quality_string = verified
    api._process_respond_signatures = processed


async def run(root: Path, constants: dict, seed: int, count: int, every: float, harvesters: int, plots: int) -> None:
    import chia.farmer.farmer_api as api_module
    from chia.util.config import load_config
    from chia.util.keychain import Keychain

    try:
        from chia.farmer import start_farmer
    except ImportError:  # where it was up to 2.5
        from chia.server import start_farmer

    config = load_config(root, "config.yaml", fill_missing_services=True)
    call(start_farmer.initialize_service_logging, service_name="farmer", config=config, root_path=root)
    service = start_farmer.create_farmer_service(root, config, config["pool"], start_farmer.DEFAULT_CONSTANTS, keychain=Keychain(), connect_to_daemon=False)
    farmer, api = service._node, service._api
    watch(api, api_module)

    async def feed() -> None:
        def synced() -> int:
            return sum(not r.initial_sync() and len(r.plots()) == plots for r in farmer.plot_sync_receivers.values())

        while not farmer.started or synced() < harvesters:
            await asyncio.sleep(0.1)
        say("synced", protocols=sorted(str(c.protocol_version) for c in service._server.all_connections.values()))
        points = signage_points(constants, seed)
        for _ in range(count):
            await api.new_signage_point(next(points))
            await asyncio.sleep(every)
        await asyncio.sleep(5)
        say("done")

    async with start_farmer.SignalHandlers.manage() as handlers:
        await service.setup_process_global_state(signal_handlers=handlers)
        feeding = asyncio.create_task(feed())
        try:
            await service.run()
        finally:
            feeding.cancel()


def main() -> None:
    root, port, ca, network, constants, mnemonic, seed, count, every, harvesters, plots = sys.argv[1:]
    root = Path(root).resolve()
    # The official package asks for these when it is imported, so all imports of it are in the functions.
    os.environ["CHIA_ROOT"], os.environ["CHIA_KEYS_ROOT"] = str(root), str(root / "keys")
    constants = json.loads(Path(constants).read_text())
    make_root(root, int(port), Path(ca), network, constants, mnemonic)
    asyncio.run(run(root, constants, int(seed), int(count), float(every), int(harvesters), int(plots)))


if __name__ == "__main__":
    main()
