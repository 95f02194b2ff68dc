"""Parts for other people's trainers: the same loss and the same steps as without them, but for the weights."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithFlattening,
    DataCollatorWithPadding,
    MixtralConfig,
    MixtralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
    TrainingArguments,
    set_seed,
)

from labelled import labelled_rows
from unflaw._errors import SettingsError
from unflaw.curate import difficulty
from unflaw.measure import dynamics
from unflaw.train import RecordDynamics, WeightedCollator, WeightedLoss, WeightedTrainer, read_dynamics

TEXTS = ["The river is long.", "Blue", "A city of many people and of water"]


def causal_rows(tokenizer, weights=None):
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    rows = [{"input_ids": i, "labels": [-100, *i[1:]]} for i in ids]
    return Dataset.from_list([{**r, **({} if weights is None else {"weight": w})} for r, w in
                              zip(rows, weights or [None] * 3, strict=True)])  # fmt: skip


def trained(cls, folder, model, rows, collate, **how):
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=2, learning_rate=1e-2, use_cpu=True, report_to="none", disable_tqdm=True,
        logging_steps=1, save_strategy="no", lr_scheduler_type="constant", seed=0, **how,
    )  # fmt: skip
    trainer = cls(model=model, args=arguments, train_dataset=rows, data_collator=collate)
    trainer.train()
    return [step["loss"] for step in trainer.state.log_history if "loss" in step]


@pytest.mark.parametrize("how", [
    {"per_device_train_batch_size": 3},
    {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 3},
    {"per_device_train_batch_size": 3, "label_smoothing_factor": 0.3},
])  # fmt: skip
def test_equal_weights_train_a_language_model_as_no_weights_do(tiny, tmp_path, how):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    collate = DataCollatorForSeq2Seq(tokenizer)
    plain = trained(
        Trainer, tmp_path, AutoModelForCausalLM.from_pretrained(tiny), causal_rows(tokenizer), collate, **how
    )
    model = AutoModelForCausalLM.from_pretrained(tiny)
    ours = trained(
        WeightedTrainer, tmp_path, model, causal_rows(tokenizer, [1.0] * 3), WeightedCollator(collate), **how
    )
    assert ours == pytest.approx(plain, rel=1e-4)


def test_a_row_counts_by_its_weight(tiny, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model, weights = AutoModelForCausalLM.from_pretrained(tiny), [3.0, 0.0, 0.5]
    total, n = 0.0, 0
    for row, weight in zip(causal_rows(tokenizer), weights, strict=True):  # row by row, by hand
        z = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].log_softmax(-1)
        y = torch.tensor(row["labels"][1:])
        total += weight * -z[torch.arange(len(y)), y].sum().item()
        n += len(y)
    collate = WeightedCollator(DataCollatorForSeq2Seq(tokenizer))
    rows = causal_rows(tokenizer, weights)
    first, _ = trained(WeightedTrainer, tmp_path, model, rows, collate, per_device_train_batch_size=3)
    assert first == pytest.approx(total / n, abs=1e-4)


def classifier_rows(tokenizer, rows, weights):
    names = {"good": 0, "bad": 1}
    return Dataset.from_list(
        [
            {"input_ids": tokenizer(t)["input_ids"], "labels": names[v], "weight": w}
            for t, v, w in zip(rows.column("text"), rows.column("label"), weights, strict=True)
        ]
    )


def test_a_classifier_forgets_rows_of_no_weight(tiny_encoder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    collate = WeightedCollator(DataCollatorWithPadding(tokenizer))
    losses = []
    for turned in (False, True):  # what the rows without weight say changes nothing
        rows = labelled_rows(8)
        labels = ["good" if turned and k >= 4 else v for k, v in enumerate(rows.column("label"))]
        torch.manual_seed(1)
        model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
        data = classifier_rows(tokenizer, rows.with_column("label", labels, "label"), [2.0] * 4 + [0.0] * 4)
        losses.append(trained(WeightedTrainer, tmp_path, model, data, collate, per_device_train_batch_size=8))
    assert losses[0] == losses[1]


def test_dynamics_of_anybodys_trainer_can_be_graded(tiny_encoder, tmp_path):
    rows, tokenizer = labelled_rows(60), AutoTokenizer.from_pretrained(tiny_encoder)
    data = classifier_rows(tokenizer, rows, [1.0] * 60).remove_columns("weight")
    collate = DataCollatorWithPadding(tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), num_train_epochs=3, learning_rate=1e-2, use_cpu=True, report_to="none",
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    recorder = RecordDynamics(data, rows.ids, tmp_path / "dynamics", collate)
    Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate, callbacks=[recorder]).train()
    found = read_dynamics(tmp_path / "dynamics")
    assert found.logits.shape == (3, 60, 2) and found.ids == rows.ids
    with torch.no_grad():
        z = model.eval()(**collate([{"input_ids": r["input_ids"]} for r in data])).logits.numpy()
    assert found.logits[-1] == pytest.approx(z, abs=1e-4)
    graded = difficulty(rows, recorded=[tmp_path / "dynamics"])
    assert graded.views["full"].mu == pytest.approx(dynamics(found.logits.astype(float), found.y).mu)
    with pytest.raises(SettingsError, match="each of the 60 `rows`, got 3"):
        RecordDynamics(data, rows.ids[:3], tmp_path, collate)


def test_dynamics_of_an_earlier_training_are_forgotten(tiny_encoder, tmp_path):
    rows, tokenizer = labelled_rows(8), AutoTokenizer.from_pretrained(tiny_encoder)
    data = classifier_rows(tokenizer, rows, [1.0] * 8).remove_columns("weight")
    collate = DataCollatorWithPadding(tokenizer)
    for epochs in (3, 2):
        model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "out"), num_train_epochs=epochs, use_cpu=True, report_to="none",
            disable_tqdm=True, save_strategy="no",
        )  # fmt: skip
        recorder = RecordDynamics(data, rows.ids, tmp_path / "d", collate)
        Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate, callbacks=[recorder]).train()
        assert read_dynamics(tmp_path / "d").logits.shape[0] == epochs


def test_who_is_watched_learns_the_same(tiny_encoder, tmp_path):
    rows, tokenizer = labelled_rows(24), AutoTokenizer.from_pretrained(tiny_encoder)
    data = classifier_rows(tokenizer, rows, [1.0] * 24).remove_columns("weight")
    collate, losses = DataCollatorWithPadding(tokenizer), []
    for watching in ([], [RecordDynamics(data, rows.ids, tmp_path / "d", collate)]):
        set_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "out"), num_train_epochs=3, use_cpu=True, report_to="none", disable_tqdm=True,
            save_strategy="no", logging_steps=1, learning_rate=1e-2,
        )  # fmt: skip
        trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate, callbacks=watching)
        trainer.train()
        losses.append([step["loss"] for step in trainer.state.log_history if "loss" in step])
    assert len(losses[0]) == 9 and losses[0] == losses[1]


@pytest.mark.parametrize(
    ("average", "processes", "same_rows", "devices", "shares"),
    [(True, 4, 1, 1, 4), (True, 4, 2, 1, 2), (True, 1, 1, 2, 1), (False, 1, 1, 2, 0.5), (False, 4, 1, 1, 1)],
)
def test_the_count_of_a_step_is_of_what_transformers_counts(average, processes, same_rows, devices, shares):
    """It multiplies a loss by processes of other rows; without averaging it divides a count by devices."""
    trainer = object.__new__(WeightedLoss)
    trainer.args = SimpleNamespace(average_tokens_across_devices=average, n_gpu=devices)
    trainer.accelerator, trainer.get_tp_size = SimpleNamespace(num_processes=processes), lambda: same_rows
    assert trainer._shares() == shares


def test_a_collator_that_drops_the_weights_is_told(tiny, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model, collate = AutoModelForCausalLM.from_pretrained(tiny), DataCollatorForSeq2Seq(tokenizer)
    with pytest.raises(SettingsError, match="put `WeightedCollator` around"):
        trained(WeightedTrainer, tmp_path, model, causal_rows(tokenizer), collate, per_device_train_batch_size=3)
    with pytest.raises(SettingsError, match="pack no rows"):
        trained(WeightedTrainer, tmp_path, model, causal_rows(tokenizer), WeightedCollator(collate))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    collate = WeightedCollator(lambda rows: {"n": len(rows)})
    assert collate([{"weight": None}, {"weight": 2}])["weight"].tolist() == [1.0, 2.0]
    with pytest.raises(SettingsError, match="`weight` must be a number of 0 or more"):
        collate([{"weight": 1.0}, {"weight": weight}])


def of_labels(labels):
    return lambda rows: {"input_ids": torch.tensor([[5, 6]] * 2), "labels": labels, "weight": torch.ones(2)}


def test_models_with_another_loss_are_refused(tiny_encoder, tmp_path):
    """One number, several labels at once, an answer that is decoded, experts that are balanced, a loss of one's own."""
    rows = Dataset.from_list([{"weight": 1.0}] * 2)
    for labels in (torch.tensor([0.5, 1.0]), torch.tensor([[1, 0], [1, 1]])):
        model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
        with pytest.raises(SettingsError, match="this is neither"):
            trained(WeightedTrainer, tmp_path, model, rows, of_labels(labels), per_device_train_batch_size=2)
    sizes = {"vocab_size": 8, "d_model": 8, "d_ff": 8, "num_layers": 1, "num_heads": 1, "d_kv": 8}
    with pytest.raises(SettingsError, match="this is neither"):
        WeightedTrainer(T5ForConditionalGeneration(T5Config(**sizes)), TrainingArguments(str(tmp_path), use_cpu=True))
    experts = MixtralForCausalLM(MixtralConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, num_local_experts=2, output_router_logits=True,
    ))  # fmt: skip
    with pytest.raises(SettingsError, match="a loss of its own"):
        trained(WeightedTrainer, tmp_path, experts, rows, of_labels(torch.tensor([[5, 6]] * 2)))
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
    with pytest.raises(SettingsError, match="`compute_loss_func` is another loss"):
        WeightedTrainer(model, TrainingArguments(str(tmp_path), use_cpu=True), compute_loss_func=print)


def test_rows_that_were_flattened_into_one_are_refused(tiny, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model, rows = AutoModelForCausalLM.from_pretrained(tiny), causal_rows(tokenizer, [1.0, 1.0, 1.0])
    collate = WeightedCollator(DataCollatorWithFlattening())
    with pytest.raises(SettingsError, match="a batch of 1 rows has 3 weights"):
        trained(WeightedTrainer, tmp_path, model, rows, collate, per_device_train_batch_size=3)


def test_dynamics_leave_columns_aside_that_the_model_does_not_take(tiny_encoder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    data = classifier_rows(tokenizer, labelled_rows(8), [1.0] * 8).add_column("text", ["seen by nobody"] * 8)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
    recorder = RecordDynamics(data, [f"r{k}" for k in range(8)], tmp_path, DataCollatorWithPadding(tokenizer))
    for epoch in (1, 2):
        state = SimpleNamespace(is_world_process_zero=True, epoch=epoch)
        recorder.on_epoch_end(SimpleNamespace(remove_unused_columns=True), state, None, model=model)
    assert read_dynamics(tmp_path).ids == [f"r{k}" for k in range(8)]
    with pytest.raises(ValueError, match="text"):  # as the trainer's own rows would be
        recorder.on_epoch_end(SimpleNamespace(remove_unused_columns=False), state, None, model=model)
    with pytest.raises(SettingsError, match="each row once, got 'a' again"):
        RecordDynamics(data, ["a"] * 8, tmp_path, DataCollatorWithPadding(tokenizer))


def test_an_epoch_that_is_cut_short_overwrites_no_other(tiny_encoder, tmp_path):
    rows, tokenizer = labelled_rows(32), AutoTokenizer.from_pretrained(tiny_encoder)
    data = classifier_rows(tokenizer, rows, [1.0] * 32).remove_columns("weight")
    collate = DataCollatorWithPadding(tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=2)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=9, per_device_train_batch_size=8, use_cpu=True, report_to="none",
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    recorder = RecordDynamics(data, rows.ids, tmp_path / "d", collate)
    Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate, callbacks=[recorder]).train()
    assert read_dynamics(tmp_path / "d").logits.shape[0] == 3


def test_trl_trains_on_rows_that_weigh(tiny, tmp_path):
    from trl import SFTConfig, SFTTrainer

    class WeightedSFT(WeightedLoss, SFTTrainer):
        pass

    def losses(cls, weights):
        answers = ("Blue.", "The Nile is long.")
        rows = [
            {"prompt": "Say something:", "completion": a, "weight": w} for a, w in zip(answers, weights, strict=True)
        ]
        arguments = SFTConfig(
            output_dir=str(tmp_path), max_steps=2, learning_rate=1e-2, use_cpu=True, bf16=False, report_to="none",
            disable_tqdm=True, logging_steps=1, save_strategy="no", per_device_train_batch_size=2, seed=0,
        )  # fmt: skip
        trainer = cls(
            model=AutoModelForCausalLM.from_pretrained(tiny), args=arguments, train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(tiny),
        )  # fmt: skip
        if cls is WeightedSFT:
            trainer.data_collator = WeightedCollator(trainer.data_collator)
        trainer.train()
        return [step["loss"] for step in trainer.state.log_history if "loss" in step]

    even = losses(WeightedSFT, [1.0, 1.0])
    assert even == pytest.approx(losses(SFTTrainer, [1.0, 1.0]), rel=1e-4)
    first, second = (losses(WeightedSFT, weights)[0] for weights in ([2.0, 0.0], [0.0, 2.0]))
    assert first + second == pytest.approx(2 * even[0], rel=1e-4) and first != pytest.approx(second, rel=1e-3)
