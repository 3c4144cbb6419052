"""The knowledge retrieval stream: encoder, codes and distances, against loops over dicts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from twostream_vad.detector.engines.nets import NetEncoder, TorchHasher
from twostream_vad.nets.hashnet import HashNet
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.retrieval.stream import Encoding, FeatureType, RetrievalStream
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.storage import CheckpointError, save_tensors
from twostream_vad.video.snippets import RETRIEVAL
from twostream_vad.video.views import Views

WIDTH, SIZE, VALUES = 1 / 16, 128, 4 * 128


def clips(batch: int, crops: int = 3) -> Tensor:
    return torch.randn(batch, crops, 3, 8, SIZE, SIZE, generator=torch.Generator().manual_seed(batch))


def random_i3d(final_relu: bool) -> I3D:
    torch.manual_seed(0)
    net = I3D(WIDTH, SIZE, 2, final_relu=final_relu)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.bias, 0, 0.5)
    return net.eval()


def load(path: Path, source: str = "") -> NetEncoder:
    return NetEncoder.load(path, width=WIDTH, size=SIZE, cells=2, source=source)


def encoding_of(encoder: NetEncoder, dtype: FeatureType = "float32") -> Encoding:
    return Encoding(encoder, RETRIEVAL, Views(SIZE), dtype)


@pytest.fixture(scope="module")
def encoder() -> NetEncoder:
    return NetEncoder(random_i3d(final_relu=True))


def test_an_encoder_file_gives_the_nets_features_with_the_last_relu(tmp_path: Path) -> None:
    save_file(random_i3d(final_relu=False).state_dict(), tmp_path / "i3d.safetensors")
    encoder = load(tmp_path / "i3d.safetensors")
    found = encoding_of(encoder).encode(clips(2, 2))
    assert (encoder.values, found.shape) == (VALUES, (2, 2, VALUES))
    with torch.no_grad():
        expected = random_i3d(final_relu=True)(clips(2, 2).flatten(0, 1)).reshape(2, 2, VALUES)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4 * float(expected.max()))
    assert found.min() >= 0


def test_a_recovery_models_encoder_is_taken_out_of_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = STUNet(WIDTH, SIZE)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    encoder = load(tmp_path / "model.safetensors")
    save_file(net.encoder.state_dict(), tmp_path / "encoder.safetensors")
    own, given = load(tmp_path / "encoder.safetensors"), clips(1).flatten(0, 1).numpy()
    assert np.array_equal(encoder(given), own(given))
    assert encoder(given).std() > 0


def test_an_encoder_knows_its_source(tmp_path: Path) -> None:
    save_file(random_i3d(final_relu=True).state_dict(), tmp_path / "i3d.safetensors")
    encoder = load(tmp_path / "i3d.safetensors")
    assert encoder.source == str(tmp_path / "i3d.safetensors")
    assert load(tmp_path / "i3d.safetensors", source="run 7").source == "run 7"


def test_an_encoder_of_another_width_is_refused_by_file(tmp_path: Path) -> None:
    save_file(I3D(1 / 8, SIZE).state_dict(), tmp_path / "wide.safetensors")
    with pytest.raises(CheckpointError, match=r"wide\.safetensors: not the tensors of this net: size mismatch"):
        load(tmp_path / "wide.safetensors")


def test_encoding_teaches_the_net_nothing(encoder: NetEncoder) -> None:
    assert np.array_equal(encoding_of(encoder).encode(clips(1)), encoding_of(encoder).encode(clips(1)))


def slow_scores(net: HashNet, normal: NDArray[np.float32], tested: NDArray[np.float32]) -> list[float]:
    """Scores of (snippets, crops, values) against normal features (n, values), bucket by bucket."""
    with torch.no_grad():
        known = net(torch.from_numpy(normal)).double().numpy()
        codes = net(torch.from_numpy(tested).flatten(0, 1)).double().numpy().reshape(*tested.shape[:2], 3, -1)
    buckets: list[dict[tuple[bool, ...], list[NDArray[np.float64]]]] = [{} for _ in range(3)]
    for sample in known:
        for table, code in enumerate(sample):
            buckets[table].setdefault(tuple(code > 0.5), []).append(code)
    scores = []
    for snippet in codes:
        nearest = []
        for crop in snippet:
            distances = []
            for table, code in enumerate(crop):
                bucket = buckets[table].get(tuple(code > 0.5))
                empty = np.sqrt(len(code))
                distances.append(empty if bucket is None else np.linalg.norm(code - np.mean(bucket, axis=0)))
            nearest.append(min(distances))
        scores.append(float(np.mean(nearest)))
    return scores


def test_a_score_is_the_nearest_tables_distance_averaged_over_crops(encoder: NetEncoder) -> None:
    torch.manual_seed(1)
    net = HashNet(VALUES, 3, 8)
    rng = np.random.default_rng(0)
    normal, tested = (rng.normal(size=shape).astype(np.float32) for shape in ((60, VALUES), (9, 3, VALUES)))
    tested[:4] = normal[:12].reshape(4, 3, VALUES) + 0.05 * tested[:4]
    hasher = TorchHasher(net)
    stream = RetrievalStream(encoding_of(encoder), hasher, HashTables.build(hasher(normal)))
    found = stream.score_features(tested)
    assert (found.shape, found.dtype.name) == ((9,), "float64")
    np.testing.assert_allclose(found, slow_scores(net, normal, tested), rtol=1e-4)
    assert found[:4].max() < found[4:].min()


def test_clips_are_scored_by_their_features(encoder: NetEncoder) -> None:
    torch.manual_seed(1)
    net = HashNet(VALUES, 3, 2)
    hasher = TorchHasher(net)
    tables = HashTables.build(hasher(np.random.default_rng(0).normal(size=(50, VALUES))))
    stream = RetrievalStream(encoding_of(encoder), hasher, tables)
    assert np.array_equal(stream.score(clips(2)), stream.score_features(stream.encoding.encode(clips(2))))
    assert stream.snippet == RETRIEVAL


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_clip_scores_the_same_alone_and_among_others_to_the_bit(dtype: FeatureType, encoder: NetEncoder) -> None:
    torch.manual_seed(1)
    hasher = TorchHasher(HashNet(VALUES, 3, 2))
    tables = HashTables.build(hasher(np.random.default_rng(0).normal(size=(50, VALUES))))
    stream = RetrievalStream(encoding_of(encoder, dtype), hasher, tables)
    features = stream.encoding.encode(clips(5))
    assert features.dtype == dtype
    together = stream.score_features(features)
    assert [stream.score_features(features[place : place + 1])[0] for place in range(5)] == together.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_codes_of_a_read_only_map_are_those_of_the_array(dtype: str, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(7, VALUES)).astype(dtype)
    np.save(tmp_path / "features.npy", features)
    net = HashNet(VALUES, 3, 2)
    codes = TorchHasher(net)(np.load(tmp_path / "features.npy", mmap_mode="r")[2:6])
    assert (codes.shape, codes.dtype.name) == ((4, 3, 2), "float32")
    with torch.no_grad():
        np.testing.assert_allclose(codes, net(torch.from_numpy(features[2:6]).float()), rtol=1e-5)


def test_a_hashnet_file_gives_the_net_back(tmp_path: Path) -> None:
    net = HashNet(VALUES, 3, 2)
    save_tensors(tmp_path / "model.safetensors", net.state_dict(), {})
    loaded = TorchHasher.load(tmp_path / "model.safetensors", values=VALUES, tables=3, bits=2).net.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in net.state_dict().items())


def test_a_hashnet_file_of_other_features_is_refused_by_file(tmp_path: Path) -> None:
    save_tensors(tmp_path / "model.safetensors", HashNet(VALUES, 3, 2).state_dict(), {})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not the tensors of this net"):
        TorchHasher.load(tmp_path / "model.safetensors", values=VALUES // 2, tables=3, bits=2)


def test_by_place_a_clip_has_a_normalised_feature_of_each_place_row_by_row_of_the_map(tmp_path: Path) -> None:
    save_file(random_i3d(final_relu=True).state_dict(), tmp_path / "i3d.safetensors")
    encoder = NetEncoder.load(tmp_path / "i3d.safetensors", width=WIDTH, size=SIZE, cells=2, by_place=True)
    assert (encoder.side, encoder.values) == (8, 64)
    found = encoding_of(encoder).encode(clips(2, 2)).reshape(2, 2, 8, 8, 64)
    with torch.no_grad():
        s4 = random_i3d(final_relu=True).maps(clips(2, 2).flatten(0, 1)).s4.mean(2).reshape(2, 2, 64, 8, 8)
    plain = s4.movedim(2, -1).double().numpy()
    gaps = plain - plain.mean(-1, keepdims=True)
    np.testing.assert_allclose(found, gaps / np.sqrt(plain.var(-1, keepdims=True) + 1e-5), atol=1e-3)
