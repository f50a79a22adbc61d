"""Packages from three roots under one distribution; everything else stands in pyproject.toml."""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    packages=[
        *find_packages(include=["bert_ft", "bert_ft.*"]),
        *find_namespace_packages(
            "server", include=["bert_serving.server*", "bert_serving.benchmark*", "bert_serving_scripts"]
        ),
        *find_namespace_packages("client", include=["bert_serving.client*"]),
    ],
    package_dir={
        "bert_ft": "bert_ft",
        "bert_serving.server": "server/bert_serving/server",
        "bert_serving.benchmark": "server/bert_serving/benchmark",
        "bert_serving_scripts": "server/bert_serving_scripts",
        "bert_serving.client": "client/bert_serving/client",
    },
)
