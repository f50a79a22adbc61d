"""Training as a whole on a small model: it learns, drops, repeats itself."""

from __future__ import annotations

import numpy as np
import pytest

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.initializer import initialize
from bert_ft.checkpoint.variables import encoder_shapes
from bert_ft.errors import BertFtError
from bert_ft.inference.logits import predict_logits
from bert_ft.model.heads import ClassificationHead
from bert_ft.model.trainable import BertModel
from bert_ft.text.packing import InputFeatures, pack
from bert_ft.training.loop import FitResult, Plan, TrainingSet, fit
from bert_ft.training.schedule import Schedule
from bert_ft.training.step import Trainer

VOCAB, CLASSES = 200, 4


def random_rows(count: int, seed: int = 0) -> TrainingSet:
    """Texts of random words with random labels: nothing to generalise, all to be learned by heart."""
    rng = np.random.default_rng(seed)
    features = []
    for length in rng.integers(4, 20, count):
        ids = [2, *rng.integers(5, VOCAB, length).tolist(), 3]
        features.append(InputFeatures(ids, [0] * len(ids), (0, len(ids) - 1), [], [], False))
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    return TrainingSet(features, labels[:, None], [f"row {index}" for index in range(count)])


def new_model(dropout: float = 0.1, seed: int = 1) -> BertModel:
    config = BertConfig(
        VOCAB, 64, 2, 4, 256, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        max_position_embeddings=32, type_vocab_size=2, initializer_range=0.1,
    )  # fmt: skip
    head = ClassificationHead(CLASSES)
    return BertModel(config, head, initialize(encoder_shapes(config) | head.shapes(config), 0.1, seed))


def train(model: BertModel, data: TrainingSet, steps: int, seed: int = 1, batch_size: int = 32) -> list[float]:
    schedule = Schedule(1e-3, steps, steps // 10)
    losses = []
    trainer = Trainer(model, seed)
    plain_step = trainer.step

    def recorded(*args: object, **kwargs: object) -> float:
        losses.append(plain_step(*args, **kwargs))
        return losses[-1]

    trainer.step = recorded
    fit(trainer, data, Plan(schedule, batch_size, seed, "accuracy"), None, lambda result: None)
    return losses


def test_200_rows_are_learned_by_heart() -> None:
    data, model = random_rows(200), new_model()
    train(model, data, steps=250)
    assert np.mean(predict_logits(model, data.features, 64).argmax(-1) == np.concatenate(data.labels)) >= 0.99


def test_one_seed_repeats_a_run_and_another_does_not() -> None:
    data = random_rows(64)
    first, second, other = (train(new_model(), data, steps=6, seed=seed) for seed in (3, 3, 4))
    assert first == second
    assert first != other


def test_the_largest_seed_is_one() -> None:
    data = random_rows(16)
    assert np.isfinite(train(new_model(), data, steps=2, seed=2**63 - 1)).all()


def test_dropout_drops() -> None:
    """With dropout the loss of one batch changes from step to step; without it, and in prediction, it does not."""
    data = random_rows(16)
    assert len(set(losses_of_one_batch(new_model(0.5), data, 4, with_dropout=True))) == 4
    assert len(set(losses_of_one_batch(new_model(0.5), data, 2, with_dropout=False))) == 1


@pytest.mark.parametrize("place", ["hidden", "attention", "head"])
def test_each_dropout_of_the_configuration_has_its_effect(place: str) -> None:
    data = random_rows(16)
    config = BertConfig(
        VOCAB, 64, 2, 4, 256,
        hidden_dropout_prob=0.5 if place == "hidden" else 0.0,
        attention_probs_dropout_prob=0.5 if place == "attention" else 0.0,
        max_position_embeddings=32, type_vocab_size=2, initializer_range=0.5,
    )  # fmt: skip
    head = ClassificationHead(CLASSES, dropout=0.5 if place == "head" else 0.0)
    model = BertModel(config, head, initialize(encoder_shapes(config) | head.shapes(config), 0.5, 1))
    first, second = losses_of_one_batch(model, data, 2, with_dropout=True)
    assert first != second


def losses_of_one_batch(model: BertModel, data: TrainingSet, steps: int, with_dropout: bool) -> list[float]:
    """With a learning rate of 0: the weights stay as they are."""
    trainer = Trainer(model, 1, with_dropout)
    return [trainer.step(step, 0.0, data.features, np.concatenate(data.labels)) for step in range(steps)]


def test_prediction_keeps_order_and_is_the_same_in_any_batch_size() -> None:
    data, model = random_rows(37), new_model()
    one_by_one = np.concatenate([model.head_logits(pack([f])) for f in data.features])
    for batch_size in (1, 8, 64):
        np.testing.assert_allclose(predict_logits(model, data.features, batch_size), one_by_one, atol=1e-5)


def test_the_best_epoch_is_kept_and_the_earlier_of_equals() -> None:
    scores = iter([0.2, 0.8, 0.8, 0.5])
    kept: list[int] = []

    def keep(result: FitResult) -> None:
        kept.append(result.best_step)

    data = random_rows(32)
    result = fit(
        Trainer(new_model(), 1),
        data,
        Plan(Schedule(1e-4, 8, 0), batch_size=16, seed=1, metric="accuracy"),
        evaluate=lambda progress: {"accuracy": next(scores)},
        keep=keep,
    )
    assert [entry["step"] for entry in result.history] == [2, 4, 6, 8]
    assert kept == [2, 4]
    assert result.best == {"accuracy": 0.8}


def test_ctrl_c_before_the_first_evaluation_keeps_the_weights_as_they_stand() -> None:
    data = random_rows(32)
    trainer = Trainer(new_model(), 1)
    plain_step = trainer.step

    def interrupted(number: int, *args: object, **kwargs: object) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return plain_step(number, *args, **kwargs)

    trainer.step = interrupted
    kept: list[int] = []
    plan = Plan(Schedule(1e-4, 100, 0), 16, 1, "accuracy")
    result = fit(trainer, data, plan, None, lambda result: kept.append(result.best_step))
    assert result.exit_status == 130
    assert kept == [3]


def test_a_loss_that_is_no_number_names_step_rate_and_rows() -> None:
    model, data = new_model(), random_rows(4)
    model.variables["output_bias"].assign([np.nan] * CLASSES)
    with pytest.raises(BertFtError, match=r"loss is nan at step 0 with learning rate 0\.001, on row \d, row \d"):
        train(model, data, steps=3, batch_size=2)
