"""A run that is killed between two of its steps."""

import itertools

import torch


def kill_at_step(monkeypatch, number):
    """Let the optimiser's step of this number, counted from 0, end the run."""
    step, numbers = torch.optim.AdamW.step, itertools.count()

    def killed(self, *arguments):
        if next(numbers) == number:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", killed)
