import pytest

pytest.register_assert_rewrite("tests.testing.broken")
