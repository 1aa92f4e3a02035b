"""The official farmer for the fleet benchmark: its own service with its own root, nothing of it changed.

  official_farmer.py prepare ROOT PORT NODE_PORT   make the root: settings, certificates, a made-up key
  official_farmer.py run ROOT                      farm until killed

Two runs, so that memory and start of the farmer are the farmer's own. `run` is what chia.farmer.start_farmer does,
except that the key comes from this root's keyring and not through the daemon, and that there is no RPC server.
Run with the python of a venv that has chia-blockchain 2.7.5.
"""

import asyncio
import contextlib
import io
import os
import sys
from pathlib import Path

NETWORK = "simulator1"


def prepare(root: Path, port: int, node_port: int) -> None:
    from chia.ssl.create_ssl import create_all_ssl
    from chia.util.bech32m import encode_puzzle_hash
    from chia.util.config import create_default_chia_config, lock_and_load_config, save_config
    from chia.util.keychain import Keychain, generate_mnemonic
    from chia_rs.sized_bytes import bytes32

    create_default_chia_config(root)
    with contextlib.redirect_stdout(io.StringIO()):
        create_all_ssl(root, private_node_names=["farmer", "daemon"], public_node_names=["farmer"])
    key = Keychain().add_key(generate_mnemonic())
    address = encode_puzzle_hash(bytes32(bytes(key.get_g1())[:32]), "txch")
    with lock_and_load_config(root, "config.yaml") as config:
        for section in [config, *(value for value in config.values() if isinstance(value, dict))]:
            if "selected_network" in section:
                section["selected_network"] = NETWORK
            if "network_overrides" in section:
                section["network_overrides"]["constants"][NETWORK] = {"MIN_PLOT_SIZE_V1": 18}
                section["network_overrides"]["config"][NETWORK] = {"address_prefix": "txch"}
        config["farmer"].update(
            port=port,
            full_node_peers=[{"host": "127.0.0.1", "port": node_port}],
            solver_peers=[],
            start_rpc_server=False,
            xch_target_address=address,
        )
        config["pool"]["xch_target_address"] = address
        save_config(root, "config.yaml", config)


async def run(root: Path) -> None:
    from chia.consensus.default_constants import DEFAULT_CONSTANTS
    from chia.farmer.start_farmer import create_farmer_service
    from chia.server.signal_handlers import SignalHandlers
    from chia.util.chia_logging import initialize_service_logging
    from chia.util.config import load_config
    from chia.util.keychain import Keychain

    config = load_config(root, "config.yaml", fill_missing_services=True)
    initialize_service_logging(service_name="farmer", config=config, root_path=root)
    service = create_farmer_service(
        root, config, config["pool"], DEFAULT_CONSTANTS, keychain=Keychain(), connect_to_daemon=False
    )
    async with SignalHandlers.manage() as signal_handlers:
        await service.setup_process_global_state(signal_handlers=signal_handlers)
        await service.run()


def main() -> None:
    command, root = sys.argv[1], Path(sys.argv[2]).resolve()
    # The official package asks for these when it is imported, so all imports of it are in the functions.
    os.environ["CHIA_ROOT"], os.environ["CHIA_KEYS_ROOT"] = str(root), str(root / "keys")
    if command == "prepare":
        prepare(root, int(sys.argv[3]), int(sys.argv[4]))
    else:
        asyncio.run(run(root))


if __name__ == "__main__":
    main()
