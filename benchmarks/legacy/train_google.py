"""Google's side of training_parity.py; runs on Python 3.7 with TensorFlow 1.15 and bert-tensorflow 1.0.4.

Usage: python train_google.py WORK_DIR. Reads WORK_DIR/start (a model directory) and WORK_DIR/batches.npz, writes
WORK_DIR/google.npz with the loss before each step and every variable after the last.
"""

import json
import sys

import numpy as np
import tensorflow.compat.v1 as tf
from bert import modeling, optimization, run_classifier


def main(work):
    tf.disable_v2_behavior()
    batches = np.load(work + "/batches.npz")
    plan = json.loads(str(batches["plan"]))
    config = modeling.BertConfig.from_json_file(work + "/google_config.json")
    shape = [None, plan["max_seq_length"]]
    ids, mask, segments = (tf.placeholder(tf.int32, shape) for _ in range(3))
    labels = tf.placeholder(tf.int32, [None])
    # is_training=False leaves every dropout out; the optimizer does not know the difference
    loss, _, _, _ = run_classifier.create_model(config, False, ids, mask, segments, labels, plan["num_labels"], False)
    variables = tf.trainable_variables()
    assignment, _ = modeling.get_assignment_map_from_checkpoint(variables, work + "/start/bert_model.ckpt")
    assert len(assignment) == len(variables), "the checkpoint does not hold every variable"
    tf.train.init_from_checkpoint(work + "/start/bert_model.ckpt", assignment)
    # create_optimizer reads and assigns global_step in one graph without ordering the two, so that the rate of a step
    # is a matter of luck; here the step is fed, and the schedule is the one that its code writes down
    number = tf.placeholder(tf.int64, [])
    number.assign = lambda value: tf.no_op()
    optimization.tf.train.get_or_create_global_step = lambda: number
    train = optimization.create_optimizer(loss, plan["rate"], plan["steps"], plan["warmup_steps"], False)
    losses = []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in range(plan["steps"]):
            feed = {
                tensor: batches["{}_{}".format(name, step)]
                for tensor, name in ((ids, "ids"), (mask, "mask"), (segments, "segments"), (labels, "labels"))
            }
            feed[number] = step
            losses.append(session.run([loss, train], feed)[0])
        values = dict(zip([v.op.name for v in variables], session.run(variables)))
    np.savez(work + "/google.npz", losses=np.array(losses), **values)


if __name__ == "__main__":
    main(sys.argv[1])
