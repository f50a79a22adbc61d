"""The parts of bert-serving-benchmark that need no server."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import numpy as np
import pytest
from bert_serving.benchmark.command import benchmark
from bert_serving.benchmark.options import BenchmarkOptions, server_arguments
from bert_serving.benchmark.peak import flop_per_token, measure_roof
from bert_serving.benchmark.plan import Plan, in_turn
from bert_serving.benchmark.sample import ClientTimes, Sample, sample_of, summary
from bert_serving.benchmark.workload import Workload, load_workload, text_lengths
from bert_serving.server.commands.cli import start
from bert_serving.server.options import ServerOptions
from bert_serving.server.settings import Settings, resolve
from hypothesis import given
from hypothesis import strategies as st

from bert_ft.checkpoint.config import BertConfig
from bert_ft.pooling_strategy import PoolingStrategy
from tests.engines.dummy import DUMMY
from tests.oracles import google_tokenizer

WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "##ing", "##s", "play", "run", "Upper", "naïve",
    "two-part", "中", "文", "。", "sun",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory whose vocabulary has words that are no single pieces of themselves."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    config = BertConfig(len(WORDS), 8, 12, 2, 16, max_position_embeddings=40)
    config.save(folder / "bert_config.json")
    for suffix in ("index", "data-00000-of-00001", "meta"):
        (folder / f"bert_model.ckpt.{suffix}").write_bytes(b"")
    return folder


def parsed(folder: Path, *flags: str) -> tuple[BenchmarkOptions, Settings]:
    arguments = ["-model_dir", str(folder), "-engine", DUMMY, "-port", "7001", "-port_out", "7002", *flags]
    options = BenchmarkOptions.from_flags(benchmark.make_context("benchmark", arguments).params)
    return options, resolve(options.server)


def google_lengths(folder: Path, texts: list[str], maximum: int) -> list[int]:
    tokenizer = google_tokenizer(folder / "vocab.txt", True)
    return [min(len(tokenizer.tokenize(text)) + 2, maximum) for text in texts]


def test_generated_texts_have_the_lengths_that_were_drawn(folder: Path) -> None:
    options, settings = parsed(folder, "-num_text", "300", "-mean_length", "12", "-seed", "5")
    workload = load_workload(options, settings)
    drawn = text_lengths(300, 12, 0.6, 40, np.random.default_rng(0))
    assert google_lengths(folder, workload.texts, 40) == workload.pieces.tolist()
    assert abs(workload.pieces.mean() - drawn.mean()) < 1.5  # another seed, the same distribution
    assert not set(" ".join(workload.texts).split()) & {"[UNK]", "[MASK]", "##ing", "##s", "Upper", "naïve", "two-part"}
    again = load_workload(options, settings)
    assert again.texts == workload.texts
    assert load_workload(dataclasses.replace(options, seed=6), settings).texts != workload.texts


def test_words_of_a_file_are_counted_in_pieces(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("playing runs\nsun unknown\n", encoding="utf-8")
    options, settings = parsed(
        folder, "-client_vocab_file", str(tmp_path / "words.txt"), "-num_text", "50", "-mean_length", "9"
    )
    workload = load_workload(options, settings)
    assert set(" ".join(workload.texts).split()) == {"playing", "runs", "sun"}
    assert google_lengths(folder, workload.texts, 40) == workload.pieces.tolist()


@given(
    mean=st.floats(3, 200), sigma=st.floats(0, 1), maximum=st.integers(4, 512), seed=st.integers(0, 10)
)  # fmt: skip
def test_lengths_lie_between_one_piece_and_the_limit(mean: float, sigma: float, maximum: int, seed: int) -> None:
    lengths = text_lengths(50, mean, sigma, maximum, np.random.default_rng(seed))
    assert lengths.min() >= 3
    assert lengths.max() <= maximum


def test_lengths_are_log_normal_with_the_mean_asked_for() -> None:
    lengths = text_lengths(100_000, 60, 0.5, 10_000, np.random.default_rng(3))
    assert lengths.mean() == pytest.approx(60, rel=0.02)
    assert np.log(lengths).std() == pytest.approx(0.5, rel=0.02)
    assert np.exp(np.log(lengths).mean()) == pytest.approx(np.median(lengths), rel=0.02)


@pytest.mark.parametrize("length", [4, 17, 40])
def test_joined_texts_fill_the_length(folder: Path, length: int) -> None:
    options, settings = parsed(folder, "-num_text", "20", "-mean_length", "7", "-max_seq_len", str(length))
    long = load_workload(options, settings).as_long_as(length, settings)
    assert google_lengths(folder, long.texts, length) == [length] * len(long.texts)
    assert set(long.pieces.tolist()) == {length}


@given(st.lists(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40), min_size=1, max_size=4))
def test_figures_of_clients_together(latencies: list[list[float]]) -> None:
    clients = [
        ClientTimes(3 * len(own), 21 * len(own), own, began=number, ended=number + sum(own), processor_seconds=0.5)
        for number, own in enumerate(latencies)
    ]
    sample = sample_of(clients, cores=2)
    pooled = [latency for own in latencies for latency in own]
    assert sample.requests == len(pooled)
    assert (sample.texts, sample.tokens) == (3 * len(pooled), 21 * len(pooled))
    assert sample.seconds == pytest.approx(max(number + sum(own) for number, own in enumerate(latencies)))
    assert sample.texts_per_second * sample.seconds == pytest.approx(sample.texts)
    assert sample.client_share * 2 * sample.seconds == pytest.approx(0.5 * len(latencies))
    # the standard library's inclusive quantiles interpolate linearly too
    cuts = statistics.quantiles(pooled, n=100, method="inclusive") if len(pooled) > 1 else pooled * 99
    for percent, value in ((50, sample.latency_p50_ms), (90, sample.latency_p90_ms), (99, sample.latency_p99_ms)):
        assert value == pytest.approx(1000 * cuts[percent - 1])


def test_summary_is_median_and_spread() -> None:
    samples = [
        Sample(1, 2, 3, 4, 0, rate, 1, 1, 1, 1, 0, roof_share=share)
        for rate, share in ((5.0, 0.5), (7.0, None), (9.0, 0.25))
    ]  # fmt: skip
    result = summary(samples)
    assert result["texts_per_second"] == {"median": 7.0, "min": 5.0, "max": 9.0}
    assert result["roof_share"] == {"median": 0.375, "min": 0.25, "max": 0.5}
    assert result["memory_mb"] is None


def test_flop_of_bert_base() -> None:
    """Devlin et al.: 110 M parameters, 85 M of them in the layers; the embeddings are no products."""
    config = BertConfig(21128)
    by_hand = 2 * (4 * 768 * 768 + 2 * 768 * 3072)
    assert flop_per_token(config, ServerOptions("m", pooling_layer=(-1,))) == 12 * by_hand
    assert flop_per_token(config, ServerOptions("m", pooling_layer=(-4, -2))) == 11 * by_hand
    assert flop_per_token(config, ServerOptions("m", pooling_layer=(0,))) == by_hand
    pooled = ServerOptions("m", pooling_strategy=PoolingStrategy.CLS_POOLED)
    assert flop_per_token(config, pooled) == 12 * by_hand


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-pooling_layer", "-1", "-3", "-pooling_strategy", "REDUCE_MEAN_MAX", "-max_seq_len", "NONE"],
        ["-max_seq_len", "9", "-cased_tokenization", "-mask_cls_sep", "-precision", "bf16", "-worker_timeout", "7.5"],
        ["-num_worker", "2", "-engine_option", "a=b", "c=d e", "-device_map", "1", "0", "-ckpt_name", "other.ckpt"],
    ],
)  # fmt: skip
def test_the_server_is_given_the_flags_it_was_asked_for(flags: list[str]) -> None:
    options = ServerOptions(**start.make_context("start", ["-model_dir", "somewhere", *flags]).params)
    again = start.make_context("start", server_arguments(options)).params
    assert ServerOptions(**again) == options


def test_flags_about_the_network_have_no_effect_and_are_named(folder: Path) -> None:
    options, _ = parsed(folder, "-host", "0.0.0.0", "-http_port", "8125", "-cors", "x", "-num_worker", "2")
    assert options.without_effect == ("cors", "host", "http_port")
    assert options.server.host == "127.0.0.1"
    assert options.server.http_port is None
    assert options.server.num_worker == 2


def plan_of(folder: Path, *flags: str) -> Plan:
    options, settings = parsed(folder, "-num_text", "20", *flags)
    return Plan(options, settings, load_workload(options, settings))


def test_axes_that_are_not_named_are_not_swept(folder: Path) -> None:
    plan = plan_of(folder, "-test_num_client", "1", "2", "-test_max_batch_tokens", "64")
    assert [(axis.name, [point.value for point in axis.points]) for axis in plan.axes] == [
        ("num_client", [1, 2]),
        ("max_batch_tokens", [64]),
    ]


def test_without_axes_all_are_swept_as_far_as_the_model_goes(folder: Path) -> None:
    axes = {axis.name: [point.value for point in axis.points] for axis in plan_of(folder).axes}
    assert set(axes) == {
        "client_batch_size", "num_client", "max_batch_size", "max_batch_tokens", "max_seq_len", "pooling_layer",
    }  # fmt: skip
    assert axes["max_seq_len"] == [16, 32]  # of 40 positions
    assert axes["pooling_layer"] == [-1, -3, -6, -12]


def test_loads_that_axes_have_in_common_are_measured_once(folder: Path) -> None:
    plan = plan_of(
        folder, "-test_client_batch_size", "4", "8", "-test_num_client", "1", "2", "-client_batch_size", "8",
        "-test_max_batch_size", "256", "16",
    )  # fmt: skip
    # 4 and 8 texts of one client, 8 of two, and 8 of one client with the server's other batch size
    assert plan.loads == 4
    assert len(plan.sessions) == 2
    placed = [point for session in plan.sessions for points in session.loads.values() for point in points]
    assert sorted(map(id, placed)) == sorted(id(point) for axis in plan.axes for point in axis.points)


def test_repeats_go_there_and_back(folder: Path) -> None:
    plan = plan_of(folder, "-test_client_batch_size", "4", "8", "-test_max_batch_size", "16")
    seen = [
        (session.options.max_batch_size, load.clients[0].batch_size)
        for session, loads in in_turn(plan.sessions, 2)
        for load in loads
    ]
    assert seen == [(256, 4), (256, 8), (16, 256), (16, 256), (256, 8), (256, 4)]


def test_figures_of_every_text_that_was_sent_are_counted(folder: Path) -> None:
    from bert_serving.benchmark.measure import _times
    from bert_serving.benchmark.plan import ClientPlan

    workload = Workload(["a", "b", "c"], np.array([3, 5, 9]), "")
    result = {"latencies": [0.1] * 2, "began": 0.0, "ended": 1.0, "processor_seconds": 0.0}
    assert _times(ClientPlan(2, 4), result, workload).pieces == sum([9, 3, 5, 9, 3, 5, 9, 3])
    assert _times(ClientPlan(1, 4, step=0), result, workload).pieces == 8 * 5


@pytest.mark.slow
def test_the_roof_is_measured_in_a_process_of_its_own() -> None:
    one, two = measure_roof("fp32", 1), measure_roof("bf16", 1)
    assert one > 0
    assert two > 0
