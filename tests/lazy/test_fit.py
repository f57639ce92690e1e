"""The result of a training, written to a file and read again."""

import pytest
import torch

from gradflip import FileError, Fit, LazyBall, TwoLayer, train, train_adversarially
from tensors import normal


def test_a_fit_is_saved_and_read_again(tmp_path):
    x = torch.nn.functional.normalize(normal(64, 8, seed=0)).float()
    y = torch.where(x[:, 0] < 0, -1.0, 1.0)
    network0 = TwoLayer.random(8, 40, seed=1, dtype=torch.float32)
    ball, file = LazyBall(network0, 1.0), tmp_path / "fit.safetensors"
    fits = [
        train(network0, x, y, ball=ball, max_epochs=20),
        train_adversarially(network0, x, y, 0.1, ball, attack_steps=3, max_epochs=2, test=(x, y)),
    ]
    for fit in fits:
        fit.save(file)
        again = Fit.load(file)
        assert torch.equal(again.network.W, fit.network.W)
        assert again.history.equals(fit.history)
        names = ("stopped_because", "steps", "epochs", "deviation", "left_at", "converged", "robust_accuracy")
        assert [getattr(again, name) for name in names] == [getattr(fit, name) for name in names]
        assert torch.equal(TwoLayer.load(file).W, fit.network.W)
    network0.save(file)
    with pytest.raises(FileError, match="holds a network but no training of it"):
        Fit.load(file)
