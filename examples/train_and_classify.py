"""Fine-tune on data/ and classify two sentences: python examples/train_and_classify.py CHECKPOINT_DIR OUTPUT_DIR"""

import sys
from pathlib import Path

import bert_ft

DATA = Path(__file__).parents[1] / "data"

checkpoint, output = sys.argv[1:]
result = bert_ft.train(
    task_name="emotion",
    data_dir=DATA,
    init_checkpoint=checkpoint,
    output_dir=output,
    max_seq_length=64,
    num_train_epochs=1,
)
print(f"accuracy on the development data: {result.metrics['dev']['accuracy']:.3f}")
for text, answer in zip(texts := ["今天真开心", "气死我了"], bert_ft.Classifier(output).classify(texts), strict=True):
    print(f"{answer['label']} {answer['score']:.2f}  {text}")
