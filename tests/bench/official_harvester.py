"""The official harvester's side of the look-up benchmark: its own classes, without a network.

  official_harvester.py JOB_FILE ROOT    load the plots of the job and answer its signage points; prints one JSON object
  official_harvester.py --given DIR      quality and full proof of the plots that DIR/index.json lists

Run with the python of a venv that has chia-blockchain 2.7.5.
"""

import asyncio
import gc
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path


class Errors(logging.Handler):
    """Counts what the harvester calls an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        if self.count <= 3:
            print(record.getMessage(), file=sys.stderr)


class Farmer:
    """Whom answers are sent to."""

    def __init__(self) -> None:
        self.passed = 0

    async def send_message(self, message) -> bool:
        from chia.protocols.farmer_protocol import FarmingInfo

        self.passed += FarmingInfo.from_bytes(message.data).passed
        return True


def resident() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def load(root: Path, config: dict, constants, job: dict):
    """A harvester whose plot manager has loaded everything, and the milliseconds that took."""
    from chia.harvester.harvester import Harvester
    from chia_rs import G1Element

    harvester = Harvester(root, config, constants)
    manager = harvester.plot_manager
    manager.set_refresh_callback(lambda *_: None)
    keys = [[G1Element.from_bytes(bytes.fromhex(job[name]))] for name in ("farmer_public_key", "pool_public_key")]
    manager.set_public_keys(*keys)
    started = time.monotonic()
    manager.start_refreshing(sleep_interval_ms=1)
    while manager.needs_refresh():
        time.sleep(0.002)
    took = (time.monotonic() - started) * 1000
    manager.stop_refreshing()
    return harvester, took


def measure_filter(root: Path, config: dict, constants, job: dict, wanted: dict) -> dict:
    from chia.harvester.harvester_api import HarvesterAPI
    from chia.plotting.util import PlotInfo  # noqa: F401  loaded before the clock runs
    from chia.protocols.harvester_protocol import NewSignagePointHarvester2
    from chia.types.blockchain_format.proof_of_space import calculate_pos_challenge
    from chia_rs.sized_bytes import bytes32
    from chia_rs.sized_ints import uint8, uint32, uint64

    constants = constants.replace(NUMBER_ZERO_BITS_PLOT_FILTER_V1=uint8(wanted["bits"]))
    harvester, _ = load(root, config, constants, job)
    api = HarvesterAPI(harvester)
    points = [
        NewSignagePointHarvester2(
            bytes32.fromhex(point["challenge_hash"]),
            uint64(1),
            uint64(64),
            uint8(7),
            bytes32.fromhex(point["sp_hash"]),
            [],
            uint32(0),
            uint32(0),
            None,
        )
        for point in wanted["points"]
    ]

    async def run() -> dict:
        farmer = Farmer()
        for point in points:
            await api.new_signage_point_harvester(point, farmer)
        passed, ms, before = farmer.passed, [], cpu()
        for _ in range(job["rounds"]):
            for point in points:
                started = time.monotonic()
                await api.new_signage_point_harvester(point, farmer)
                ms.append((time.monotonic() - started) * 1000)
        return {"ms": ms, "cpu_ms": (cpu() - before) * 1000 / len(ms), "passed": passed}

    measured = asyncio.run(run())
    qualities = 0
    for point in points:
        for info in harvester.plot_manager.plots.values():
            if api._plot_passes_filter(info, point):
                challenge = calculate_pos_challenge(info.prover.get_id(), point.challenge_hash, point.sp_hash)
                qualities += len(info.prover.get_qualities_for_challenge(challenge))
    harvester.executor.shutdown()
    return {**measured, "qualities": qualities}


def measure(job: dict, root: Path) -> dict:
    from chia.consensus.default_constants import DEFAULT_CONSTANTS
    from chia.util.config import create_default_chia_config, load_config, lock_and_load_config, save_config
    from chia_rs.sized_ints import uint8

    create_default_chia_config(root)
    with lock_and_load_config(root, "config.yaml") as config:
        config["harvester"]["plot_directories"] = [job["directory"]]
        config["harvester"]["num_threads"] = job["threads"]
        save_config(root, "config.yaml", config)
    config = load_config(root, "config.yaml", "harvester")
    constants = DEFAULT_CONSTANTS.replace(MIN_PLOT_SIZE_V1=uint8(18))
    errors = Errors()
    logging.getLogger().addHandler(errors)
    gc.collect()
    before = resident()
    harvester, load_ms = load(root, config, constants, job)
    loaded = len(harvester.plot_manager.plots)
    bytes_per_plot = (resident() - before) / job["plots"]
    # A second one finds the cache file that the first has written.
    _, load_again_ms = load(root, config, constants, job)
    filters = [measure_filter(root, config, constants, job, wanted) for wanted in job["filters"]]
    return {
        # Its plots are looked up and told as soon as they are loaded, with their keys.
        "farmed_ms": load_ms,
        "load_ms": load_ms,
        "farmed_again_ms": load_again_ms,
        "load_again_ms": load_again_ms,
        "bytes_per_plot": bytes_per_plot,
        "filters": filters,
        "errors": errors.count + job["plots"] - loaded,
    }


def measure_given(directory: Path) -> dict:
    from chiapos import DiskProver, decompressor_context_queue

    decompressor_context_queue.init(1, os.cpu_count() or 1, False, 9, False, 0, False, 120)
    results = {}
    for plot in json.loads((directory / "index.json").read_text()):
        path = directory / plot["file"]
        if not path.exists():
            continue
        challenge = bytes.fromhex(plot["challenge"])
        try:
            prover = DiskProver(str(path))
            started = time.monotonic()
            qualities = prover.get_qualities_for_challenge(challenge)
            between = time.monotonic()
            if not qualities:
                raise RuntimeError("no quality")
            prover.get_full_proof(challenge, 0, True)
            ended = time.monotonic()
            results[plot["file"]] = {
                "Ok": {"quality_ms": (between - started) * 1000, "proof_ms": (ended - between) * 1000}
            }
        except RuntimeError as error:
            results[plot["file"]] = {"Err": str(error)}
    return results


def main() -> None:
    if sys.argv[1] == "--given":
        print(json.dumps(measure_given(Path(sys.argv[2]))))
        return
    job, root = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]).resolve()
    # The official package asks for these when it is imported, so all imports of it are in the functions.
    os.environ["CHIA_ROOT"], os.environ["CHIA_KEYS_ROOT"] = str(root), str(root / "keys")
    print(json.dumps(measure(job, root)))


if __name__ == "__main__":
    main()
