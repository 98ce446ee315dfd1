"""What every test of this folder shares."""

import pytest

pytest.register_assert_rewrite(f"{__package__}.model_tester")


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in another order are another result: tests that compare bits run on one thread."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
