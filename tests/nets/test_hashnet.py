"""HashNet against a loop in numpy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.nets.hashnet import HashNet


def normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (values - values.mean()) / np.sqrt(values.var() + 1e-5)
    return result


def test_codes_are_those_of_a_loop_over_samples_and_tables() -> None:
    torch.manual_seed(0)
    net = HashNet(features=20, tables=3, bits=5)
    features = torch.randn(4, 20) * 7 + 2
    with torch.no_grad():
        codes = net(features)
    assert codes.shape == (4, 3, 5)
    weights = [net.get_parameter(f"layers.{table}.project.weight").detach().double().numpy() for table in range(3)]
    for sample in range(4):
        x = normalised(features[sample].double().numpy())
        for table in range(3):
            expected = 1 / (1 + np.exp(-normalised(weights[table] @ x)))
            np.testing.assert_allclose(codes[sample, table].numpy(), expected, atol=1e-5)


def test_the_papers_net_has_eight_matrices_and_nothing_else() -> None:
    with torch.device("meta"):
        net = HashNet()
    shapes = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    assert shapes == {f"layers.{table}.project.weight": [32, 8192] for table in range(8)}


def test_weights_start_xavier_uniform() -> None:
    torch.manual_seed(0)
    weight = HashNet(1024, 2, 32).get_parameter("layers.1.project.weight")
    bound = (6 / (1024 + 32)) ** 0.5
    assert 0.99 * bound < float(weight.detach().abs().max()) <= bound


def test_one_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tables must be 2 or more .* got 1"):
        HashNet(16, tables=1)


@pytest.mark.parametrize("bits", [0, 65])
def test_bits_that_no_key_holds_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits must be 1 to 64 .* got {bits}"):
        HashNet(16, bits=bits)
