"""Import bert_model.ckpt.meta with TensorFlow 1.15 and restore every variable from it.

Usage: python restore_meta.py MODEL_DIR. Prints how many variables were restored and their largest difference from what
the checkpoint reader says; exit status 1 if it is not 0.
"""

import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf


def main(model_dir):
    tf.disable_v2_behavior()
    prefix = os.path.join(model_dir, "bert_model.ckpt")
    reader = tf.train.load_checkpoint(prefix)
    with tf.Session() as session:
        saver = tf.train.import_meta_graph(prefix + ".meta")
        saver.restore(session, prefix)
        variables = tf.global_variables()
        values = session.run(variables)
    assert {variable.op.name for variable in variables} == set(reader.get_variable_to_shape_map())
    difference = max(np.abs(value - reader.get_tensor(v.op.name)).max() for v, value in zip(variables, values))
    size = os.path.getsize(prefix + ".meta")
    print(
        "TensorFlow {}: {} variables restored through a .meta of {} bytes, largest difference {}".format(
            tf.__version__, len(variables), size, difference
        )
    )
    return int(difference != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
