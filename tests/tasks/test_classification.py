from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from bert_ft.data.rows import BadRows
from bert_ft.errors import BertFtError
from bert_ft.tasks.classification.examples import LabelledTexts, read_split, read_training_split, sort_labels
from bert_ft.tasks.classification.files import TASKS, Columns, TaskFiles, custom_task

EMOTION = TASKS["emotion"]


def train(folder: Path, content: str, files: TaskFiles = EMOTION, name: str = "train.tsv", **kwargs: object):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    return read_training_split(folder, files, kwargs.get("labels"), BadRows(bool(kwargs.get("skip"))))


def texts(split: LabelledTexts) -> list[tuple[str, str | None, str | None]]:
    return [(example.text_a, example.text_b, example.label) for example in split.examples]


def test_label_and_text(tmp_path: Path) -> None:
    split, labels = train(tmp_path, "sad\t下雨了\nhappy\t今天真开心\nsad\t没带伞\n")
    assert labels == ["happy", "sad"]
    assert texts(split) == [("下雨了", None, "sad"), ("今天真开心", None, "happy"), ("没带伞", None, "sad")]
    assert split.label_ids is not None
    assert split.label_ids.tolist() == [1, 0, 1]


def test_the_fine_tuning_names_go_before_train_tsv(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("x\tother\ny\tother\n")
    split, labels = train(tmp_path, "a\tone\nb\ttwo\n", name="fine_tuning_train_data.tsv")
    assert labels == ["a", "b"]
    assert split.path.name == "fine_tuning_train_data.tsv"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"10", "9", "1"}, ["1", "9", "10"]),
        ({"-1", "0", "1.5"}, ["-1", "0", "1.5"]),
        ({"10", "9", "x"}, ["10", "9", "x"]),
        ({"nan", "1", "inf"}, ["1", "inf", "nan"]),
        ({"乙", "甲"}, ["乙", "甲"]),
    ],
)
def test_numbers_are_sorted_as_numbers_and_words_by_code_point(found: set[str], expected: list[str]) -> None:
    assert sort_labels(found) == expected


def test_labels_that_are_given_decide_the_ids_and_what_is_known(tmp_path: Path) -> None:
    _, labels = train(tmp_path, "a\tone\nb\ttwo\n", labels=["b", "a", "c"])
    assert labels == ["b", "a", "c"]
    with pytest.raises(BertFtError, match=r"train\.tsv:2: unknown label 'b' \(known: a, c\)"):
        train(tmp_path, "a\tone\nb\ttwo\n", labels=["a", "c"])


@pytest.mark.parametrize("header", ["label\ttext_a", "Label\tText", "类别\t文本", "sentiment\treview"])
def test_a_header_is_found_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, header: str) -> None:
    with caplog.at_level(logging.INFO, "bert_ft"):
        split, labels = train(tmp_path, f"{header}\n1\tgood\n0\tbad\n")
    assert labels == ["0", "1"]
    assert len(split.examples) == 2
    assert "train.tsv:1: header line found" in caplog.text


def test_a_first_row_that_is_data_is_not_taken_for_a_header(tmp_path: Path) -> None:
    split, _ = train(tmp_path, "intent\ttext me\nother\tcall me\nintent\twrite\n")
    assert len(split.examples) == 3


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a\ttwo\tthree", "3 columns where the file has 2"),
        ("only", "1 columns where the file has 2"),
        ("a\t  ", "the text is empty"),
        ("\tsome text", "the label is empty"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, row: str, fault: str
) -> None:
    content = f"a\tone\nb\ttwo\n{row}\nb\tthree\n"
    with pytest.raises(BertFtError, match=rf"train\.tsv:3: {fault}.*--on_bad_row=skip"):
        train(tmp_path, content)
    with caplog.at_level(logging.WARNING, "bert_ft"):
        split, _ = train(tmp_path, content, skip=True)
    assert [example.line for example in split.examples] == [1, 2, 4]
    assert "1 rows left out, 3 kept" in caplog.text


def test_a_label_that_training_does_not_know_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("a\tone\nz\ttwo\n")
    with pytest.raises(BertFtError, match=r"dev\.tsv:2: unknown label 'z'"):
        read_split(tmp_path, EMOTION.dev, ["a", "b"], BadRows())


@pytest.mark.parametrize(
    ("name", "content", "labelled"),
    [
        ("fine_tuning_test_data.tsv", "很好\tgood\n不好\tbad\n", True),
        ("fine_tuning_test_data.tsv", "good\t很好\nbad\t不好\n", True),
        ("fine_tuning_test_data.tsv", "很好\n不好\n", False),
        ("test.tsv", "good\t很好\nbad\t不好\n", True),
        ("test.tsv", "很好\tgood\n不好\tbad\n", True),
        ("test.tsv", "很好\n不好\n", False),
    ],
)
def test_a_test_file_has_text_alone_or_a_label_on_either_side(
    tmp_path: Path, name: str, content: str, labelled: bool
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    split = read_split(tmp_path, EMOTION.test, ["bad", "good"], BadRows())
    assert [example.text_a for example in split.examples] == ["很好", "不好"]
    assert (split.label_ids.tolist() if split.label_ids is not None else None) == ([1, 0] if labelled else None)


def test_empty_and_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=r"has no fine_tuning_train_data\.tsv nor train\.tsv"):
        read_training_split(tmp_path, EMOTION, None, BadRows())
    with pytest.raises(BertFtError, match=r"train\.tsv: no usable row"):
        train(tmp_path, "\n\n")
    with pytest.raises(BertFtError, match="only one label, 'a'"):
        train(tmp_path, "a\tone\na\ttwo\n")


def test_cola(tmp_path: Path) -> None:
    split, labels = train(tmp_path, "gj04\t1\t\tThey drank the pub.\ngj04\t0\t*\tThe pub drank.\n", TASKS["cola"])
    assert labels == ["0", "1"]
    assert texts(split)[1] == ("The pub drank.", None, "0")
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\tBill whistled.\n")
    assert texts(read_split(tmp_path, TASKS["cola"].test, labels, BadRows())) == [("Bill whistled.", None, None)]


def test_mrpc(tmp_path: Path) -> None:
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    split, _ = train(tmp_path, f'{header}1\t7\t8\tHe said "no.\tShe said yes.\n', TASKS["mrpc"])
    assert texts(split) == [('He said "no.', "She said yes.", "1")]


def test_mnli(tmp_path: Path) -> None:
    columns = [str(number) for number in range(12)]
    row = [*columns[:8], "A man eats.", "A man sleeps.", "x", "contradiction"]
    split, labels = train(tmp_path, "\t".join(columns) + "\n" + "\t".join(row) + "\n", TASKS["mnli"])
    assert labels == ["contradiction", "entailment", "neutral"]
    assert texts(split) == [("A man eats.", "A man sleeps.", "contradiction")]
    (tmp_path / "dev_matched.tsv").write_text("\t".join(columns) + "\n" + "\t".join([*row[:-1], "y", "neutral"]) + "\n")
    dev = read_split(tmp_path, TASKS["mnli"].dev, labels, BadRows())
    assert texts(dev) == [("A man eats.", "A man sleeps.", "neutral")]


def test_xnli(tmp_path: Path) -> None:
    content = "premise\thypo\tlabel\n他 走 了\t他 在\tcontradictory\n"
    split, labels = train(tmp_path, content, TASKS["xnli"], name="multinli/multinli.train.zh.tsv")
    assert texts(split) == [("他 走 了", "他 在", "contradiction")]
    rows = ["\t".join([language, "neutral", "x", "x", "x", "x", "甲", "乙"]) for language in ("ar", "zh", "en")]
    (tmp_path / "xnli.dev.tsv").write_text("\t".join("abcdefgh") + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    dev = read_split(tmp_path, TASKS["xnli"].dev, labels, BadRows())
    assert texts(dev) == [("甲", "乙", "neutral")]
    assert not TASKS["xnli"].test


def test_any_tsv_by_its_columns(tmp_path: Path) -> None:
    files = custom_task("pairs.tsv", "d.tsv", "t.tsv", Columns(text_a=1, text_b=2, label=3))
    content = "id\ttext_a\ttext_b\tlabel\n7\t怎么还款\t如何还钱\t1\n8\t怎么还款\t天气\t0\n"
    split, labels = train(tmp_path, content, files, name="pairs.tsv")
    assert labels == ["0", "1"]
    assert texts(split)[0] == ("怎么还款", "如何还钱", "1")


FRAME = pd.DataFrame({"id": [7, 8], "text": ["怎么还款", "a, b"], "other": ["如何还钱", "天气"], "label": [1, 0]})


def write_as(path: Path, frame: pd.DataFrame = FRAME) -> None:
    kind = path.suffix
    if kind in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="," if kind == ".csv" else "\t")
    elif kind == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        getattr(frame, {".parquet": "to_parquet", ".xlsx": "to_excel"}[kind])(path, index=False)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
@pytest.mark.parametrize(
    ("columns", "second"),
    [
        (Columns(text_a=1, label=0), False),  # the defaults: the names say more
        (Columns("text", None, "label"), False),
        (Columns("text", None, 0), False),
        (Columns("text", "other", "label"), True),
        (Columns(1, 2, 3), True),
        (Columns(1, "other", -1), True),
    ],
)
def test_any_table_by_names_or_numbers(tmp_path: Path, kind: str, columns: Columns, second: bool) -> None:
    write_as(tmp_path / f"a.{kind}")
    split, labels = read_training_split(tmp_path, custom_task(f"a.{kind}", "d", "t", columns), None, BadRows())
    assert labels == ["0", "1"]
    expected = [("怎么还款", "如何还钱" if second else None, "1"), ("a, b", "天气" if second else None, "0")]
    assert texts(split) == expected
    assert [example.line for example in split.examples] == ([1, 2] if kind in ("jsonl", "parquet") else [2, 3])


def test_a_sheet_of_a_workbook(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        FRAME.to_excel(book, sheet_name="dev", index=False)
        FRAME[["label", "text"]].to_excel(book, sheet_name="my train", index=False)
    files = custom_task("a.xlsx#my train", "a.xlsx#dev", "t", Columns(text_a=1, label=0))
    split, labels = read_training_split(tmp_path, files, None, BadRows())
    assert texts(split) == texts(read_split(tmp_path, files.dev, labels, BadRows()))
    assert split.path.name == "a.xlsx#my train"
    FRAME.assign(text=["a", None]).to_excel(tmp_path / "b.xlsx", index=False)
    with pytest.raises(BertFtError, match=r"b\.xlsx:3: the text is empty"):
        read_training_split(tmp_path, custom_task("b.xlsx", "d", "t", Columns("text", None, "label")), None, BadRows())


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (
            Columns(text_a=1, label=0),
            "no column has a name such as text; say which one it is with --text_column; there",
        ),
        (Columns("words", None, "stars"), "no column 'words' for --text_column; there are comment, stars"),
        (Columns("comment", "b", "stars"), "no column 'b' for --text_b_column"),
    ],
)
def test_columns_that_cannot_be_found(tmp_path: Path, columns: Columns, fault: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"comment": "a", "stars": 1}\n{"comment": "b", "stars": 2}\n')
    files = custom_task("a.jsonl", "d", "t", columns)
    with pytest.raises(BertFtError, match=rf"a\.jsonl: {fault}"):
        read_training_split(tmp_path, files, None, BadRows())
    found = custom_task("a.jsonl", "d", "t", Columns("comment", None, "stars"))
    assert read_training_split(tmp_path, found, None, BadRows())[1] == ["1", "2"]


def test_names_in_another_order_than_the_numbers_given_are_not_heeded(tmp_path: Path) -> None:
    split, _ = train(
        tmp_path, "text\tlabel\tx\nb\t1\tq\na\t2\tr\n", custom_task("a.tsv", "d", "t", Columns(2, None, 0)), "a.tsv"
    )
    assert texts(split) == [("q", None, "b"), ("r", None, "a")]
