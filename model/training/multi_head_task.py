"""The training task of the heads: from labels, with a teacher, or with adapters."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from model.graphs.torch_multihead import MultiHead
from model.training.calibration import answer_sides, calibrate, head_metrics
from model.training.data.batches import Encoded, bucketed_batches, collate
from model.training.data.corpus import EncodedSource, epoch_rows
from model.training.distillation.stored_answers import StoredAnswers
from model.training.fit import lora
from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import HeadsRecipe
from model.training.losses import Losses, label_counts


class HeadsTask:
    """Trains the heads with a weight in *recipe*, on the device of *model*."""

    def __init__(
        self,
        model: MultiHead,
        recipe: HeadsRecipe,
        sources: Sequence[EncodedSource],
        validation: Mapping[str, Sequence[Encoded]],
        teacher: MultiHead | StoredAnswers | None = None,
    ) -> None:
        self.model = model
        self._recipe = recipe
        self._sources = sources
        self._validation = validation
        self._teacher = teacher.to(self._device).eval() if isinstance(teacher, MultiHead) else teacher
        counts = label_counts(row for source in sources for row in source.bare)
        for head in recipe.weights:
            log_progress("labels", head=head, counts=counts[head])
        self._losses = Losses(recipe, counts)
        self._epoch: tuple[int, list[list[Encoded]]] | None = None

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def batches(self, epoch: int) -> Sequence[list[Encoded]]:
        if self._epoch is None or self._epoch[0] != epoch:
            generator = np.random.default_rng([self._recipe.seed, epoch])
            rows = self._with_answers(epoch_rows(self._sources, generator), generator)
            lengths = [len(row.ids) for row in rows]
            size, span = self._recipe.batch_size, self._recipe.bucket_batches
            self._epoch = epoch, bucketed_batches(rows, lengths, size=size, span=span, generator=generator)
        return self._epoch[1]

    def _with_answers(self, rows: list[Encoded], generator: np.random.Generator) -> list[Encoded]:
        """*rows* without some of those that the teacher has not answered."""
        if not isinstance(self._teacher, StoredAnswers) or self._recipe.teacher is None:
            return rows
        kept = generator.random(len(rows)) < self._recipe.teacher.unanswered
        return [row for row, is_kept in zip(rows, kept, strict=True) if is_kept or row.answer >= 0]

    def size(self, batch: list[Encoded]) -> int:
        return len(batch)

    def loss(self, batch: list[Encoded], step: int) -> Tensor:
        inputs = [tensor.to(self._device) for tensor in collate(batch)]
        full, early = self.model(*inputs)
        return self._losses(batch, full, early, self._answers_of_teacher(batch, inputs))

    def _answers_of_teacher(self, batch: list[Encoded], inputs: Sequence[Tensor]) -> Mapping[str, Tensor] | None:
        if isinstance(self._teacher, StoredAnswers):
            return {name: logits.to(self._device) for name, logits in self._teacher.logits(batch).items()}
        if self._teacher is None:
            return None
        with torch.no_grad():
            answers: Mapping[str, Tensor] = self._teacher(*inputs)[0]
        return answers

    def weights(self) -> Mapping[str, Tensor]:
        return lora.merged_weights(self.model) if self._recipe.lora else self.model.state_dict()

    def figure(self) -> float:
        """The mean of the metrics in `judged_by`, as in `finish_snapshots`."""
        answers = {part: answer_sides(self.model, self._validation[part])[0] for part in self._recipe.judged_by}
        calibration = calibrate(answers)
        found = {part: head_metrics(one, calibration) for part, one in answers.items()}
        return float(np.mean([found[part][which] for part, which in self._recipe.judged_by.items()]))
