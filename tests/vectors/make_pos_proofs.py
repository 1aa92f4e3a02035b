#!/usr/bin/env python3
"""Makes pos_proofs.json: real proofs of space, and what official code says about them and about changes to them.

Run with the python of an environment that has chia-blockchain 2.7.5. Needs constants_vectors.json beside it, whose keys
make the plots' ids. Plots are made in a temporary directory; only proofs are kept.
"""
import contextlib
import hashlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

from chia.consensus.constants import replace_str_to_bytes
from chia.consensus.default_constants import DEFAULT_CONSTANTS
from chia.types.blockchain_format.proof_of_space import (
    calculate_plot_filter_bits,
    calculate_pos_challenge,
    calculate_prefix_bits,
    is_v1_phased_out,
    make_pos,
    passes_plot_filter,
    passes_plot_filter_v2,
    compute_plot_group_id,
    verify_and_get_quality_string,
)
from chia_rs import G1Element, PlotParam, Prover, create_v2_plot, solve_proof
from chia_rs.sized_bytes import bytes32
from chia_rs.sized_ints import uint8, uint16, uint32
from chiapos import DiskPlotter, DiskProver

logging.disable(logging.CRITICAL)
HERE = Path(__file__).resolve().parent
KEYS = json.loads((HERE / "constants_vectors.json").read_text())["keys"]
K, STRENGTH, PLOT_INDEX, META_GROUP = 18, 3, 5, 6
POOL_PK = G1Element.from_bytes(bytes.fromhex(KEYS["pool"]["pk"]))
CONTRACT = bytes32.fromhex(KEYS["pool_contract_puzzle_hash"])
PLOT_PK = {
    "og": G1Element.from_bytes(bytes.fromhex(KEYS["plot_pk_og"])),
    "contract": G1Element.from_bytes(bytes.fromhex(KEYS["plot_pk_contract"])),
}
MEMO = bytes.fromhex(KEYS["memo_contract"])
BASE = {
    "TESTNET": True, "MIN_PLOT_SIZE_V1": 18, "PLOT_SIZE_V2": K, "HARD_FORK_HEIGHT": 0, "SOFT_FORK9_HEIGHT": 0,
    "NUMBER_ZERO_BITS_PLOT_FILTER_V1": 3, "NUMBER_ZERO_BITS_PLOT_FILTER_V2": 1, "HARD_FORK2_HEIGHT": 1000,
    "EPOCH_BLOCKS": 100,
}
V1_CONTEXT = {"signage_point_index": 7, "peak_height": 900, "last_tx_height": 890}
V2_CONTEXT = {"signage_point_index": 7, "peak_height": 2000, "last_tx_height": 1990}


def constants(overrides):
    return replace_str_to_bytes(DEFAULT_CONSTANTS, **overrides)


def draw(*what):
    return bytes32(hashlib.sha256(repr(what).encode()).digest())


@contextlib.contextmanager
def quiet():
    """The plotter writes its progress to stdout."""
    sys.stdout.flush()
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    yield
    os.dup2(saved, 1)


def pool_of(kind):
    return (POOL_PK, None) if kind == "og" else (None, CONTRACT)


def param(version, strength=STRENGTH):
    if version == 1:
        return PlotParam.make_v1(K)
    return PlotParam.make_v2(uint16(PLOT_INDEX), uint8(META_GROUP), uint8(strength))


def proof_of_space(version, kind, challenge, proof):
    return make_pos(challenge, *pool_of(kind), PLOT_PK[kind], param(version), proof)


def real_proofs(version, kind, directory):
    """Endless (context, proof of space) that pass the filter."""
    plot_id = proof_of_space(version, kind, bytes32.zeros, b"").compute_plot_id()
    c = constants(BASE)
    path = directory / f"v{version}-{kind}.plot"
    if version == 1:
        with quiet():
            DiskPlotter().create_plot_disk(
                str(directory), str(directory), str(directory), path.name, K, MEMO, plot_id, 100, 0, 2000, 1, False)
        prover = DiskProver(str(path))
        context = V1_CONTEXT
    else:
        create_v2_plot(str(path), K, STRENGTH, plot_id, uint16(PLOT_INDEX), uint8(META_GROUP), MEMO, True)
        prover = Prover(str(path))
        context = V2_CONTEXT
    for n in range(10**6):
        challenge_hash, sp_hash, filter_challenge = (draw(version, kind, n, what) for what in ("cc", "sp", "filter"))
        challenge = calculate_pos_challenge(plot_id, challenge_hash, sp_hash)
        if version == 1:
            bits = calculate_prefix_bits(c, uint32(context["peak_height"]), param(1))
            passes = passes_plot_filter(bits, plot_id, challenge_hash, sp_hash)
        else:
            bits = calculate_plot_filter_bits(uint32(context["last_tx_height"]), c, STRENGTH)
            group = compute_plot_group_id(STRENGTH, PLOT_PK[kind], pool_of(kind)[0] or pool_of(kind)[1])
            passes = passes_plot_filter_v2(group, META_GROUP, bits, filter_challenge, context["signage_point_index"])
        if not passes:
            continue
        if version == 1:
            found = [prover.get_full_proof(challenge, i) for i in range(len(prover.get_qualities_for_challenge(challenge)))]
        else:
            found = [solve_proof(q, plot_id, STRENGTH, K, True) for q in prover.get_qualities_for_challenge(challenge)]
        for proof in found:
            yield (dict(context, challenge_hash=challenge_hash.hex(), sp_hash=sp_hash.hex(),
                        filter_challenge=filter_challenge.hex() if version == 2 else None),
                   proof_of_space(version, kind, challenge, bytes(proof)))


def case(rule, context, pos, overrides={}):
    """`rule` names the rule that the case was made to break; official code has the last word on whether it does."""
    filter_challenge = context["filter_challenge"]
    quality = verify_and_get_quality_string(
        pos, constants(BASE | overrides), bytes32.fromhex(context["challenge_hash"]), bytes32.fromhex(context["sp_hash"]),
        height=uint32(context["peak_height"]), prev_transaction_block_height=uint32(context["last_tx_height"]),
        filter_challenge=bytes32.fromhex(filter_challenge) if filter_challenge else None,
        signage_point_index=context["signage_point_index"])
    assert (quality is None) == (rule is not None), (rule, quality)
    return {"rule": rule, "overrides": {k: str(v) for k, v in overrides.items()}, "context": context,
            "proof_of_space": bytes(pos).hex(), "quality": quality and quality.hex()}


def without_filter_luck(context, pos, c):
    """A v1 context in which the plot does not pass the filter, and the proof with the challenge that fits it."""
    for n in range(1000):
        cc, sp = draw("unlucky", n), draw("unlucky sp", n)
        bits = calculate_prefix_bits(c, uint32(context["peak_height"]), pos.param())
        if not passes_plot_filter(bits, pos.compute_plot_id(), cc, sp):
            moved = pos.replace(challenge=calculate_pos_challenge(pos.compute_plot_id(), cc, sp))
            return dict(context, challenge_hash=cc.hex(), sp_hash=sp.hex()), moved
    raise RuntimeError("every plot passes")


def cases(version, kind, proofs):
    plain = [next(proofs) for _ in range(4)]
    yield from (case(None, *p) for p in plain)
    context, pos = plain[0]
    c = constants(BASE)
    yield case("challenge", dict(context, sp_hash=draw("other").hex()), pos)
    yield case("challenge", context, pos.replace(challenge=draw("other")))
    yield case("challenge", context, pos.replace(plot_public_key=POOL_PK))
    broken = bytearray(pos.proof)
    broken[100] ^= 1
    invalid = "invalid_v1" if version == 1 else "invalid_v2"
    yield case(invalid, context, pos.replace(proof=bytes(broken)))
    yield case(invalid, context, pos.replace(proof=pos.proof[:-1]))
    yield case(invalid, context, pos.replace(proof=b""))
    if version == 1:
        yield case("plot_size", context, pos, {"MIN_PLOT_SIZE_V1": 19})
        yield case("plot_size", context, pos, {"MAX_PLOT_SIZE_V1": 17})
        yield case("filter_v1", *without_filter_luck(context, pos, c))
        yield case("too_long", context, pos.replace(proof=pos.proof + bytes(2000)))
        yield case(None, dict(context, last_tx_height=1000), pos)
        for context, pos in plain:
            heights = range(1000, 1000 + 257 * BASE["EPOCH_BLOCKS"], 50)
            dies = next(h for h in heights if is_v1_phased_out(pos.proof, uint32(h), c))
            yield case("phased_out", dict(context, last_tx_height=dies), pos)
            yield case(None, dict(context, last_tx_height=dies - 50), pos)
            yield case("phased_out", dict(context, last_tx_height=4_000_000_000), pos)
    else:
        yield case("v2_not_active", dict(context, last_tx_height=999), pos)
        yield case("plot_strength", context, pos, {"MIN_PLOT_STRENGTH": 4})
        yield case("plot_strength", context, pos, {"MAX_PLOT_STRENGTH": 2})
        yield case("no_filter_challenge", dict(context, filter_challenge=None), pos)
        yield case("filter_v2", dict(context, signage_point_index=8), pos)
        yield case(invalid, context, pos, {"TESTNET": False})
        yield case(invalid, context, pos, {"PLOT_SIZE_V2": 20})


def main():
    out = {"made_by": "make_pos_proofs.py, chia-blockchain 2.7.5", "base": {k: str(v) for k, v in BASE.items()}, "cases": []}
    with tempfile.TemporaryDirectory() as tmp:
        for version in (1, 2):
            for kind in ("og", "contract"):
                out["cases"] += cases(version, kind, real_proofs(version, kind, Path(tmp)))
    lines = ",\n".join(json.dumps(c) for c in out.pop("cases"))
    head = json.dumps(out)[:-1]
    (HERE / "pos_proofs.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


main()
