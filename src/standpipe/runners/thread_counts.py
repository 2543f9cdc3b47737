"""How many threads the libraries of a task start: as many as its share of the cores.

Without that, each library starts a thread for each core of the machine, in each of the tasks that run at the same time.
Their threads then wait for each other: 16 products of matrices of 500 x 500 at once take 2.3 times the CPU time on 2
cores. With a thread each, they take as much as two at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection

from standpipe.model.cluster_differences import SP128, decides
from standpipe.support import machine_capacity

#: The variables in which libraries read how many threads to start, when they are imported. None of them keeps a task
#: from choosing another number in its code; so `NUMBA_NUM_THREADS`, a maximum, is not one of them.
VARIABLES = (
    # OpenMP: scikit-learn, LightGBM, XGBoost, PyTorch. OpenBLAS (NumPy, SciPy), MKL, BLIS, NumExpr and pyarrow read it
    # where the variable of their own is not set, which so is the user's to set.
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",  # Accelerate, the BLAS of macOS
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",  # other libraries in Rust, such as tokenizers
    "TF_NUM_INTRAOP_THREADS",  # TensorFlow: in an operation, and for operations at once
    "TF_NUM_INTEROP_THREADS",
    "LOKY_MAX_CPU_COUNT",  # joblib, for all cores (`n_jobs=-1`)
)

#: The seconds for which the capacity of the machine is remembered: reading it takes up to a millisecond.
_CAPACITY_LIFETIME = 1.0


class CoreShares:
    """Divides the cores of the machine among the tasks that run at the same time.

    Args:
        count_visible_cores: returns for how many cores a library in a task starts threads by itself. Most libraries do
            not look at the CPU limit of a control group.
    """

    def __init__(self, count_visible_cores: Callable[[], int]) -> None:
        self._count_visible_cores = count_visible_cores
        self._known: tuple[float, float] = (-math.inf, 1.0)  # when the number of cores was read, and the number

    @decides(SP128)
    def thread_variables(self, concurrency: int, limit: float | None, own: Collection[str]) -> dict[str, str]:
        """Return the variables that tell libraries how many threads to start; empty if they choose right by themselves.

        Args:
            concurrency: how many tasks are expected to run at the same time.
            limit: the CPU limit of the task in cores, None without one.
            own: the names of variables that the user has set, which stay as they are.
        """
        share = max(1, math.ceil(self._count_cores()) // concurrency)
        threads = share if limit is None else min(share, math.ceil(limit))
        if threads >= self._count_visible_cores():
            return {}
        return {name: str(threads) for name in VARIABLES if name not in own}

    def _count_cores(self) -> float:
        read_at, cores = self._known
        now = time.monotonic()
        if now - read_at > _CAPACITY_LIFETIME:
            cores = machine_capacity.read_capacity().cpu
            self._known = (now, cores)
        return cores
