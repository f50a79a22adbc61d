from tests.server.conftest import connect, model_dir, start_server  # noqa: F401  # fixtures
