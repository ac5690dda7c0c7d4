"""Do jobs on this machine: in processes side by side, each with a GPU of its own where there are any."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.common.process_pool import Executor, Work
from pipeline.execution.shared_training import SharedTraining


class LocalExecutor(Executor):
    """An `Executor` whose workers have `devices` of the GPUs each, and may start processes that share a training.

    `gpus` names the GPUs as CUDA_VISIBLE_DEVICES does; where there are more workers than they suffice for, workers
    share.
    """

    _daemonic = False

    def __init__(
        self,
        workers: int,
        make_context: Callable[[], Any],
        work: Work,
        context: Any = None,
        advise: Callable[[Any], str] = lambda job: "",
        *,
        gpus: Sequence[str] = (),
        devices: int = 1,
    ) -> None:
        super().__init__(workers, make_context, work, context, advise)
        self._sets = [gpus[first : first + devices] for first in range(0, len(gpus) - devices + 1, devices)]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if isinstance(self._work, SharedTraining):
            self._work.close()

    def _environment(self, number: int) -> Mapping[str, str]:
        if not self._sets:
            return {}
        return {"CUDA_VISIBLE_DEVICES": ",".join(self._sets[number % len(self._sets)])}
